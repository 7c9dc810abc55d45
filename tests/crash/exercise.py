# SPDX-License-Identifier: GPL-3.0-or-later
"""Random work on disks of a mount, compared with plain copies all the while.

    exercise.py SEED SECONDS DISK=TRUTH...

DISK is a path below MNT, TRUTH a file with what it holds at the beginning.  Reads,
writes (plain, past the page cache, through a shared mapping), truncations, holes,
fsyncs, new handles, remounts, kill -9 after an fsync, resets; and what SEEK_HOLE
and the report say is held against the copy.  The same seed does the same work,
as far as the time goes.  Further arguments come from the environment, see
daemon.py.
"""
import json
import mmap
import os
import random
import sys
import time

from daemon import Daemon
from shadow import (Broken, Punch, Shadow, Sync, Truncate, Write, data_of,
                    fallocate, first_difference, place, pread_all)

LIMIT = 14 << 20
PAGE = 4096
SEEK_DATA, SEEK_HOLE = 3, 4


class Grow:
    """fallocate beyond the end: the size grows, and what is new is zero."""

    def __init__(self, off, length):
        self.off, self.end = off, off + length

    def run(self, fd, _):
        fallocate(fd, 0, self.off, self.end - self.off)

    def apply(self, now):
        now.extend(bytes(max(self.end - len(now), 0)))

    def __str__(self):
        return f"fallocate of {self.end - self.off} bytes at {self.off}"


class DirectWrite(Write):
    """Past the page cache: from an aligned place, whole sectors."""

    def run(self, fd, _):
        with mmap.mmap(-1, len(self.data)) as buf:
            buf[:] = self.data
            done = os.pwritev(fd, [buf], self.off)
        if done != len(self.data):
            raise Broken(f"a write of {len(self.data)} bytes took {done}")

    def __str__(self):
        return "direct " + super().__str__()


class MappedWrite(Write):
    """Through a shared mapping; within the disk."""

    def run(self, fd, _):
        first = self.off & ~(PAGE - 1)
        with mmap.mmap(fd, self.end - first, offset=first) as m:
            m[self.off - first:] = self.data
            m.flush()

    def __str__(self):
        return "mapped " + super().__str__()


