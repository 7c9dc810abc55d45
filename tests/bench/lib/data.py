# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured on, made from one seed and kept for a run."""

import os
import random
import shutil
import time
import uuid

from parts import GIB, MIB, fresh_dir, run, shell

SEED = 2013
UUID = "5b0e9a7c-1d2f-4c3b-8a69-0f1e2d3c4b5a"
BASE = "da4b9237bacccdf19c0760cab7aec4a8359010b0"
INSTANCES = "var/lib/nova/instances"


def noise(path, size, salt):
    """A file of bytes that nothing can compress, the same every time."""
    shell("head -c %d /dev/zero | openssl enc -aes-128-ctr -nosalt "
          "-K %032x -iv %032x >'%s'" % (size, SEED, salt, path))


def instance_files(root, uuid, formats):
    """The directory and disk.info of an instance in a host's tree."""
    place = "%s/%s/%s" % (root, INSTANCES, uuid)
    os.makedirs(place, exist_ok=True)
    info = ", ".join('"/%s/%s/%s": "%s"' % (INSTANCES, uuid, d, f)
                     for d, f in formats.items())
    with open(place + "/disk.info", "w", encoding="utf-8") as f:
        f.write("{%s}" % info)
    return place


def overlay(root, uuid, virtual, base=BASE):
    place = instance_files(root, uuid, {"disk": "qcow2"})
    run("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b",
        "/%s/_base/%s" % (INSTANCES, base), place + "/disk", virtual)
    return place + "/disk"


def chain(disk, base, node="", read_only=True):
    """An overlay and its base as qemu's options, past what its header says."""
    opts = {"driver": "qcow2", "file.driver": "file", "file.filename": disk,
            "backing.driver": "raw", "backing.file.driver": "file",
            "backing.file.filename": base}
    if node:
        opts["node-name"] = node
    if read_only:
        opts["read-only"] = "on"
    return ",".join("%s=%s" % kv for kv in opts.items())


def write_runs(disk, base, pieces, pattern):
    """Writes (offset, length) pieces of a pattern file through qemu-io."""
    script = "\n".join("write -q -s %s %d %d" % (pattern, off, length)
                       for off, length in pieces)
    run("qemu-io", "--image-opts", chain(disk, base, read_only=False), "-t",
        "unsafe", input=script.encode())


class Healthy:
    """A qcow2 disk over a base, a day-old backup behind it, and its bytes."""

    def __init__(self, work, size):
        self.size = size
        self.dir = fresh_dir(work + "/healthy")
        self.host = self.dir + "/bm0002"
        self.backup = self.dir + "/backup/bm0002"
        self.raw = self.dir + "/disk.raw"
        self.flat = self.dir + "/flat.qcow2"
        self._make_host()
        os.makedirs(self.dir + "/backup")
        shell("cp -a --reflink=auto '%s' '%s'" % (self.host, self.backup))
        shell("touch -d '2026-01-01' '%s'" % self.disk_of(self.backup))
        run("qemu-img", "convert", "-O", "raw", "--image-opts",
            chain(self.disk, self.base), self.raw)
        run("qemu-img", "convert", "-O", "qcow2", self.raw, self.flat)

    def _make_host(self):
        os.makedirs("%s/%s/_base" % (self.host, INSTANCES))
        self.base = "%s/%s/_base/%s" % (self.host, INSTANCES, BASE)
        noise(self.base, self.size // 2, 1)
        self.disk = overlay(self.host, UUID, self.size)
        # Half of it written since, in pieces as a guest writes them.
        picks = random.Random(SEED)
        pieces = [(off, 4 * MIB) for off in range(0, self.size, 8 * MIB)]
        picks.shuffle(pieces)
        noise(self.dir + "/pattern", 4 * MIB, 2)
        write_runs(self.disk, self.base, pieces, self.dir + "/pattern")

    @staticmethod
    def disk_of(root):
        return "%s/%s/%s/disk" % (root, INSTANCES, UUID)

    def sources(self):
        return [self.disk, self.base, self.raw, self.flat]


class Sparse:
    """A disk of a size with 1 GiB of data in 64 places, as an overlay."""

    def __init__(self, work, size, data=GIB):
        self.size = size
        self.dir = fresh_dir("%s/sparse-%d" % (work, size))
        self.host = self.dir + "/bm0002"
        os.makedirs("%s/%s/_base" % (self.host, INSTANCES))
        self.base = "%s/%s/_base/%s" % (self.host, INSTANCES, BASE)
        noise(self.base, MIB, 3)
        self.disk = overlay(self.host, UUID, size)
        noise(self.dir + "/pattern", data // 64, 4)
        step = size // 64
        write_runs(self.disk, self.base,
                   [(i * step, data // 64) for i in range(64)],
                   self.dir + "/pattern")


def make_site(work, instances):
    """A host with so many instances, and two backups of it."""
    top = fresh_dir(work + "/site")
    roots = [top + "/bm0002", top + "/backup1", top + "/backup2"]
    image = top + "/image"
    run("qemu-img", "create", "-q", "-f", "qcow2", image, "1G")
    run("qemu-io", "-f", "qcow2", "-c", "write -q 0 1M", image)
    ids = [str(uuid.uuid5(uuid.NAMESPACE_OID, str(i)))
           for i in range(instances)]
    for age, root in enumerate(roots):
        for i in ids:
            place = instance_files(root, i, {"disk": "qcow2"})
            shutil.copyfile(image, place + "/disk")
            when = time.time() - age * 86400
            os.utime(place + "/disk", (when, when))
    return roots, ids
