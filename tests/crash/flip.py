# SPDX-License-Identifier: GPL-3.0-or-later
"""Flipped bits in a state directory: it is refused or served, and no byte of the
rescued store is ever a wrong one.

    flip.py SEED COUNT STATE SCRATCH LOOK [ARG]...

COUNT times STATE is copied to SCRATCH, some bits of one of its files are flipped,
or some of its bytes are zeros, and "LOOK ARG..." (look.c) opens it.
"""
import json
import os
import random
import shutil
import subprocess
import sys


def damage(rnd, path):
    """Where the file's bytes are, mostly near its beginning."""
    size = os.path.getsize(path)
    with open(path, "r+b") as f:
        for _ in range(rnd.choice((1, 1, 3, 20))):
            at = rnd.randrange(min(size, rnd.choice((200, 4096, size))))
            f.seek(at)
            old = f.read(1)[0]
            f.seek(at)
            if rnd.random() < 0.7:
                f.write(bytes([old ^ 1 << rnd.randrange(8)]))
            else:
                f.write(bytes(rnd.randrange(1, 600)))


def main():
    seed, count, state, scratch = sys.argv[1:5]
    rnd = random.Random(f"{seed} flip")
    look = subprocess.Popen(sys.argv[5:], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    told = {"refused": 0, "damaged": 0, "served": 0}
    for number in range(int(count)):
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(state, scratch)
        names = ["known.db"] * 2 + [
            "data/" + n for n in sorted(os.listdir(state + "/data"))
            if n.endswith(".store")]
        name = rnd.choice(names)
        damage(rnd, os.path.join(scratch, name))
        look.stdin.write(f"{scratch} {scratch}.disk\n")
        look.stdin.flush()
        line = look.stdout.readline()
        if not line:
            raise SystemExit(f"seed {seed}, {number}: with bits of {name} "
                             f"flipped it dies of {look.wait(10)}")
        why = json.loads(line).get("failed", "")
        if "wrong bytes" in why:
            raise SystemExit(f"seed {seed}, {number}, {name}: {why}")
        told["damaged" if "is damaged in the state" in why else
             "refused" if why else "served"] += 1
    look.stdin.close()
    if look.wait(30) != 0 or not all(told.values()):
        raise SystemExit(f"seed {seed}: {told}, and the end was "
                         f"{look.returncode}")
    print(f"flipped bits: {told}")


if __name__ == "__main__":
    main()