class Disk:
    def __init__(self, name, truth, seed):
        self.path = os.path.join(os.environ["MNT"], name)
        with open(truth, "rb") as f:
            self.truth = f.read()
        self.rnd = random.Random(f"{seed} {name}")
        self.counts = {}
        self.fds = []
        self.can_map = True
        self.begin()

    def begin(self):
        self.shadow = Shadow(self.truth, 0, LIMIT)
        self.local = bytearray(len(self.truth))  # 1: written, for the report

    def open(self):
        self.fds = [os.open(self.path, os.O_RDWR),
                    os.open(self.path, os.O_RDWR | os.O_DIRECT)]

    def close(self):
        while self.fds:
            os.close(self.fds.pop())

    # Changes.

    def make(self, change, fd):
        before = len(self.shadow.now)
        self.shadow.change(fd, change)
        size = len(self.shadow.now)
        del self.local[size:]
        if isinstance(change, Sync):
            return
        # What lay between the old end and a write is zero from now on.
        self.local.extend(b"\1" * (size - len(self.local)))
        if isinstance(change, (Write, Punch)):
            off, end = change.off, min(change.end, size)
            if isinstance(change, MappedWrite):
                off &= ~(PAGE - 1)
                end = min((end + PAGE - 1) & ~(PAGE - 1), size)
            self.local[off:end] = b"\1" * max(end - off, 0)
        at = getattr(change, "off", min(before, size))
        self.look(max(at - 3000, 0), getattr(change, "end", at) - at + 6000)

    def do_write(self):
        self.make(self.shadow.some_change(self.rnd, "w"), self.fds[0])

    def do_direct_write(self):
        off, length = place(self.rnd, LIMIT)
        off, length = off & ~511, (length | 511) + 1
        self.make(DirectWrite(off, data_of(self.rnd, length)), self.fds[1])

    def do_mapped_write(self):
        off, length = place(self.rnd, max(len(self.shadow.now), 1))
        length = min(length, len(self.shadow.now) - off)
        if length < 1 or not self.can_map:
            return
        self.make(MappedWrite(off, data_of(self.rnd, length)), self.fds[0])

    def do_punch(self):
        self.make(self.shadow.some_change(self.rnd, "p"), self.fds[0])

    def do_truncate(self):
        size = len(self.shadow.now)
        change = self.rnd.choice((
            self.shadow.some_change(self.rnd, "t"),
            Truncate(min(size + self.rnd.randrange(10000), LIMIT)),
            Truncate(max(size - self.rnd.randrange(10000), 0)),
            Truncate(len(self.truth))))
        self.make(change, self.fds[0])

    def do_grow(self):
        off = max(len(self.shadow.now) - self.rnd.randrange(9000), 0)
        length = self.rnd.randrange(1, 90000)
        if off + length <= LIMIT:
            self.make(Grow(off, length), self.fds[0])

    def do_sync(self):
        self.make(Sync(), self.fds[0])

    def do_reset(self):
        if self.rnd.random() < 0.05:
            os.setxattr(self.path, "user.rescuefs.control", b"reset")
            self.begin()

    # Looks.

    def look(self, off, length):
        """A plain read and the size, held against the copy."""
        length = min(length, len(self.shadow.now) - off)
        if length > 0:
            self.shadow.compare(self.fds[0], off, length)
        size = os.fstat(self.fds[0]).st_size
        if size != len(self.shadow.now):
            raise Broken(f"the size is {size} instead of "
                         f"{len(self.shadow.now)}")

    def do_read(self):
        self.look(*place(self.rnd, max(len(self.shadow.now), 1)))

    def do_read_end(self):
        size = len(self.shadow.now)
        got = os.pread(self.fds[0], 5000, max(size - 2000, 0))
        if got != self.shadow.now[max(size - 2000, 0):]:
            raise Broken("a read across the end differs")

    def do_direct_read(self):
        off, length = place(self.rnd, max(len(self.shadow.now), 1))
        off, length = off & ~511, (length | 511) + 1
        with mmap.mmap(-1, length) as buf:
            done = os.preadv(self.fds[1], [buf], off)
            got = buf[:done]
        want = self.shadow.now[off:off + length]
        if got != want:
            raise Broken(f"direct read of {length} bytes at {off}: " +
                         first_difference(got, want))

    def do_mapped_read(self):
        off, length = place(self.rnd, max(len(self.shadow.now), 1))
        first, end = off & ~(PAGE - 1), min(off + length,
                                            len(self.shadow.now))
        if end <= off:
            return
        with mmap.mmap(self.fds[0], end - first, flags=mmap.MAP_PRIVATE,
                       prot=mmap.PROT_READ, offset=first) as m:
            if m[:] != self.shadow.now[first:end]:
                raise Broken(f"{end - first} mapped bytes at {first} differ")

    def do_seek(self):
        """No byte of a hole is anything but zero."""
        at, size = 0, len(self.shadow.now)
        while at < size:
            try:
                data = os.lseek(self.fds[0], at, SEEK_DATA)
            except OSError as e:
                if e.errno != 6:  # ENXIO: nothing but a hole from here on
                    raise
                data = size
            if any(self.shadow.now[at:data]):
                raise Broken(f"SEEK_DATA goes from {at} to {data}, and there "
                             "is data between")
            at = data
            if at < size:
                at = os.lseek(self.fds[0], at, SEEK_HOLE)
                if not data < at <= size:
                    raise Broken(f"SEEK_HOLE goes from {data} to {at}")

    def do_report(self):
        path = os.path.join(os.path.dirname(self.path), "rescue",
                            os.path.basename(self.path) + ".json")
        with open(path, encoding="utf-8") as f:
            report = json.load(f)
        at, size = 0, len(self.shadow.now)
        for e in report["extents"]:
            end = e["offset"] + e["length"]
            want = b"\1" if e["state"] == "local" else b"\0"
            if e["offset"] != at or \
                    self.local[at:end] != want * e["length"]:
                raise Broken(f"the report says of {e['length']} bytes at "
                             f"{e['offset']} that they are {e['state']}")
            at = end
        if at != size or report["size"] != size or \
                sum(report["totals"].values()) != size:
            raise Broken("the report does not add up")

    def do_all(self):
        self.look(0, len(self.shadow.now))

    def do_open(self):
        self.close()
        self.open()

    OFTEN = ("write",) * 8 + ("direct_write",) * 4 + ("mapped_write",) * 2 + \
        ("punch",) * 4 + ("truncate",) * 3 + ("grow", "sync", "reset") + \
        ("read",) * 8 + ("direct_read",) * 3 + ("mapped_read",) * 2 + \
        ("read_end", "seek", "report", "all", "open")

    def step(self):
        name = self.rnd.choice(self.OFTEN)
        try:
            getattr(self, "do_" + name)()
        except OSError as e:
            # A disk that is served past the page cache cannot be mapped so.
            if name != "mapped_write" or e.errno != 19:
                raise Broken(f"{name}: {e}") from None
            self.can_map = False
            self.shadow.pending.pop()
        self.counts[name] = self.counts.get(name, 0) + 1


class Exercise:
    def __init__(self, seed, disks):
        self.rnd = random.Random(f"{seed} exercise")
        self.disks = disks
        self.daemon = Daemon()
        self.mounts = self.kills = self.steps = 0

    def mount(self):
        self.daemon.start()
        self.daemon.wait_until_up()
        self.mounts += 1
        for disk in self.disks:
            disk.open()
            disk.do_all()

    def remount(self):
        kills = self.rnd.random() < 0.3
        for disk in self.disks:
            if kills:
                disk.do_sync()
            disk.close()
        if kills:
            self.daemon.kill()
            self.kills += 1
        else:
            self.daemon.unmount()
        self.mount()

    def run(self, seconds):
        end = time.monotonic() + seconds
        self.mount()
        while time.monotonic() < end:
            for disk in self.disks:
                disk.step()
            self.steps += 1
            if self.rnd.random() < 0.003:
                self.remount()
        self.remount()
        for disk in self.disks:
            disk.do_report()
            disk.close()
        self.daemon.unmount()


def main():
    seed, seconds = sys.argv[1], float(sys.argv[2])
    disks = [Disk(*word.split("=", 1), seed) for word in sys.argv[3:]]
    test = Exercise(seed, disks)
    try:
        test.run(seconds)
    except (Broken, OSError) as e:
        raise SystemExit(f"seed {seed}, step {test.steps} (mount "
                         f"{test.mounts}): {e}") from None
    finally:
        test.daemon.end()
    for disk in disks:
        missing = [n for n in set(Disk.OFTEN) if not disk.counts.get(n)]
        if missing and seconds >= 20:
            raise SystemExit(f"never tried: {missing}")
    if all(disk.can_map for disk in disks) or \
            not any(disk.can_map for disk in disks):
        raise SystemExit("one disk should be mapped for writing, one not")
    print(f"{test.steps} steps on each of {len(disks)} disks, {test.mounts} "
          f"mounts, {test.kills} kills")


if __name__ == "__main__":
    main()
