# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at random moments, and what is there afterwards.

    kill9.py SEED KILLS TRUTH VOLUME-TRUTH

Three threads change a disk, each its own part of it, and a fourth a volume, and
fsync them now and then; one more reads a disk with bad sectors.  The daemon is killed while it works,
while it begins and while it ends.  After each kill, all of the first disk is
compared (shadow.py), and all of the volume; and of the disk with bad sectors: what was served once is served again
(P4), and none of its sectors is asked for again (P5), although its medium has
healed by then.

From the environment, beside daemon.py's: WORK, VOLUME and TORN, the disks below
MNT, and ALONE, the last as the damaged host alone has it; TRUTH is what WORK
holds at the beginning.  COUNTS, FAULTS: the failing
disk's files; TORN_AT: where TORN begins on it; BAD: the faults that it has
while a round lasts.
"""
import array
import errno
import json
import os
import random
import sys
import threading
import time

from daemon import GONE, Daemon
from shadow import Broken, Shadow, pread_all

SECTOR = 512
REGION = 3 << 20
LIMIT = 9 << 20  # of the part at the end, the one that grows


def is_bad(sector):
    """As lib/host.bash makes them."""
    return sector % 40 == 7


class Torn:
    """The disk with bad sectors: what was served of it, and at which count."""

    def __init__(self, path, size):
        self.path, self.size = path, size
        self.at = int(os.environ["TORN_AT"]) // SECTOR
        self.served = {}  # sector: (bytes or None, count)

    def counts(self):
        with open(os.environ["COUNTS"], "rb") as f:
            f.seek(self.at * 4)
            return array.array("I", f.read(self.size // SECTOR * 4))

    def read_sector(self, fd, sector):
        try:
            return os.pread(fd, SECTOR, sector * SECTOR)
        except OSError as e:
            if e.errno != errno.EIO:
                raise
            return None

    def read_some(self, fd, rnd):
        first = rnd.randrange(self.size // SECTOR)
        got = {}
        for s in range(first, min(first + rnd.randrange(1, 9),
                                  self.size // SECTOR)):
            got[s] = self.read_sector(fd, s)
        return got

    def take(self, got):
        counts = self.counts()
        for s, data in got.items():
            if s not in self.served:
                self.served[s] = (data, counts[s])

    def check_report(self):
        """What was found stale or lost is known to be, before anyone asks."""
        path = os.path.join(os.path.dirname(self.path), "rescue", "disk.json")
        with open(path, encoding="utf-8") as f:
            extents = json.load(f)["extents"]
        is_known = bytearray(self.size // SECTOR)
        for e in extents:
            if e["state"] in ("stale", "lost"):
                first, n = e["offset"] // SECTOR, e["length"] // SECTOR
                is_known[first:first + n] = b"\1" * n
        for s in self.served:
            if is_bad(s) and not is_known[s]:
                raise Broken(f"sector {s} was found bad, and the report has "
                             "forgotten it")

    def check_alone(self, rnd):
        """As the damaged host alone has it: of a bad sector nothing."""
        path = os.path.join(os.environ["MNT"], os.environ["ALONE"])
        bad = [s for s in list(self.served)[-400:] if is_bad(s)]
        fd = os.open(path, os.O_RDONLY)
        try:
            for s in bad[-10:] + rnd.sample(bad, min(len(bad), 5)):
                if self.read_sector(fd, s) is not None:
                    raise Broken(f"sector {s} was found bad, and is given now")
        finally:
            os.close(fd)

    def check(self, rnd):
        """The latest of what was served, and some of the rest."""
        self.check_report()
        self.check_alone(rnd)
        known = list(self.served)
        again = known[-200:] + rnd.sample(known, min(len(known), 100))
        fd = os.open(self.path, os.O_RDONLY)
        try:
            for s in again:
                if self.read_sector(fd, s) != self.served[s][0]:
                    raise Broken(f"sector {s} was served otherwise before")
        finally:
            os.close(fd)
        counts = self.counts()
        for s, (data, count) in self.served.items():
            if counts[s] != count:
                what = "was bad" if data is None else "had been read"
                raise Broken(f"sector {s} {what}, and was asked for "
                             f"{counts[s] - count} times more")


class Round:
    """What goes on between a mount and the kill."""

    def __init__(self, test):
        self.test = test
        self.is_killed = threading.Event()
        self.failure = None
        self.threads = []

    def run(self, work, *args):
        def body():
            try:
                while not self.is_killed.is_set():
                    work(*args)
            except OSError as e:
                if not (self.is_killed.is_set() and e.errno in GONE):
                    self.failure = self.failure or e
            except Exception as e:  # told by whoever ends the round
                self.failure = self.failure or e

        thread = threading.Thread(target=body)
        thread.start()
        self.threads.append(thread)

    def end(self):
        for thread in self.threads:
            thread.join(60)
            if thread.is_alive():
                raise Broken("a client hangs although the daemon is gone")
        if self.failure:
            raise self.failure


class Test:
    def __init__(self, seed, truth, volume):
        self.seed, self.rnd = seed, random.Random(f"{seed} kill9")
        self.daemon = Daemon()
        self.work, self.volume = (
            os.path.join(os.environ["MNT"], os.environ[name])
            for name in ("WORK", "VOLUME"))
        torn = os.path.join(os.environ["MNT"], os.environ["TORN"])
        self.torn = Torn(torn, 8 << 20)
        with open(truth, "rb") as f:
            data = f.read()
        with open(volume, "rb") as f:
            whole = f.read()
        self.shadows = [Shadow(data[:REGION]),
                        Shadow(data[REGION:2 * REGION], REGION),
                        Shadow(data[2 * REGION:], 2 * REGION, LIMIT)]
        self.paths = [self.work] * 3 + [self.volume]
        self.shadows.append(Shadow(whole, 0, len(whole) + REGION))
        self.count = {"changes": 0, "syncs": 0, "reads": 0}
        self.kills = {"working": 0, "beginning": 0, "ending": 0}

    def faults(self, names):
        """Replaced in one step; with nothing, the medium has healed."""
        path = os.environ["FAULTS"]
        with open(path + ".new", "wb") as out:
            for name in names:
                with open(name, "rb") as f:
                    out.write(f.read())
        os.rename(path + ".new", path)

    def change(self, shadow, fd, rnd):
        if rnd.random() < 0.1 and len(shadow.now):
            off = rnd.randrange(len(shadow.now))
            shadow.compare(fd, off, rnd.randrange(1, 70000))
            return
        kinds = "wwwwwppss" + ("t" if shadow.limit else "")
        change = shadow.some_change(rnd, kinds)
        shadow.change(fd, change)
        self.count["changes"] += 1
        self.count["syncs"] += not shadow.pending

    def read(self, fd, rnd, round_):
        got = self.torn.read_some(fd, rnd)
        if not round_.is_killed.is_set():  # else an EIO may be the kill's
            self.torn.take(got)
            self.count["reads"] += 1

    def begin_round(self, number):
        rnd = [random.Random(f"{self.seed} round {number} {i}")
               for i in range(5)]
        round_ = Round(self)
        fds = [os.open(path, os.O_RDWR) for path in self.paths]
        fds.append(os.open(self.torn.path, os.O_RDONLY))
        for i, shadow in enumerate(self.shadows):
            round_.run(self.change, shadow, fds[i], rnd[i])
        round_.run(self.read, fds[4], rnd[4], round_)
        return round_, fds

    def verify(self):
        whole = {}
        for path in set(self.paths):
            fd = os.open(path, os.O_RDONLY)
            try:
                whole[path] = pread_all(fd, os.fstat(fd).st_size, 0)
            finally:
                os.close(fd)
        for path, shadow in zip(self.paths, self.shadows):
            end = shadow.limit or len(shadow.now)
            part = whole[path][shadow.at:shadow.at + end]
            shadow.check(part)
            shadow.adopt(part)
        self.torn.check(self.rnd)

    def kill_working(self, number):
        self.faults([os.environ["BAD"]])
        round_, fds = self.begin_round(number)
        time.sleep(self.rnd.uniform(0, 0.12))
        round_.is_killed.set()
        self.daemon.kill()
        round_.end()
        for fd in fds:
            os.close(fd)
        self.faults([])

    def kill_beginning(self):
        """One that works was killed before: it begins with what that left."""
        self.daemon.start()
        time.sleep(self.rnd.uniform(0, 0.08))
        self.daemon.kill()

    def kill_ending(self, number):
        """Whatever was not synced is, by the unmount; if it gets so far."""
        rnd = random.Random(f"{self.seed} end {number}")
        for path, shadow in zip(self.paths, self.shadows):
            fd = os.open(path, os.O_RDWR)
            for _ in range(5):
                shadow.change(fd, shadow.some_change(rnd, "wwp"))
            os.close(fd)
        self.daemon.begin_unmount()
        time.sleep(self.rnd.uniform(0, 0.03))
        self.daemon.kill()

    def round(self, number):
        kind = self.rnd.choices(list(self.kills), (8, 1, 1))[0]
        self.kills[kind] += 1
        if kind == "ending":
            self.kill_ending(number)
        else:
            self.kill_working(number)
        if kind == "beginning":
            self.kill_beginning()
        self.daemon.start()
        self.daemon.wait_until_up()
        self.verify()

    def run(self, kills):
        self.daemon.start()
        self.daemon.wait_until_up()
        self.verify()
        for number in range(kills):
            try:
                self.round(number)
            except (Broken, OSError) as e:
                raise SystemExit(f"seed {self.seed}, kill {number}: {e}") \
                    from None
        self.daemon.unmount()
        if not self.count["syncs"] or not self.count["reads"] or \
                not any(d is None for d, _ in self.torn.served.values()):
            raise SystemExit(f"nothing was tried: {self.count}")
        print(f"kills {self.kills}, {self.count}, sectors served "
              f"{len(self.torn.served)}")


def main():
    seed, kills = sys.argv[1], int(sys.argv[2])
    test = Test(seed, *sys.argv[3:5])
    try:
        test.run(kills)
    finally:
        test.daemon.end()


if __name__ == "__main__":
    main()
