"""Names for an export of packets: of the addresses in it and of its interfaces.

Invariant: a name is one that held while the packets with that address passed; what
cannot stand in the format is written so that it can.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nshell.collector import schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nshell.collector.decode.rows import Cell
    from nshell.collector.query.sql import LockedReader

MOST = 50_000
"""Addresses that are named at most."""
_PER_ADDRESS = 4
_NOT_IN_NAMES = re.compile(r"[^!-~]")
_NAME_LENGTH = 255

_USED = """
WITH nobs_pairs AS MATERIALIZED (
    SELECT SrcAddr AS a, DstAddr AS b, min(TimeNs) AS first, max(TimeNs) AS last
    FROM packet{where} GROUP BY 1, 2
), nobs_used AS MATERIALIZED (
    SELECT Address, min(first) / 1000000 AS first, max(last) / 1000000 AS last FROM (
        SELECT a AS Address, first, last FROM nobs_pairs
        UNION ALL SELECT b, first, last FROM nobs_pairs)
    WHERE Address IN ({known}) GROUP BY Address LIMIT {most}
)
SELECT NULL, min(first) / 1000000, max(last) / 1000000, NULL, NULL FROM nobs_pairs
{owners}
{answers}
"""
_OWNERS = """UNION ALL SELECT * FROM (
    SELECT o.Address, o.Type, o.Namespace, o.Name, 0
    FROM nobs_used AS u JOIN ip_owner AS o ON o.Address = u.Address
    WHERE o.ValidFromMs <= u.last AND ifnull(o.ValidToMs, u.first) >= u.first
    ORDER BY o.ValidFromMs DESC)"""
_ANSWERS = """UNION ALL SELECT * FROM (
    SELECT d.Address, '', NULL, d.Name, 1
    FROM nobs_used AS u JOIN dns_name AS d ON d.Address = u.Address
    WHERE d.TimeFirstMs <= u.last ORDER BY d.TimeLastMs DESC)"""
_MACHINES = """SELECT Address, Type, Namespace, Name FROM ip_owner
    WHERE ValidFromMs <= {last} AND ifnull(ValidToMs, {first}) >= {first}
      AND Address IN (SELECT p.value FROM interface AS i, json_each(i.Peer) AS p)
    ORDER BY ValidFromMs"""


@dataclass(frozen=True, slots=True)
class ExportNames:
    """What an export says besides its packets."""

    addresses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names of each address, the latest last: it is the one that Wireshark shows."""
    machines: Mapping[tuple[str, int, str], str] = field(default_factory=dict)
    """Who is at the other end of an interface, by node, number and name."""


def names_for(reader: LockedReader, where: str) -> ExportNames:
    """Of the packets that a clause selects; QueryError if it is wrong."""
    tables = [
        name
        for name in ("ip_owner", "dns_name")
        if name in {each.name for each in schema.TABLES} and _has_rows(reader, name)
    ]
    # Looks at every packet: only where there is something to find.
    if not tables:
        return ExportNames()
    sql = _USED.format(
        where=where,
        known=" UNION ".join(f"SELECT Address FROM {name}" for name in tables),  # noqa: S608
        owners=_OWNERS if "ip_owner" in tables else "",
        answers=_ANSWERS if "dns_name" in tables else "",
        most=MOST,
    )
    rows = reader.rows(reader.execute(sql))
    _, first, last, *_ = next(rows)
    if first is None:
        return ExportNames()
    owned: dict[str, list[str]] = {}
    answered: dict[str, list[str]] = {}
    for address, kind, namespace, name, is_answer in rows:
        names = (answered if is_answer else owned).setdefault(str(address), [])
        written = _written(_full(namespace, name) if kind else str(name).rstrip("."))
        if written and written not in names and len(names) < _PER_ADDRESS:
            names.insert(0, written)
    machines = _machines(reader, int(str(first)), int(str(last))) if "ip_owner" in tables else {}
    return ExportNames({**answered, **owned}, machines)


def _has_rows(reader: LockedReader, table: str) -> bool:
    sql = f"SELECT 1 FROM {table} LIMIT 1"  # noqa: S608  a name of ours
    return bool(list(reader.rows(reader.execute(sql))))


def _machines(reader: LockedReader, first: int, last: int) -> dict[tuple[str, int, str], str]:
    """Interfaces with somebody known at their other end; the latest one of an address."""
    sql = _MACHINES.format(first=first, last=last)
    owners = {
        str(address): f"{str(kind).lower()} {_full(namespace, name)}"
        for address, kind, namespace, name in reader.rows(reader.execute(sql))
    }
    sql = "SELECT Node, IfIndex, Name, Peer FROM interface WHERE Peer IS NOT NULL"
    found = {}
    for node, ifindex, name, peer in reader.rows(reader.execute(sql)):
        told = dict.fromkeys(owners[each] for each in json.loads(str(peer)) if each in owners)
        if told and isinstance(ifindex, int):
            found[str(node), ifindex, str(name)] = ", ".join(told)
    return found


def _full(namespace: Cell, name: Cell) -> str:
    return f"{namespace!s}/{name!s}" if namespace else str(name)


def _written(name: str) -> str:
    """As the format takes it: a NUL would end it, and what is no letter is no name."""
    return _NOT_IN_NAMES.sub("_", name)[:_NAME_LENGTH]
