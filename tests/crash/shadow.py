# SPDX-License-Identifier: GPL-3.0-or-later
"""What a disk is to hold: now, and after a crash.

A Shadow is a plain copy of a region of a disk, to which the same changes are
made.  It keeps what the region held at the last fsync and the changes since.
After a crash each byte has to be what it was then or what one of the changes
made of it; the size, likewise.  A truncation is a sync as well: the state's
format promises that it is on the disk when it returns.
"""
import ctypes
import os

BLOCK = 512
PUNCH = 1 | 2  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
ZERO = 1 | 16  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64,
                           ctypes.c_int64]


class Broken(Exception):
    """A promise was not kept."""


def fallocate(fd, mode, off, length):
    if libc.fallocate(fd, mode, off, length) != 0:
        errnum = ctypes.get_errno()
        raise OSError(errnum, os.strerror(errnum))


def pread_all(fd, length, off):
    """All of a range; a read may be cut short at any place but the end."""
    parts = []
    while length:
        part = os.pread(fd, min(length, 1 << 20), off)
        if not part:
            break
        parts.append(part)
        off += len(part)
        length -= len(part)
    return b"".join(parts)


class Write:
    def __init__(self, off, data):
        self.off, self.data, self.end = off, data, off + len(data)

    def run(self, fd, at):
        done = os.pwrite(fd, self.data, at + self.off)
        if done != len(self.data):
            raise Broken(f"a write of {len(self.data)} bytes took {done}")

    def apply(self, now):
        if self.end > len(now):
            now.extend(bytes(self.end - len(now)))
        now[self.off:self.end] = self.data

    def byte(self, i):
        return self.data[i - self.off] if self.off <= i < self.end else None

    def makes(self, at, block):
        """True if it alone explains all of it."""
        return self.off <= at and \
            self.data[at - self.off:at - self.off + len(block)] == block

    def __str__(self):
        return f"write of {len(self.data)} bytes at {self.off}"


class Punch:
    def __init__(self, off, length, mode=PUNCH):
        self.off, self.end, self.mode = off, off + length, mode

    def run(self, fd, at):
        fallocate(fd, self.mode, at + self.off, self.end - self.off)

    def apply(self, now):
        end = min(self.end, len(now))
        if end > self.off:
            now[self.off:end] = bytes(end - self.off)

    def byte(self, i):
        return 0 if self.off <= i < self.end else None

    def makes(self, at, block):
        return self.off <= at and at + len(block) <= self.end and \
            not any(block)

    def __str__(self):
        return f"punch of {self.end - self.off} bytes at {self.off}"


class Truncate:
    def __init__(self, size):
        self.size = size

    def run(self, fd, at):
        os.ftruncate(fd, at + self.size)

    def apply(self, now):
        if self.size < len(now):
            del now[self.size:]
        else:
            now.extend(bytes(self.size - len(now)))

    def byte(self, i):
        return 0 if i >= self.size else None

    def makes(self, at, block):
        return at >= self.size and not any(block)

    def __str__(self):
        return f"truncation to {self.size}"


class Sync:
    def run(self, fd, at):
        os.fsync(fd)

    def apply(self, now):
        pass

    def byte(self, i):
        return None

    def __str__(self):
        return "fsync"


def data_of(rnd, length):
    """Random bytes; now and then zeros or one byte, as disks have them."""
    kind = rnd.random()
    if kind < 0.05:
        return bytes(length)
    if kind < 0.1:
        return bytes([rnd.randrange(256)]) * length
    return rnd.randbytes(length)


def place(rnd, size):
    """Somewhere in a region of so many bytes, aligned or not."""
    off = rnd.randrange(size)
    length = rnd.choice((rnd.randrange(1, 600), rnd.randrange(1, 9000),
                         4096 * rnd.randrange(1, 9),
                         rnd.randrange(1, 70000)))
    if rnd.random() < 0.5:
        off &= ~4095
    return off, length


class Shadow:
    """at: where the region begins on the disk.  limit: how long it may grow; None
    where it ends before the disk does."""

    def __init__(self, data, at=0, limit=None):
        self.at, self.limit = at, limit
        self.now = bytearray(data)
        self.synced = bytes(data)
        self.pending = []

    def some_change(self, rnd, kinds):
        kind = rnd.choice(kinds)
        if kind == "s":
            return Sync()
        if kind == "t":
            return Truncate(rnd.randrange(self.limit // 8, self.limit))
        end = self.limit or len(self.now)
        off, length = place(rnd, max(len(self.now), 1))
        length = min(length, end - off)
        if kind == "p":
            length = min(length, len(self.now) - off)
            return Punch(off, max(length, 1), rnd.choice((PUNCH, ZERO)))
        return Write(off, data_of(rnd, length))

    def change(self, fd, change):
        """Makes it on the disk and here; it is pending from the beginning."""
        self.pending.append(change)
        change.run(fd, self.at)
        self.done(change)

    def done(self, change):
        change.apply(self.now)
        if isinstance(change, (Sync, Truncate)):
            self.synced = bytes(self.now)
            self.pending = []

    def compare(self, fd, off, length):
        """What is read is what is here."""
        want = bytes(self.now[off:off + length])
        got = os.pread(fd, len(want), self.at + off)
        if got != want:
            raise Broken(f"{len(want)} bytes at {self.at + off}: " +
                         first_difference(got, want))

    def sizes(self):
        """All sizes that the region may have after a crash."""
        size, found = len(self.synced), {len(self.synced)}
        for change in self.pending:
            if isinstance(change, Truncate):
                size = change.size
            elif isinstance(change, Write):
                size = max(size, change.end)
            found.add(size)
        return found

    def check(self, got):
        """'got' is what a crash left; raises Broken."""
        sizes = self.sizes()
        if len(got) not in sizes:
            raise Broken(f"the size is {self.at + len(got)}, not one of " +
                         str(sorted(self.at + n for n in sizes)))
        shortest = min(sizes)
        if got[:len(self.synced)] == self.synced and \
                not any(got[len(self.synced):]):
            return
        for at in range(0, len(got), BLOCK):
            block = got[at:at + BLOCK]
            if block != self.synced[at:at + BLOCK]:
                self.check_block(at, block, shortest)

    def check_block(self, at, block, shortest):
        changes = [c for c in self.pending if not isinstance(c, Sync) and
                   (isinstance(c, Truncate) or
                    (c.off < at + BLOCK and c.end > at))]
        if any(c.makes(at, block) for c in changes):
            return
        for i in range(at, at + len(block)):
            value = block[i - at]
            old = self.synced[i] if i < len(self.synced) else 0
            if value == old or (value == 0 and i >= shortest):
                continue
            if not any(c.byte(i) == value for c in changes):
                raise Broken(
                    f"byte {self.at + i} is {value}; it was {old} at the last "
                    "fsync, and since then: " +
                    ("; ".join(str(c) for c in changes) or "nothing"))

    def adopt(self, got):
        """What a crash left is what there is from now on."""
        self.now = bytearray(got)
        self.synced = bytes(got)
        self.pending = []


def first_difference(got, want):
    if len(got) != len(want):
        return f"{len(got)} bytes came instead of {len(want)}"
    for i, (a, b) in enumerate(zip(got, want)):
        if a != b:
            return f"byte {i} is {a} instead of {b}"
    return "no difference"
