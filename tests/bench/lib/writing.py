# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing to a disk: into our overlay, and into one of qemu's."""

import contextlib
import os
import shutil

from data import Healthy
from parts import GIB, MIB, Table, fio, fresh_dir, interleaved, run


@contextlib.contextmanager
def our_overlay(bench, data, place):
    try:
        with bench.place.rescuefs_on([("--live", data.host),
                                      ("--backup", data.backup)],
                                     state=place) as served:
            yield served
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def qemu_overlay(bench, data, place):
    path = fresh_dir(place) + "/overlay.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "qcow2", "-b",
        data.disk, path, data.size)
    below = {"driver": "qcow2", "file.driver": "file",
             "file.filename": data.disk, "backing.driver": "raw",
             "backing.file.driver": "file",
             "backing.file.filename": data.base}
    opts = "driver=qcow2,node-name=d,file.driver=file,file.filename=" + path
    opts += "".join(",backing.%s=%s" % kv for kv in below.items())
    try:
        with bench.place.qsd(opts, writable=True) as served:
            yield served
    finally:
        shutil.rmtree(place, ignore_errors=True)


def measure(bench, data, where, place):
    """Both parties, what they write kept below 'place'."""
    in_order = Table("writing from start to end, 1 MiB at a time, " + where,
                     "MB/s")
    at_random = Table("writing 4 KiB at random, an fsync each 64, " + where,
                      "writes/s")
    parties = {
        "rescuefs": lambda: our_overlay(bench, data, place),
        "qemu-storage-daemon": lambda: qemu_overlay(bench, data, place),
    }
    amount = bench.scaled(GIB)
    for name, serve in interleaved(bench.rounds, parties):
        with serve() as served:
            job = fio(served.path, rw="write", bs="1M", size=amount,
                      end_fsync=1)
            in_order.add(name, job["write"]["bw_bytes"] / 1e6)
        with serve() as served:
            job = fio(served.path, rw="randwrite", bs="4k", size=amount,
                      io_size=bench.scaled(64 * MIB), fsync=64)
            at_random.add(name, job["write"]["iops"])
    for table in (in_order, at_random):
        table.goal("at least qemu-storage-daemon's", "rescuefs",
                   ["qemu-storage-daemon"], at_least=1)
    return [in_order, at_random]


def overlay(bench):
    """1 GiB from start to end, and 4 KiB at random with an fsync each 64."""
    data = bench.data("healthy",
                      lambda: Healthy(bench.work, bench.scaled(2 * GIB)))
    place = bench.in_memory("written", 2 * data.size)
    tables = measure(bench, data, "on the disk", bench.work + "/written")
    if not place.startswith(bench.work + "/"):
        # Without the disk's noise, which is larger than any difference; but
        # an fsync costs nothing there.
        tables += measure(bench, data, "in memory", place)
    return tables
