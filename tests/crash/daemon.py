# SPDX-License-Identifier: GPL-3.0-or-later
"""A rescuefs mount that a test begins, kills and ends.

From the environment: RESCUEFS, BM (the damaged host), VOLUMES (its volumes, or
nothing), BACKUP (or nothing), STATE, MNT.
"""
import errno
import os
import signal
import subprocess
import time

# What a client of a mount is told whose daemon is gone.
GONE = {errno.ENOTCONN, errno.ECONNABORTED, errno.ENODEV, errno.EIO}


def is_mounted(path):
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        return any(line.split(" ")[1] == path for line in mounts)


class Daemon:
    def __init__(self, state=None, before=()):
        self.mnt = os.environ["MNT"]
        self.state = state or os.environ["STATE"]
        self.before = list(before)
        self.process = None

    def start(self):
        """Begins it; does not wait until it is up."""
        words = self.before + [os.environ["RESCUEFS"], "mount", "-f",
                               "--damaged", os.environ["BM"]]
        if os.environ.get("VOLUMES"):
            words += ["--volumes", os.environ["VOLUMES"]]
        if os.environ.get("BACKUP"):
            words += ["--backup", os.environ["BACKUP"]]
        words += ["--state", self.state, self.mnt]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)

    def wait_until_up(self):
        end = time.monotonic() + 30
        while not is_mounted(self.mnt):
            if self.process.poll() is not None:
                raise SystemExit("rescuefs mount ended: " +
                                 self.process.stderr.read().decode())
            if time.monotonic() > end:
                raise SystemExit("rescuefs mount is not up after 30 s")
            time.sleep(0.003)
        os.listdir(self.mnt)

    def kill(self):
        """kill -9, and nothing of it is left."""
        self.process.send_signal(signal.SIGKILL)
        self.clear()

    def clear(self):
        self.process.wait(30)
        self.process.stderr.close()
        if is_mounted(self.mnt):
            subprocess.run(["umount", "-l", self.mnt], check=True, timeout=30)

    def begin_unmount(self):
        subprocess.run(["umount", self.mnt], check=True, timeout=30)

    def unmount(self):
        self.begin_unmount()
        status = self.process.wait(30)
        said = self.process.stderr.read().decode()
        self.process.stderr.close()
        if status:
            raise SystemExit(f"rescuefs mount ended with {status}: {said}")

    def end(self):
        """However far it came; for the end of a test that failed."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            subprocess.run(["umount", "-l", self.mnt], check=False,
                           stderr=subprocess.DEVNULL, timeout=30)
