# SPDX-License-Identifier: GPL-3.0-or-later
"""A filesystem check, a large site, what a bad sector costs, provenance."""

import json
import os
import shutil
import subprocess
import time

from data import UUID, instance_files, make_site
from parts import (MIB, Table, forget, fresh_dir, interleaved, memory_of,
                   run, shell, timed, unmount, warm)


def make_filesystem(work, files):
    """A raw disk with an ext4 of so many small files."""
    host = fresh_dir(work + "/fsck") + "/bm0002"
    disk = instance_files(host, UUID, {"disk": "raw"}) + "/disk"
    tree = fresh_dir(work + "/fsck/tree")
    for i in range(files):
        if i % 500 == 0:
            directory = "%s/%d" % (tree, i // 500)
            os.mkdir(directory)
        with open("%s/file-%d" % (directory, i), "wb") as f:
            f.write(b"%d\n" % i * (i % 300))
    run("mke2fs", "-q", "-t", "ext4", "-d", tree, disk, "4G")
    shutil.rmtree(tree)
    return host, disk


def fsck(bench):
    """e2fsck -fn on an ext4 of 4 GiB with 200,000 files."""
    host, disk = bench.data("filesystem", lambda: make_filesystem(
        bench.work, bench.scaled(200000)))
    table = Table("e2fsck -fn on 4 GiB of ext4 with 200,000 files", "s", False)

    def check(path):
        return timed(lambda: run("e2fsck", "-fn", path))

    def mounted(kind):
        with bench.place.rescuefs_on([(kind, host)]) as served:
            forget(served.path)
            table.add("rescuefs, %s" % kind[2:], check(served.path))

    parties = {
        "rescuefs, live": lambda: mounted("--live"),
        "rescuefs, damaged": lambda: mounted("--damaged"),
        "the raw file": lambda: table.add("the raw file", check(disk)),
    }
    warm(disk)
    for _, measure in interleaved(bench.rounds, parties):
        measure()
    table.goal("within 1.5 times the raw file", "rescuefs, live",
               ["the raw file"], at_most=1.5)
    return [table]


def daemon_of(mountpoint):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                if os.fsencode(mountpoint) in f.read().split(b"\0"):
                    return int(pid)
        except OSError:
            continue
    raise RuntimeError("no daemon serves %s" % mountpoint)


def site(bench):
    """Mounting 1,000 instances with two backups; memory then and per disk."""
    roots, ids = bench.data("site", lambda: make_site(
        bench.work, bench.scaled(1000)))
    table = Table("mounting a site of 1,000 instances with 2 backups", "s",
                  False)
    memory = Table("memory of its daemon", "MiB", False)
    each = Table("memory per open disk", "KiB", False)
    opened = 50
    for _ in range(bench.rounds + 1):  # the first warms the directories
        mnt = bench.place.mountpoint("site")
        state = fresh_dir(bench.work + "/state")
        args = [bench.place.rescuefs, "mount", "--state", state, "--damaged",
                roots[0], "--backup", roots[1], "--backup", roots[2], mnt]
        try:
            table.add("rescuefs", timed(lambda: run(*args)))
            pid = daemon_of(mnt)
            before = memory_of(pid)
            for i in ids[:opened]:
                with open("%s/instances/%s/disk" % (mnt, i), "rb") as f:
                    f.read(MIB)
            memory.add("rescuefs", before / MIB)
            each.add("rescuefs", (memory_of(pid) - before) / opened / 1024)
        finally:
            unmount(mnt)
        end = time.monotonic() + 20
        while os.path.exists("/proc/%d" % pid) and time.monotonic() < end:
            time.sleep(0.05)
    for t in (table, memory, each):
        t.rounds["rescuefs"].pop(0)
    table.goal("under 1 s", "rescuefs", 1.0, at_most=1)
    memory.goal("under 100 MiB", "rescuefs", 100.0, at_most=1)
    return [table, memory, each]


def sectors(bench):
    """Bytes lost or stale for one bad sector in a data cluster."""
    table = Table("bytes lost or stale for one bad 512-byte sector", "bytes",
                  False)
    script = os.path.join(os.path.dirname(__file__), "sectors.sh")
    out = subprocess.run(["bash", script, bench.work], check=True, timeout=300,
                         stdout=subprocess.PIPE,
                         env=dict(os.environ, RESCUEFS_BUILD=bench.build))
    for party, count in json.loads(out.stdout).items():
        table.add(party, count)
    table.goal("512 bytes and no more", "rescuefs", 512.0, at_most=1)
    return [table]


def provenance(bench):
    """What is known of 1 TiB broken into 1,000,000 extents."""
    units = [("memory_bytes", "memory", "MiB", 1 / MIB, 100),
             ("lookup_ns", "one look-up", "ns", 1, 1000),
             ("save_s", "saving", "s", 1, 2), ("load_s", "loading", "s", 1, 2)]
    tables = [Table("provenance of 1 TiB: " + what, unit, False)
              for _, what, unit, _, _ in units]
    for _ in range(bench.rounds):
        for extents in (10000, 1000000):
            state = fresh_dir(bench.work + "/provenance")
            os.rmdir(state)
            got = json.loads(run(
                bench.build + "/tests/bench/bench-provenance", extents, state))
            if got["loaded_extents"] != extents:
                raise RuntimeError("extents were lost: %s" % got)
            for table, (key, _, _, factor, _) in zip(tables, units):
                table.add("{:,} extents".format(extents), got[key] * factor)
    for table, (_, _, unit, _, most) in zip(tables, units):
        table.goal("1,000,000 extents: at most %d %s" % (most, unit),
                   "1,000,000 extents", float(most), at_most=1)
    return tables
