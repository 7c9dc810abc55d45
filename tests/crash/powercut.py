# SPDX-License-Identifier: GPL-3.0-or-later
"""What a power cut may leave of a state directory, all along a traced run.

    powercut.py work SEED TRUTH OPS        a seeded workload, run under strace
    powercut.py check SEED TRUTH OPS TRACE STATES [DROPS]

'work' writes to a disk, punches, truncates, fsyncs and resets it, reads one with
bad sectors, refreshes and fetches that, in three mounts, and keeps what it did in
OPS.  It says in the trace when it begins and when it has an answer.

'check' builds STATES states of the state directory, spread over the trace, opens
each with the program's own code (look.c) and compares: what was fsynced is there,
nothing is but what was written since or before, no bad sector that a reader was
told of, or that a fetch which is over found, is forgotten, and what is kept of the damaged disk is right.  Syncs of the
kinds in DROPS (see kind_of) are left out of the trace: then it has to find
something, and says what; with "nothing" none is, and it has to all the same.

From the environment, beside daemon.py's: WORK, TORN, ALONE below MNT, as in
lib/host.bash; ROOT_DIR, which holds the state's parent; LOOK, the program; DISK_OBJECT,
OBJECT, TORN_ID: names in the state; TORN_TRUTH: what TORN holds.
"""
import json
import os
import pickle
import random
import subprocess
import sys
import time

from daemon import Daemon
from shadow import Broken, Shadow, Sync, Truncate
from statedisk import Disk, File, read_trace

SECTOR = 512
LIMIT = 11 << 20
MARKS = "/marks"


def is_bad(sector):
    """Of the torn disk; as lib/host.bash has it."""
    return sector % 40 == 7


class Reset(Truncate):
    """The disk is what its sources hold again, and as large."""

    truth = None

    def __init__(self):
        super().__init__(len(self.truth))

    def run(self, fd, _):
        os.setxattr(fd, "user.rescuefs.control", b"reset")

    def apply(self, now):
        now[:] = self.truth

    def byte(self, i):
        return self.truth[i] if i < len(self.truth) else 0

    def makes(self, at, block):
        return self.truth[at:at + len(block)] == block

    def __str__(self):
        return "reset"


class Read:
    """Sectors of the torn disk, merged or as the damaged host has it."""

    def __init__(self, path, first, n):
        self.path, self.first, self.n = path, first, n
        self.bad, self.good = [], []

    def run(self):
        fd = os.open(os.path.join(os.environ["MNT"], self.path), os.O_RDONLY)
        try:
            for s in range(self.first, self.first + self.n):
                try:
                    os.pread(fd, SECTOR, s * SECTOR)
                except OSError as e:
                    if e.errno != 5:
                        raise
                (self.bad if is_bad(s) else self.good).append(s)
        finally:
            os.close(fd)


class Refresh:
    def run(self):
        path = os.path.join(os.environ["MNT"], os.environ["TORN"])
        os.setxattr(path, "user.rescuefs.control", b"refresh")


class Fetch:
    """All of the torn disk, by the mount, which syncs what it found."""

    def run(self):
        path = os.path.join(os.environ["MNT"], os.environ["TORN"])
        os.setxattr(path, "user.rescuefs.control", b"fetch")
        while True:
            news = json.loads(os.getxattr(path, "user.rescuefs.fetch"))
            if not news["running"]:
                break
            time.sleep(0.05)
        if news["pass"] != "done":
            raise Broken(f"the fetch failed: {news}")


class Unmount:
    pass


