# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a healthy disk, and one on a damaged source."""

from data import Healthy, Sparse, chain, make_site
from parts import (GIB, MIB, Table, interleaved, random_rate, read_speed,
                   warm)
from servers import qemu_node

QCOW2_PEERS = ["qemu-storage-daemon", "qemu-nbd + nbdfuse", "qcowmount"]

MEASURES = [
    ("sequential, buffered", "MB/s",
     lambda d, size: read_speed(d, size, False), 3.0),
    ("sequential, O_DIRECT 1 MiB", "MB/s",
     lambda d, size: read_speed(d, size, True), 2.5),
    ("random 4 KiB, O_DIRECT, one at a time", "reads/s",
     lambda d, size: random_rate(d, size, 1), 2.5),
    ("random 4 KiB, O_DIRECT, four at a time", "reads/s",
     lambda d, size: random_rate(d, size, 4), 2.5),
]


def measure_all(tables, party, served, size, prefix=""):
    for name, _, measure, _ in MEASURES:
        tables[name].add(prefix + party, measure(served.path, size))


def healthy(bench):
    """Reads of a qcow2 disk over a base, a backup behind it."""
    data = bench.data("healthy",
                      lambda: Healthy(bench.work, bench.scaled(2 * GIB)))
    place = bench.place
    parties = {
        "rescuefs": lambda: place.rescuefs_on([("--live", data.host),
                                               ("--backup", data.backup)]),
        "qemu-storage-daemon": lambda: place.qsd(
            qemu_node(data.disk, data.base)),
        "qemu-nbd + nbdfuse": lambda: place.nbdfuse(
            chain(data.disk, data.base)),
        "qcowmount": lambda: place.qcowmount(data.flat),
        "xmount (raw)": lambda: place.xmount(data.raw),
        "limit (raw)": lambda: place.limit(data.raw),
    }
    tables = {m[0]: Table("healthy qcow2: " + m[0], m[1]) for m in MEASURES}
    warm(*data.sources())
    for name, serve in interleaved(bench.rounds, parties):
        with serve() as served:
            measure_all(tables, name, served, data.size)
    for name, _, _, times in MEASURES:
        tables[name].goal("%.1f times the best qcow2 peer (BEST)" % times,
                          "rescuefs", QCOW2_PEERS, at_least=times)
        tables[name].goal("0.85 of limit", "rescuefs", ["limit (raw)"],
                          at_least=0.85)
    return list(tables.values())


def pass_twice(bench, table, party, measure, size, **how):
    """A first pass is one only once: each measure has a new state."""
    data = bench.data("healthy", None)
    sources = [("--damaged", data.host), ("--backup", data.backup)]
    with bench.place.rescuefs_on(sources, **how) as served:
        table.add(party + ", first pass", measure(served.path, size))
        read_speed(served.path, size, True)
        table.add(party + ", after", measure(served.path, size))


def damaged(bench):
    """The same on a damaged source: its store on, first and after, and off."""
    data = bench.data("healthy",
                      lambda: Healthy(bench.work, bench.scaled(2 * GIB)))
    state = bench.in_memory("state", 2 * data.size)
    parties = {
        "store on": {"state": state},
        "store on, state on the source's own disk": {},
        "store off": {"state": state, "options": ["--store", "off"]},
    }
    tables = {m[0]: Table("damaged source: " + m[0], m[1]) for m in MEASURES}
    warm(*data.sources())
    for party, how in interleaved(bench.rounds, parties):
        for name, _, measure, _ in MEASURES:
            pass_twice(bench, tables[name], party, measure, data.size, **how)
    for table in tables.values():
        table.goal("first pass: 0.5 of the store off", "store on, first pass",
                   ["store off, first pass"], at_least=0.5)
        table.goal("after that: 0.9 of it", "store on, after",
                   ["store off, after"], at_least=0.9)
    return list(tables.values())


def break_provenance(path, size):
    """Reads every other block, so that what is known has no two alike."""
    with open(path, "rb", buffering=0) as f:
        for off in range(0, size, 8192):
            f.seek(off)
            f.read(4096)


def scaling(bench):
    """Random reads where disk, site and provenance are small, and large."""
    disks = {
        "small": bench.data("1 GiB", lambda: Sparse(bench.work, GIB, GIB)),
        "large": bench.data("1 TiB", lambda: Sparse(bench.work, 1024 * GIB,
                                                    GIB)),
    }
    roots, _ = bench.data("site", lambda: make_site(bench.work,
                                                    bench.scaled(1000)))
    table = Table("random 4 KiB, O_DIRECT, one at a time, of 16 MiB",
                  "reads/s")
    piece = 16 * MIB

    def small():
        return bench.place.rescuefs_on([("--live", disks["small"].host)])

    def large():
        others = [("--damaged", roots[0] + ",host=bm0009"),
                  ("--backup", roots[1] + ",host=bm0009,name=older"),
                  ("--backup", roots[2] + ",host=bm0009,name=oldest")]
        return bench.place.rescuefs_on([("--live", disks["large"].host),
                                        *others])

    warm(*(d.disk for d in disks.values()))
    for name, serve in interleaved(bench.rounds, {
            "1 GiB disk, 1 instance": small,
            "1 TiB disk, 1,001 instances, broken provenance": large}):
        with serve() as served:
            if serve is large:
                break_provenance(served.path, 4 * piece)
            table.add(name, random_rate(served.path, piece, 1))
    large_name, small_name = table.parties()[::-1]
    table.goal("the cost of a request does not grow", large_name,
               [small_name], at_least=0.9)
    return [table]
