# SPDX-License-Identifier: GPL-3.0-or-later
"""Copying a disk out: sparse ones, and through a pipe."""

import os
import subprocess

from data import Healthy, Sparse, chain
from parts import GIB, Table, forget, interleaved, shell, timed, warm
from servers import qemu_node

# A peer that does not tell holes would read a TiB; this long it may try.
LONGEST = 120

COMMANDS = {
    "cp --sparse=always": "cp --sparse=always '%s' '%s'",
    "qemu-img convert": "qemu-img convert -f raw -O raw '%s' '%s'",
}


def copy_time(command, served, out):
    """Seconds; LONGEST for what took longer."""
    forget(served.path)
    try:
        return timed(lambda: shell(command % (served.path, out),
                                   timeout=LONGEST))
    except subprocess.TimeoutExpired:
        return LONGEST
    finally:
        if os.path.exists(out):
            os.unlink(out)


def sparse(bench):
    """Copies of 1 GiB of data out of a disk of 1 TiB, and of 1 GiB."""
    data = bench.scaled(GIB)
    disks = {
        "1 TiB": bench.data("1 TiB", lambda: Sparse(bench.work, 1024 * GIB,
                                                    data)),
        "1 GiB": bench.data("1 GiB", lambda: Sparse(bench.work, data, data)),
    }
    tables = []
    out = bench.in_memory("copy", 2 * data)
    for what, command in COMMANDS.items():
        table = Table("%s of 1 GiB of data out of a disk" % what, "s", False)
        parties = {}
        for size, d in disks.items():
            warm(d.disk)
            parties["rescuefs, " + size] = lambda d=d: (
                bench.place.rescuefs_on([("--live", d.host)]))
            parties["qemu-storage-daemon, " + size] = lambda d=d: (
                bench.place.qsd(qemu_node(d.disk, d.base)))
        for name, serve in interleaved(bench.rounds, parties):
            with serve() as served:
                table.add(name, copy_time(command, served, out))
        table.goal("1 TiB: at most qemu-storage-daemon's time",
                   "rescuefs, 1 TiB", ["qemu-storage-daemon, 1 TiB"],
                   at_most=1)
        table.goal("1 TiB: at most 1.3 times 1 GiB", "rescuefs, 1 TiB",
                   ["rescuefs, 1 GiB"], at_most=1.3)
        tables.append(table)
    return tables


def pipe(bench):
    """A disk through a pipe into md5sum."""
    data = bench.data("healthy",
                      lambda: Healthy(bench.work, bench.scaled(2 * GIB)))
    table = Table("a disk through a pipe into md5sum", "s", False)
    sums = set()

    def ours():
        with bench.place.rescuefs_on([("--live", data.host),
                                      ("--backup", data.backup)]) as served:
            table.add("rescuefs, cat", timed(lambda: sums.add(
                shell("cat '%s' | md5sum" % served.path))))

    def theirs():
        table.add("qemu-nbd + nbdcopy", timed(lambda: sums.add(shell(
            "nbdcopy -- [ qemu-nbd -r --image-opts '%s' ] - | md5sum"
            % chain(data.disk, data.base)))))

    warm(*data.sources())
    for _, measure in interleaved(bench.rounds, {"o": ours, "t": theirs}):
        measure()
    if len(sums) != 1:
        raise RuntimeError("the two read different bytes: %s" % sums)
    table.goal("at most nbdcopy's time", "rescuefs, cat",
               ["qemu-nbd + nbdcopy"], at_most=1)
    return [table]