class Worker:
    def __init__(self, seed, truth):
        self.rnd = random.Random(f"{seed} powercut")
        self.shadow = Shadow(truth, 0, LIMIT)
        self.ops = []
        self.daemon = Daemon()
        self.marks = os.open(os.environ["ROOT_DIR"] + MARKS,
                             os.O_WRONLY | os.O_CREAT)

    def do(self, op, run):
        number = len(self.ops)
        self.ops.append(op)
        os.write(self.marks, b"begin %d\n" % number)
        run()
        os.write(self.marks, b"end %d\n" % number)

    def change(self, fd, op):
        self.do(op, lambda: self.shadow.change(fd, op))

    def step(self, fd):
        kind = self.rnd.random()
        if kind < 0.25:
            path = os.environ["ALONE" if kind < 0.1 else "TORN"]
            op = Read(path, self.rnd.randrange(16384 - 90),
                      self.rnd.randrange(1, 90))
            self.do(op, op.run)
        elif kind < 0.27:
            op = Refresh()
            self.do(op, op.run)
        elif kind < 0.285:
            self.change(fd, Reset())
        else:
            self.change(fd, self.shadow.some_change(self.rnd, "wwwwwppsst"))

    def fetch(self, fd):
        """The second finds bad sectors and nothing else, while nothing else is
        to be synced: no other sync keeps what it found."""
        self.change(fd, Sync())
        for op in (Fetch(), Refresh(), Fetch()):
            self.do(op, op.run)

    def run(self):
        for turn in range(3):
            self.daemon.start()
            self.daemon.wait_until_up()
            path = os.path.join(os.environ["MNT"], os.environ["WORK"])
            fd = os.open(path, os.O_RDWR)
            for _ in range(70):
                self.step(fd)
            if turn == 1:
                self.fetch(fd)
            self.shadow.compare(fd, 0, len(self.shadow.now))
            os.close(fd)
            self.do(Unmount(), self.daemon.unmount)


