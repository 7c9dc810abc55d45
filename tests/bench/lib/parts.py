# SPDX-License-Identifier: GPL-3.0-or-later
"""What all workloads use: commands, mounts, timing, medians."""

import contextlib
import json
import mmap
import os
import shutil
import signal
import statistics
import subprocess
import time

MIB = 1 << 20
GIB = 1 << 30

REPORTING = "/sys/module/page_reporting/parameters/page_reporting_order"


def run(*args, **kw):
    """Runs a command; its output is shown only if it fails."""
    kw.setdefault("timeout", 1200)
    p = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, **kw)
    if p.returncode:
        raise RuntimeError("%s: status %d\n%s" % (
            " ".join(map(str, args)), p.returncode,
            p.stdout.decode(errors="replace")[-2000:]))
    return p.stdout.decode(errors="replace")


def shell(script, **kw):
    return run("bash", "-c", "set -euo pipefail; " + script, **kw)


def timed(function):
    begun = time.monotonic()
    function()
    return time.monotonic() - begun


def warm(*paths):
    """Into the page cache, whole, so that no run pays for the disk."""
    for path in paths:
        with open(path, "rb") as f:
            while f.read(8 * MIB):
                pass


def forget(path):
    """The page cache of this file, and of nothing below it."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


@contextlib.contextmanager
def memory_kept():
    """The machine keeps its free memory, and has been given all of it.

    A virtual machine may hand free memory back to its host (free page reporting
    of virtio-balloon), which then costs a fault in the host for each page that
    is filled anew: up to eight times what the filling costs, now and then, and
    that is what would be measured.  Reporting begins with blocks of some order;
    the kernel has none of MAX_ORDER pages or more.
    """
    try:
        with open(REPORTING, encoding="ascii") as f:
            order = f.read()
        with open(REPORTING, "w", encoding="ascii") as f:
            f.write("11")
    except OSError:
        yield  # no such kernel, or not ours to say
        return
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if free > 2 * GIB:
            with mmap.mmap(-1, free - GIB, flags=mmap.MAP_PRIVATE |
                           mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE):
                pass
        yield
    finally:
        with open(REPORTING, "w", encoding="ascii") as f:
            f.write(order)


def fio(path, **options):
    """Runs fio; returns its job's result."""
    options = {"name": "x", "filename": path, "output-format": "json",
               "ioengine": "psync", "thread": 1, "group_reporting": 1,
               "randseed": 20131, "allow_file_create": 0, "fallocate": "none",
               **options}
    args = ["--%s=%s" % (k, v) if v != "" else "--" + k
            for k, v in options.items()]
    out = run("fio", *args)
    return json.loads(out[out.index("{"):])["jobs"][0]


def read_speed(path, size, direct):
    """MB/s of one reading from start to end, by the MiB."""
    forget(path)
    job = fio(path, rw="read", bs="1M", direct=int(direct), size=size,
              readonly="")
    return job["read"]["bw_bytes"] / 1e6


def random_rate(path, size, jobs, seconds=2):
    """Reads of 4 KiB a second, past the page cache."""
    job = fio(path, rw="randread", bs="4k", direct=1, size=size,
              numjobs=jobs, runtime=seconds, time_based=1, norandommap=1,
              readonly="")
    return job["read"]["iops"]


def is_mounted(path):
    with open("/proc/self/mounts", encoding="utf-8") as f:
        return any(line.split()[1] == path for line in f)


def wait_until(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("%s: not within %d s" % (what, seconds))
        time.sleep(0.02)


def unmount(path):
    for args in (["umount", path], ["umount", "-l", path]):
        if not is_mounted(path):
            return
        subprocess.run(args, stderr=subprocess.DEVNULL, timeout=60,
                       check=False)


def memory_of(pid):
    """Resident bytes of a process."""
    with open("/proc/%d/status" % pid, encoding="utf-8") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


class Served:
    """A disk that a program shows as a file, until the block ends."""

    def __init__(self, path, pid=None):
        self.path = path
        self.pid = pid


@contextlib.contextmanager
def daemon(args, mountpoint, shown, log):
    """Starts a server and waits until 'shown' is there.

    It may stay in the foreground, or go to the background by itself.
    """
    with open(log, "ab") as out:
        p = subprocess.Popen([str(a) for a in args], stdout=out, stderr=out,
                             stdin=subprocess.DEVNULL)
    try:
        def is_up():
            if p.poll():
                with open(log, encoding="utf-8", errors="replace") as f:
                    raise RuntimeError("%s ended: %s" % (args[0],
                                                         f.read()[-800:]))
            return is_mounted(mountpoint) and os.path.exists(shown)
        wait_until(is_up, str(args[0]))
        yield Served(shown, p.pid)
    finally:
        unmount(mountpoint)
        with contextlib.suppress(subprocess.TimeoutExpired):
            p.wait(timeout=3)
        if p.poll() is None:
            p.send_signal(signal.SIGTERM)
            try:
                p.wait(timeout=10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


def fresh_dir(path):
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def median(values):
    return statistics.median(values)


class Table:
    """Figures of one workload: each party's, round by round."""

    def __init__(self, name, unit, more_is_better=True):
        self.name = name
        self.unit = unit
        self.more_is_better = more_is_better
        self.rounds = {}
        self.goals = []

    def add(self, party, value):
        self.rounds.setdefault(party, []).append(value)

    def value(self, party):
        return median(self.rounds[party])

    def parties(self):
        return list(self.rounds)

    def goal(self, text, party, base, at_least=None, at_most=None):
        """A ratio that is wanted: party to base, by rounds that met."""
        if party not in self.rounds:
            return
        if isinstance(base, (int, float)):
            ratio = self.value(party) / base
        else:
            bases = [b for b in base if b in self.rounds]
            if not bases:
                return
            pick = max if self.more_is_better else min
            best = pick(bases, key=self.value)
            text = text.replace("BEST", best)
            ratio = median([a / b for a, b in zip(self.rounds[party],
                                                  self.rounds[best])])
        met = ratio >= at_least if at_least is not None else ratio <= at_most
        self.goals.append({"goal": text, "ratio": ratio, "met": met,
                           "wanted": at_least if at_least is not None
                           else at_most,
                           "at_least": at_least is not None})

    def as_json(self):
        return {"workload": self.name, "unit": self.unit,
                "median": {p: self.value(p) for p in self.rounds},
                "rounds": self.rounds, "goals": self.goals}


def interleaved(rounds, parties):
    """Each party in turn, in every round another one first."""
    names = list(parties)
    for i in range(rounds):
        for k in range(len(names)):
            name = names[(i + k) % len(names)]
            yield name, parties[name]
