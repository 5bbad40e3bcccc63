"""A small capture in the collector's real tables, with or without a cluster around it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from nshell.collector import schema

if TYPE_CHECKING:
    from pathlib import Path

START_MS = 1_764_000_000_000
SYN, SYN_ACK, RST_ACK = 2, 2 | 16 | 256, 4 | 16 | 1024
WEB, SHOP, CACHE, SCANNER, OUTSIDE = "10.0.0.1", "10.0.1.2", "10.0.0.3", "10.0.0.9", "203.0.113.5"
_OWNERS = {
    WEB: ("shop", "web-1", "web", "n1", "zone-a"),
    SHOP: ("shop", "db-0", "db", "n2", "zone-b"),
    CACHE: ("kube-system", "cache", "cache", "n1", "zone-a"),
}
_ENDS = {
    "flow": ("Src", "Dst"), "packet_drop": ("Src", "Dst"), "tcp_event": ("Src", "Dst"),
    "dns": ("Client", "Server"),
}  # fmt: skip


def make_store(path: Path, *, cluster: bool) -> None:
    """The file; nothing has it open when this returns."""
    schema.create(path)
    with closing(sqlite3.connect(path)) as db, db:
        _fill(db)
        if cluster:
            _name(db)


def _insert(db: sqlite3.Connection, table: str, **cells: object) -> None:
    places = ", ".join("?" * len(cells))
    db.execute(
        f"INSERT INTO {table} ({', '.join(cells)}) VALUES ({places})",
        list(cells.values()),
    )


def _flow(
    db: sqlite3.Connection, source: str, port: int, to: str, to_port: int, **more: object
) -> None:
    cells = {
        "SrcAddr": source, "SrcPort": port, "DstAddr": to, "DstPort": to_port, "Proto": 6,
        "Etype": 2048, "Bytes": 100, "Packets": 1, "Node": "n1",
        "TimeFlowStartMs": START_MS, "TimeFlowEndMs": START_MS + 500, **more,
    }  # fmt: skip
    _insert(db, "flow", **cells)


def _fill(db: sqlite3.Connection) -> None:
    for node, size in (("n1", 1000), ("n2", 900)):  # the same traffic, seen twice
        _flow(db, WEB, 40000, SHOP, 5432, Flags=SYN, Bytes=size, Node=node,
              TimeHandshakeRttNs=250_000)  # fmt: skip
        _flow(db, SHOP, 5432, WEB, 40000, Flags=SYN_ACK, Bytes=5 * size, Node=node,
              TimeFlowRttNs=300_000)  # fmt: skip
    _flow(db, CACHE, 40500, WEB, 80, Flags=SYN, Bytes=70)
    _flow(db, WEB, 80, CACHE, 40500, Flags=SYN_ACK, Bytes=7000)
    for port in (41001, 41002, 41003):
        _flow(db, WEB, port, CACHE, 443, Flags=SYN, TimeFlowEndMs=START_MS + port)
    _flow(db, WEB, 42000, SHOP, 30_081, Flags=SYN)
    _flow(db, SHOP, 30_081, WEB, 42000, Flags=RST_ACK)
    for port in range(30_001, 30_032):
        _flow(db, SCANNER, 50000, SHOP, port, Flags=SYN)
    _flow(db, WEB, 43000, OUTSIDE, 443, Flags=SYN, Bytes=3000)
    _flow(db, OUTSIDE, 443, WEB, 43000, Flags=SYN_ACK, Bytes=9000)
    _insert(db, "flow", SrcAddr=CACHE, DstAddr=WEB, Proto=1, Etype=2048, IcmpType=3, IcmpCode=4,
            Bytes=90, Packets=2, Node="n1", TimeFlowStartMs=START_MS,
            TimeFlowEndMs=START_MS)  # fmt: skip
    _events(db)


def _events(db: sqlite3.Connection) -> None:
    now = START_MS * 10**6
    dns = {"ClientAddr": WEB, "ServerAddr": CACHE, "Type": "A", "Node": "n1", "TimeNs": now}
    _insert(db, "dns", **dns, Name="db.shop.", Rcode="NoError", Status="answered", LatencyMs=250.0,
            Retries=1)  # fmt: skip
    _insert(db, "dns", **dns, Name="db.shop.", Rcode="NoError", Status="answered", LatencyMs=1.0)
    _insert(db, "dns", **dns, Name="nowhere.", Rcode="NXDomain", Status="answered", LatencyMs=2.0)
    _insert(db, "dns", **dns, Name="silent.", Status="unanswered")
    _insert(db, "dns_name", Address=OUTSIDE, Name="example.org.")
    ends = {"SrcAddr": WEB, "SrcPort": 40000, "DstAddr": SHOP, "DstPort": 5432, "Proto": 6}
    drop = {**ends, "TimeNs": now, "Node": "n2", "Length": 60}
    for _ in range(3):
        _insert(db, "packet_drop", **drop, Reason="NETFILTER_DROP", Loss=1)
    _insert(db, "packet_drop", **drop, Reason="TCP_OLD_ACK", Loss=0)
    del ends["Proto"]
    _insert(db, "tcp_event", **ends, TimeNs=now, Node="n1", Event="retransmit", Segments=2)
    _insert(db, "tcp_event", **ends, TimeNs=now + 5, Node="n1", Event="retransmit", Segments=1)
    _insert(db, "tcp_event", **ends, TimeNs=now, Node="n1", Event="state")
    _insert(db, "loss", Node="n1", Stage="ring", Count=7, Bytes=700, TimeFromMs=START_MS,
            TimeToMs=START_MS + 10)  # fmt: skip


def _name(db: sqlite3.Connection) -> None:
    for table, ends in _ENDS.items():
        there = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
        for end in ends:
            for address, (namespace, name, owner, node, zone) in _OWNERS.items():
                cells = {"Namespace": namespace, "Name": name, "OwnerName": owner,
                         "HostName": node, "Zone": zone}  # fmt: skip
                known = {f"{end}K8S_{key}": value for key, value in cells.items()}
                kept = {key: value for key, value in known.items() if key in there}
                sets = ", ".join(f"{key} = ?" for key in kept)
                db.execute(
                    f"UPDATE {table} SET {sets} WHERE {end}Addr = ?",
                    [*kept.values(), address],
                )