class Checker:
    def __init__(self, seed, truth, ops, states):
        self.rnd = random.Random(f"{seed} states")
        self.truth, self.ops = truth, ops
        self.root = os.environ["ROOT_DIR"]
        self.disk = Disk(self.root)
        self.shadow = Shadow(truth, 0, LIMIT)
        self.bad, self.stale, self.good, self.kept = set(), set(), set(), set()
        self.is_forgetting = False
        self.states, self.done = states, 0
        self.room = os.environ["SCRATCH"]
        self.state = self.room + os.environ["STATE"][len(self.root):]
        self.look = subprocess.Popen(
            [os.environ["LOOK"], os.environ["DISK_OBJECT"], sys.argv[3],
             os.environ["OBJECT"], os.environ["TORN_TRUTH"],
             os.environ["TORN_ID"], os.environ["TORN_TRUTH"]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    # What is known at this moment of the trace.

    def begin(self, op):
        if isinstance(op, (Read, Fetch, Unmount)):
            return
        if isinstance(op, Refresh):
            self.bad, self.stale = set(), set()
        else:
            self.shadow.pending.append(op)

    def end(self, op):
        if isinstance(op, Read):
            self.bad.update(op.bad)
            self.good.update(op.good)
            if op.path == os.environ["TORN"]:
                self.stale.update(op.bad)
        elif isinstance(op, Fetch):
            torn = range(os.path.getsize(os.environ["TORN_TRUTH"]) // SECTOR)
            self.bad.update(s for s in torn if is_bad(s))
            self.good.update(s for s in torn if not is_bad(s))
            self.kept = set(self.good)
        elif isinstance(op, Unmount):
            self.kept = set(self.good)
            self.shadow.done(Sync())
        elif not isinstance(op, Refresh):
            self.shadow.done(op)

    def mark(self, text, i):
        word, number = text.split()
        op = self.ops[int(number)]
        (self.begin if word == b"begin" else self.end)(op)
        if word == b"end" and isinstance(op, Fetch):
            self.cut("gone", f"after event {i}, the end of a fetch")

    # One state.

    def cut(self, how, where):
        try:
            self.try_state(how)
        except Broken as e:
            raise Broken(f"state {self.done}, {where}, {how} of what was not "
                         f"synced: {e}") from None

    def try_state(self, how):
        self.disk.make(self.room, self.rnd, how)
        out = self.room + ".disk"
        self.look.stdin.write(f"{self.state} {out}\n")
        self.look.stdin.flush()
        told = json.loads(self.look.stdout.readline())
        self.done += 1
        if "failed" in told:
            raise Broken("it does not open: " + told["failed"])
        self.shadow.check(self.disk_of(told, out))
        self.check_torn(*told["objects"])

    def disk_of(self, told, out):
        """The disk's bytes: what is in 'out', and else its sources'."""
        got = bytearray(self.truth[:told["size"]])
        got.extend(bytes(told["size"] - len(got)))
        with open(out, "rb") as f:
            for off, length, value in told["runs"]:
                if value:
                    got[off:off + length] = \
                        f.read(length) if value == 1 else bytes(length)
        return got

    def check_torn(self, file, disk):
        missing(self.bad, sectors_of(file["bad"]), "was found bad, and that is "
                "forgotten")
        missing(self.kept, sectors_of(file["kept"]), "was rescued before an "
                "unmount or a fetch's end, and is not kept")
        choices = [run for run in disk["choices"] if run[2] & 15 in (2, 3)]
        missing(self.stale, sectors_of(choices), "was stale or lost, and that "
                "is forgotten")

    def where(self, events, wanted):
        """Before each sync, and some of the rest; so many in all."""
        places = []
        for i, event in enumerate(events):
            if event.path.endswith(MARKS):
                continue
            how = self.rnd.choice(("gone", "there", "some", "some", "some"))
            places.append((event.call != "sync", self.rnd.random(), i, how))
        places.sort()
        return sorted((i, how) for _, _, i, how in places[:wanted])

    def run(self, trace, drops):
        def is_ours(path):
            return (path + "/").startswith(self.root + "/") and \
                not path.endswith(("-shm", "/lock"))

        def is_dropped(path, node):
            return kind_of(path, node) in drops

        events = list(read_trace(trace, is_ours))
        places = self.where(events, self.states)
        at = 0
        for i, event in enumerate(events):
            # A power cut just before this.
            while at < len(places) and places[at][0] == i:
                self.cut(places[at][1], f"before event {i} ({event.call} "
                         f"{event.path})")
                at += 1
            if event.path.endswith(MARKS):
                if event.call == "append":
                    self.mark(event.args, i)
            else:
                self.disk.take(event, is_dropped)
        self.compare_with_end()
        return events

    def compare_with_end(self):
        """The model is right if its files are what was really left."""
        self.compare_dir(self.disk.top, self.root)

    def compare_dir(self, node, path):
        for name, child in node.now.items():
            where = os.path.join(path, name)
            if not isinstance(child, File):
                self.compare_dir(child, where)
                continue
            with open(where, "rb") as f:
                if f.read() != child.now:
                    raise SystemExit(f"{where} is not what the trace says: "
                                     "the test is wrong")


def kind_of(path, node):
    """The kinds of syncs that there are."""
    if not isinstance(node, File):
        return "data-names" if path.endswith("/data") else "names"
    if "/data/" not in path:
        return "known"
    return "store" if path.endswith(".store") else \
        "journal" if ".journal" in path else "overlay"


def missing(wanted, found, what):
    lost = sorted(wanted - found)
    if lost:
        raise Broken(f"sector {lost[0]} (one of {len(lost)}) {what}")


def sectors_of(runs):
    out = set()
    for run in runs:
        out.update(range(run[0] // SECTOR, (run[0] + run[1]) // SECTOR))
    return out


def work(seed, truth, name):
    worker = Worker(seed, truth)
    try:
        worker.run()
    except (Broken, OSError) as e:
        raise SystemExit(f"seed {seed}: {e}") from None
    finally:
        worker.daemon.end()
    with open(name, "wb") as f:
        pickle.dump(worker.ops, f)


def check(seed, truth, name, trace, states, drops=""):
    begun = time.monotonic()
    with open(name, "rb") as f:
        ops = pickle.load(f)
    test = Checker(seed, truth, ops, int(states))
    try:
        events = test.run(trace, drops.split(","))
    except Broken as e:
        if drops:
            print(f"without syncs of {drops}: {e}")
            return
        raise SystemExit(f"seed {seed}: {e}") from None
    finally:
        test.look.stdin.close()
        test.look.wait(10)
    if drops:
        raise SystemExit(f"seed {seed}: {test.done} states without syncs of "
                         f"{drops}, and nothing was found")
    syncs = sum(e.call == "sync" and e.ends for e in events)
    if not test.kept or not test.good or syncs < 100:
        raise SystemExit("nothing was tried")
    print(f"{test.done} states of {len(events)} writes and syncs ({syncs}), "
          f"{len(ops)} changes and reads, in "
          f"{time.monotonic() - begun:.0f} s")


def main():
    with open(sys.argv[3], "rb") as f:
        truth = Reset.truth = f.read()
    verb, seed = sys.argv[1], sys.argv[2]
    if verb == "work":
        work(seed, truth, sys.argv[4])
    else:
        check(seed, truth, *sys.argv[4:])


if __name__ == "__main__":
    main()
