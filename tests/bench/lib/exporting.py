# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk written out, with its md5 and sha512."""

import json
import os

from data import UUID, Healthy, chain
from parts import GIB, Table, fresh_dir, interleaved, run, shell, timed, warm


def export(bench):
    """A disk as a raw file with its md5 and sha512."""
    data = bench.data("healthy",
                      lambda: Healthy(bench.work, bench.scaled(2 * GIB)))
    table = Table("a disk as a raw file with its md5 and sha512", "s", False)
    out = bench.in_memory("export", data.size)
    digests = set()

    def ours():
        state = fresh_dir(bench.work + "/state")
        table.add("rescuefs export", timed(lambda: run(
            bench.place.rescuefs, "export", "--live", data.host, "--backup",
            data.backup, "--state", state, "--quiet", "-o", out,
            UUID + "/disk")))
        with open(out + ".manifest.json", encoding="utf-8") as f:
            manifest = json.load(f)
        os.unlink(out + ".manifest.json")
        digests.add((manifest["md5"], manifest["sha512"]))

    def theirs():
        said = []
        table.add("qemu-img convert, md5sum, sha512sum", timed(
            lambda: said.append(shell(
                "qemu-img convert -O raw --image-opts '%s' '%s'; "
                "md5sum <'%s'; sha512sum <'%s'" % (
                    chain(data.disk, data.base), out, out, out)))))
        words = said[0].split()
        digests.add((words[0], words[2]))

    warm(*data.sources())
    for _, measure in interleaved(bench.rounds, {"o": ours, "t": theirs}):
        measure()
        os.unlink(out)
    if len(digests) != 1:
        raise RuntimeError("the two wrote different bytes: %s" % digests)
    table.goal("at most two thirds of qemu-img's and the digests' time",
               "rescuefs export", ["qemu-img convert, md5sum, sha512sum"],
               at_most=2 / 3)
    return [table]
