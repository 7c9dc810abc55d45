# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk below a state directory, from a trace of what was done to it.

read_trace() makes events of strace's lines (-f -y -xx).  A Disk takes them one by
one, and make() builds what a power cut may leave at that moment: what was synced
is there; of what came later all, nothing, or some sectors; a name only if its
directory was synced since, or by chance.
"""
import os
import re

SECTOR = 512
TRACED = ("openat,pwrite64,write,pwritev,pwritev2,writev,fsync,fdatasync,"
          "sync_file_range,ftruncate,truncate,fallocate,mkdir,mkdirat,unlink,"
          "unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat")

NAMING = ("openat", "mkdir", "mkdirat", "unlink", "unlinkat", "rename",
          "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
          "truncate")

LINE = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(.*)", re.S)
QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
FD = re.compile(r"^\(?(\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?")


def unhex(text):
    return bytes.fromhex(text.replace("\\x", ""))


class Event:
    """call: its name; path: of the file; 'begins' or 'ends', or both where
    nothing came between."""

    def __init__(self, call, path, args):
        self.call, self.path, self.args = call, path, args
        self.begins = self.ends = True


def event_of(call, text, is_ours):
    """None for one that failed, changes nothing or is none of ours."""
    head, _, result = text.rpartition(" = ")
    if result.startswith("-") or not head:
        return None
    fd = FD.match(head)
    base = unhex(fd.group(2)).decode() if fd else None
    if fd and fd.group(3):
        return None  # nobody finds what is done to it
    if call not in NAMING and not (base and is_ours(base)):
        return None
    strings = []
    for m in QUOTED.finditer(head):
        if m.group(2):
            raise ValueError(f"strace cut a string of {call} short")
        strings.append(unhex(m.group(1)))
    numbers = [int(n) for n in re.findall(r", (\d+)(?=[,)])", head + ")")]
    if call in ("pwrite64", "write", "fsync", "fdatasync", "ftruncate",
                "fallocate"):
        if call == "pwrite64":
            data = strings[0][:int(result.split()[0])]
            return Event("write", base, (numbers[-1], data))
        if call == "write":
            return Event("append", base, strings[0])
        if call == "fallocate":
            if "FALLOC_FL_PUNCH_HOLE" not in head:
                return Event("grow", base, sum(numbers[-2:]))
            return Event("punch", base, tuple(numbers[-2:]))
        if call == "ftruncate":
            return Event("truncate", base, numbers[-1])
        return Event("sync", base, None)
    if call not in NAMING or (call == "openat" and "O_CREAT" not in head):
        return Event(call, base, None) if call != "openat" else None
    path = os.path.join(base or "/", strings[0].decode())
    if call == "openat":
        return Event("make", path, "O_TRUNC" in head)
    if call in ("mkdir", "mkdirat"):
        return Event("mkdir", path, None)
    if call in ("unlink", "unlinkat"):
        return Event("unlink", path, None)
    return Event(call, path, None)


def read_trace(name, is_ours):
    """Yields events of paths that is_ours() wants.  A sync that others came
    between is two: only what was written before its beginning is synced."""
    waiting = {}
    with open(name, encoding="ascii") as lines:
        for line in lines:
            m = LINE.match(line)
            if not m:
                continue
            pid, call, rest = m.groups()
            if call == "exited" or rest.startswith("exited"):
                continue
            if "<unfinished ...>" in rest:
                begun = rest[:rest.index("<unfinished")].rstrip()
                fd = FD.match(begun)
                waiting[pid] = [begun, None]
                if call in ("fsync", "fdatasync") and fd:
                    event = Event("sync", unhex(fd.group(2)).decode(), None)
                    event.ends = False
                    waiting[pid][1] = event
                    if is_ours(event.path):
                        yield event
                continue
            begun, event = None, None
            if " resumed>" in rest:
                begun, event = waiting.pop(pid)
                rest = begun + rest.split(" resumed>", 1)[1]
            done = event_of(call, rest.rstrip("\n"), is_ours)
            if not done or not is_ours(done.path):
                continue
            if event:
                done.begins, done.pair = False, event
            yield done


class File:
    """durable: what is on the disk for certain; later: what came since."""

    def __init__(self):
        self.durable = bytearray()
        self.now = bytearray()
        self.later = []
        self.gone = 0  # so many changes are synced, and forgotten here
        self.stale = []  # where the copy that make() made is another

    def change(self, op):
        self.later.append(op)
        apply(op, self.now)

    def mark(self):
        return self.gone + len(self.later)

    def sync(self, mark):
        n = max(mark - self.gone, 0)
        for op in self.later[:n]:
            apply(op, self.durable)
            self.spoil(op)
        del self.later[:n]
        self.gone += n

    def spoil(self, op):
        self.stale.append(extent(op))

    def some(self, rnd, how):
        """What of the later changes is there: whole ones, or torn."""
        share = {"gone": 0, "there": 1}.get(how)
        if share is None:
            share = rnd.choice((0, 0.1, 0.5, 0.9, 1))
        if share in (0, 1):
            return list(self.later) if share else []
        kept = []
        for op in self.later:
            if op[0] == "write" and rnd.random() < 0.7:
                kept += sectors(rnd, share, op)
            elif rnd.random() < share:
                kept.append(op)
        return kept


def apply(op, data):
    kind, off, arg = op
    if kind == "write":
        if off > len(data):
            data.extend(bytes(off - len(data)))
        data[off:off + len(arg)] = arg
    elif kind == "punch":
        n = min(arg, len(data) - off)
        if n > 0:
            data[off:off + n] = bytes(n)
    elif kind == "grow":
        data.extend(bytes(max(off - len(data), 0)))
    elif off < len(data):
        del data[off:]
    else:
        data.extend(bytes(off - len(data)))


def extent(op):
    kind, off, arg = op
    if kind == "write":
        return off, len(arg)
    return (off, arg) if kind == "punch" else (off, 1 << 40)


def sectors(rnd, share, op):
    """Some of a write's sectors, as writes of their own."""
    _, off, data = op
    at, out = off, []
    while at < off + len(data):
        end = min((at // SECTOR + 1) * SECTOR, off + len(data))
        if rnd.random() < share:
            out.append(("write", at, data[at - off:end - off]))
        at = end
    return out


class Dir:
    def __init__(self):
        self.durable = {}
        self.now = {}
        self.later = []  # (name, node or None)
        self.gone = 0

    def change(self, name, node):
        self.later.append((name, node))
        if node is None:
            self.now.pop(name, None)
        else:
            self.now[name] = node

    mark = File.mark

    def sync(self, mark):
        n = max(mark - self.gone, 0)
        for name, node in self.later[:n]:
            put_name(self.durable, name, node)
        del self.later[:n]
        self.gone += n

    def some(self, rnd, how):
        """Changes to one name come in their order; those to two in any."""
        names = dict(self.durable)
        upto = {}
        for name, node in self.later:
            if how == "some" and rnd.random() < 0.5:
                upto[name] = False
            if how != "gone" and upto.get(name, True):
                put_name(names, name, node)
        return names


def put_name(names, name, node):
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


class Disk:
    """root: the path, in the trace, of a directory that is there for good."""

    def __init__(self, root):
        self.root, self.top = root, Dir()
        self.copies = {}  # path: the File that make() copied there

    def find(self, path):
        node = self.top
        for name in [n for n in path[len(self.root):].split("/") if n]:
            node = node.now.get(name) if isinstance(node, Dir) else None
            if node is None:
                return None
        return node

    def parent(self, path):
        return self.find(os.path.dirname(path)), os.path.basename(path)

    def take(self, event, drops=lambda path, node: False):
        """'drops' says which syncs are none."""
        node = self.find(event.path)
        if event.call in ("make", "mkdir"):
            if node is None:
                parent, name = self.parent(event.path)
                parent.change(name, File() if event.call == "make" else Dir())
            elif event.args:
                node.change(("truncate", 0, None))
        elif event.call == "unlink":
            parent, name = self.parent(event.path)
            parent.change(name, None)
        elif event.call == "sync":
            if event.begins:
                event.node, event.mark = node, node.mark()
            if event.ends:
                begun = event if event.begins else event.pair
                if not drops(event.path, begun.node):
                    begun.node.sync(begun.mark)
        elif event.call == "write":
            node.change(("write",) + event.args)
        elif event.call == "punch":
            node.change(("punch",) + event.args)
        elif event.call in ("truncate", "grow"):
            node.change((event.call, event.args, None))
        else:
            raise ValueError(f"{event.call} of {event.path}: not in the model")

    def make(self, where, rnd, how):
        """'how': "gone", "there" or "some".  'where' was made by this before,
        or is not there; other programs may have changed known.db* in it, and
        taken files away, and nothing else."""
        self.make_dir(where, self.top, rnd, how)

    def make_dir(self, where, node, rnd, how):
        names = node.some(rnd, how)
        os.makedirs(where, exist_ok=True)
        for name in os.listdir(where):
            if name not in names:
                remove(os.path.join(where, name))
        for name, child in sorted(names.items()):
            path = os.path.join(where, name)
            if isinstance(child, Dir):
                self.make_dir(path, child, rnd, how)
            else:
                self.make_file(path, child, child.some(rnd, how))

    def make_file(self, path, file, ops):
        """Copies what differs from the time before; of SQLite's, all."""
        if self.copies.get(path) is not file or "known" in path or \
                not os.path.exists(path):
            if os.path.exists(path):
                os.unlink(path)
            file.stale = [(0, len(file.durable))]
            self.copies[path] = file
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        for off, length in file.stale:
            os.pwrite(fd, memoryview(file.durable)[off:off + length], off)
        os.ftruncate(fd, len(file.durable))
        file.stale = []
        for op in ops:
            write_op(fd, op)
            file.spoil(op)
        os.close(fd)


def write_op(fd, op):
    kind, off, arg = op
    size = os.fstat(fd).st_size
    if kind == "write":
        os.pwrite(fd, arg, off)
    elif kind == "punch":
        os.pwrite(fd, bytes(max(min(arg, size - off), 0)), off)
    elif kind == "truncate" or off > size:
        os.ftruncate(fd, off)


def remove(path):
    if os.path.isdir(path):
        for name in os.listdir(path):
            remove(os.path.join(path, name))
        os.rmdir(path)
    else:
        os.unlink(path)

