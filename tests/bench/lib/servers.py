# SPDX-License-Identifier: GPL-3.0-or-later
"""Ours, the peers', and the limit: each shows a disk as a file."""

import contextlib
import os
import subprocess

from data import UUID, chain
from parts import Served, daemon, fresh_dir, is_mounted, unmount


class Place:
    """Where servers mount, and what they say."""

    def __init__(self, work, build):
        self.work = work
        self.rescuefs = build + "/rescuefs"
        self.limit_program = build + "/tests/bench/bench-limit"

    def mountpoint(self, name):
        path = "%s/mnt-%s" % (self.work, name)
        if is_mounted(path):
            unmount(path)
        return fresh_dir(path)

    def log(self, name):
        return "%s/%s.log" % (self.work, name)

    @contextlib.contextmanager
    def rescuefs_on(self, sources, state=None, options=(),
                    disk="instances/%s/disk" % UUID):
        """Ours, on ("--live", DIR), ("--backup", DIR) and so on."""
        mnt = self.mountpoint("rescuefs")
        state = fresh_dir(state or self.work + "/state")
        args = [self.rescuefs, "mount", "-f", "--state", state, *options]
        for kind, where in sources:
            args += [kind, where]
        with daemon(args + [mnt], mnt, "%s/%s" % (mnt, disk),
                    self.log("rescuefs")) as served:
            yield served

    @contextlib.contextmanager
    def qsd(self, opts, writable=False, log="qsd"):
        mnt = self.mountpoint("qsd") + "/disk"
        with open(mnt, "wb"):
            pass
        args = ["qemu-storage-daemon", "--blockdev", opts, "--export",
                "type=fuse,id=e,node-name=d,mountpoint=%s,writable=%s" % (
                    mnt, "on" if writable else "off")]
        with daemon(args, mnt, mnt, self.log(log)) as served:
            yield served

    @contextlib.contextmanager
    def nbdfuse(self, opts):
        mnt = self.mountpoint("nbdfuse")
        args = ["nbdfuse", "-r", mnt + "/disk", "--socket-activation",
                "qemu-nbd", "-r", "--image-opts", opts]
        with daemon(args, mnt, mnt + "/disk", self.log("nbdfuse")) as served:
            yield served

    @contextlib.contextmanager
    def qcowmount(self, flat):
        mnt = self.mountpoint("qcowmount")
        with daemon(["qcowmount", flat, mnt], mnt, mnt + "/qcow1",
                    self.log("qcowmount")) as served:
            yield served

    @contextlib.contextmanager
    def xmount(self, raw):
        mnt = self.mountpoint("xmount")
        shown = mnt + "/" + os.path.basename(raw).replace(".raw", ".dd")
        subprocess.run(["xmount", "--in", "raw", raw, "--out", "raw", mnt],
                       check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=60)
        try:
            if not os.path.exists(shown):
                names = [n for n in os.listdir(mnt)
                         if not n.endswith(".info")]
                shown = "%s/%s" % (mnt, names[0])
            yield Served(shown)
        finally:
            unmount(mnt)

    @contextlib.contextmanager
    def limit(self, raw):
        mnt = self.mountpoint("limit")
        with daemon([self.limit_program, raw, mnt], mnt, mnt + "/disk",
                    self.log("limit")) as served:
            read_ahead(mnt, 1024)
            yield served


def read_ahead(mountpoint, kib):
    """Has the kernel read so far ahead there, as rescuefs orders for itself."""
    dev = os.stat(mountpoint).st_dev
    with open("/sys/class/bdi/%d:%d/read_ahead_kb" % (os.major(dev),
                                                      os.minor(dev)),
              "w", encoding="ascii") as f:
        f.write("%d\n" % kib)


def qemu_node(disk, base, read_only=True):
    return chain(disk, base, node="d", read_only=read_only)
