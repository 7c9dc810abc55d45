# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark's command line; see ../run."""

import argparse
import glob
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time

import copying
import exporting
import other
import reading
import writing
from parts import memory_kept
from servers import Place

WORKLOADS = {
    "reading": reading.healthy,
    "damaged": reading.damaged,
    "scaling": reading.scaling,
    "copying": copying.sparse,
    "pipe": copying.pipe,
    "export": exporting.export,
    "writing": writing.overlay,
    "fsck": other.fsck,
    "site": other.site,
    "sectors": other.sectors,
    "provenance": other.provenance,
}


class Bench:
    """One run: its room, its data, how often and how much."""

    def __init__(self, args, work):
        self.work = work
        self.build = os.path.abspath(args.build)
        self.rounds = args.rounds
        self.small = args.small
        self.place = Place(work, self.build)
        self._data = {}

    def scaled(self, size):
        return size // 4 if self.small else size

    def in_memory(self, name, size):
        """A path for what is written, that costs no disk if there is room."""
        st = os.statvfs("/dev/shm")
        if st.f_bavail * st.f_frsize < size:
            return "%s/%s" % (self.work, name)
        return "/dev/shm/%s.%s" % (os.path.basename(self.work), name)

    def data(self, name, make):
        if name not in self._data:
            note("preparing: %s" % name)
            self._data[name] = make()
        return self._data[name]


def note(text):
    print("# %s" % text, file=sys.stderr, flush=True)


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"processor": model, "processors": os.cpu_count(),
            "kernel": platform.release(),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "memory_GiB": round(os.sysconf("SC_PAGE_SIZE") *
                                os.sysconf("SC_PHYS_PAGES") / (1 << 30))}


def print_table(table):
    print("\n### %s (%s)\n" % (table.name, table.unit))
    print("| | median | rounds |\n| --- | --- | --- |")
    for party in table.parties():
        digits = 3 if table.value(party) < 10 else 0
        print("| %s | %.*f | %s |" % (
            party, digits, table.value(party),
            " ".join("%.*f" % (digits, v) for v in table.rounds[party])))
    for g in table.goals:
        print("\n%s: %.2f (wanted: %s %g)%s" % (
            g["goal"], g["ratio"], "at least" if g["at_least"] else "at most",
            g["wanted"], "" if g["met"] else " NOT MET"))
    sys.stdout.flush()


def parse():
    p = argparse.ArgumentParser(prog="tests/bench/run")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--small", action="store_true")
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--list", action="store_true")
    p.add_argument("names", nargs="*", metavar="NAME")
    args = p.parse_args()
    for name in args.names:
        if name not in WORKLOADS:
            p.error("%s is none of: %s" % (name, " ".join(WORKLOADS)))
    return args


def main():
    args = parse()
    # All that was mounted, made and set is undone.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if args.list:
        for name, workload in WORKLOADS.items():
            print("%-12s %s" % (name, workload.__doc__.splitlines()[0]))
        return 0
    work = tempfile.mkdtemp(prefix="rescuefs-bench.",
                            dir=os.environ.get("TMPDIR", "/var/tmp"))
    tables = []
    try:
        bench = Bench(args, work)
        with memory_kept():
            for name in args.names or WORKLOADS:
                note("measuring: %s" % name)
                for table in WORKLOADS[name](bench):
                    tables.append(table)
                    print_table(table)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        for left in glob.glob("/dev/shm/%s.*" % os.path.basename(work)):
            shutil.rmtree(left, ignore_errors=True)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump({"machine": machine(), "rounds": args.rounds,
                       "small": args.small,
                       "tables": [t.as_json() for t in tables]}, f, indent=1)
            f.write("\n")
    missed = sum(not g["met"] for t in tables for g in t.goals)
    print("\n%d goals, %d not met" % (sum(len(t.goals) for t in tables),
                                      missed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
