"""What the capture has seen so far, as questions to the store, and what the answers tell.

Each question is bounded: the last rows of a table, and of those that fit the
first few. It is asked in the background (nshell.shell.completion.known).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Protocol

from nshell.filters.names import PROTOCOLS
from nshell.shell.units import human_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nshell.shell.kinds import World

RECENT_ROWS = 50_000
"""Of a table that are looked at."""
_MOST = 200
_RECENT = f"rowid > (SELECT max(rowid) FROM flow) - {RECENT_ROWS}"  # noqa: S608 - ours
_PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}


class Question(Protocol):
    """Something to ask the store; equal ones have one answer."""

    @property
    def sql(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Flows:
    """What a column of flows, or both ends of one, has had, the most bytes first."""

    columns: tuple[str, ...]
    note: str = "NULL"
    """SQL that says what a Value is."""

    @property
    def sql(self) -> str:
        ends = " UNION ALL ".join(
            f"SELECT {column} AS Value, Proto, Bytes FROM recent"  # noqa: S608 - ours
            for column in self.columns
        )
        return (
            f"WITH recent AS (SELECT {', '.join(dict.fromkeys((*self.columns, 'Proto', 'Bytes')))} "  # noqa: S608
            f"FROM flow WHERE {_RECENT}), "
            f"known AS (SELECT Value, sum(Bytes) AS Bytes, max(Proto) AS Proto FROM ({ends}) "
            f"WHERE Value IS NOT NULL GROUP BY Value ORDER BY Bytes DESC, Value LIMIT {_MOST}) "
            f"SELECT Value, Bytes, {self.note} AS Note FROM known"
        )


@dataclass(frozen=True, slots=True)
class Ends:
    """Who spoke to whom at which port, the most bytes first; answers count for the question."""

    @property
    def sql(self) -> str:
        return (
            "WITH pair AS (SELECT SrcAddr AS A, DstAddr AS B, "  # noqa: S608 - ours
            "DstPort AS Port, sum(Bytes) AS Bytes "
            f"FROM flow WHERE {_RECENT} AND SrcAddr IS NOT NULL "
            "AND (DstPort IS NULL OR DstPort <= SrcPort) "
            f"GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT {_MOST}) "
            "SELECT A, B, Port, Bytes, ip_name(B) FROM pair"
        )


@dataclass(frozen=True, slots=True)
class Names:
    """Whom in the cluster the traffic was of, the most bytes first."""

    @property
    def sql(self) -> str:
        sides = " UNION ALL ".join(
            f"SELECT {side}K8S_Type AS Type, {side}K8S_Namespace AS Namespace, "  # noqa: S608
            f"{side}K8S_Name AS Name, {side}K8S_OwnerType AS OwnerType, "
            f"{side}K8S_OwnerName AS OwnerName, Bytes FROM recent"
            for side in ("Src", "Dst")
        )
        return (
            f"WITH recent AS NOT MATERIALIZED (SELECT * FROM flow WHERE {_RECENT}) "  # noqa: S608
            "SELECT Type, Namespace, Name, OwnerType, OwnerName, sum(Bytes) "
            f"FROM ({sides}) WHERE Name IS NOT NULL "
            "GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC LIMIT 1000"
        )


@dataclass(frozen=True, slots=True)
class ColumnValues:
    """What a column of a table has had, the most frequent first."""

    table: str
    column: str

    @property
    def sql(self) -> str:
        table, column = (f'"{name.replace(chr(34), chr(34) * 2)}"' for name in self._names)
        recent = f"rowid > (SELECT max(rowid) FROM {table}) - {RECENT_ROWS}"  # noqa: S608
        return (
            f"SELECT {column}, count(*) FROM {table} "  # noqa: S608 - quoted, and only read
            f"WHERE {recent} AND {column} IS NOT NULL "
            f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {_MOST // 4}"
        )

    @property
    def _names(self) -> tuple[str, str]:
        return self.table, self.column


ADDRESSES = Flows(("SrcAddr", "DstAddr"), "ip_name(Value)")
SOURCES = Flows(("SrcAddr",), "ip_name(Value)")
DESTINATIONS = Flows(("DstAddr",), "ip_name(Value)")
PORTS = Flows(("SrcPort", "DstPort"), "port_name(Value, Proto)")
SOURCE_PORTS = Flows(("SrcPort",), "port_name(Value, Proto)")
DESTINATION_PORTS = Flows(("DstPort",), "port_name(Value, Proto)")
OF_PREDICATE: dict[str, Question] = {
    "peer_ip": ADDRESSES, "cidr": ADDRESSES, "peer_cidr": ADDRESSES,
    "src_cidr": SOURCES, "dst_cidr": DESTINATIONS,
    "port": PORTS, "sport": SOURCE_PORTS, "dport": DESTINATION_PORTS,
    "protocol": Flows(("Proto",)), "interface": Flows(("Interface",)),
    "icmp_type": Flows(("IcmpType",)), "icmp_code": Flows(("IcmpCode",)),
    **dict.fromkeys(("pod", "namespace", "service", "owner", "node"), Names()),
}  # fmt: skip
"""What tells of the values of a filter's predicate."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One value, and what is known of it."""

    text: str
    meta: str


def sources(world: World) -> list[Seen]:
    """Who has sent something, the most bytes first."""
    return [_seen("", row) for row in world.seen(SOURCES)]


def targets(source: str, world: World) -> list[Seen]:
    """Whom somebody has spoken to, and at which port; where that is not known, whom anybody has."""
    rows = world.seen(Ends())
    own = [row for row in rows if row[0] == source] or rows
    sizes: dict[str, int] = {}
    notes: dict[str, str] = {}
    for _, address, port, size, note in own:
        for text in {_at_port(address, port), address}:
            sizes[text] = sizes.get(text, 0) + (size or 0)
            notes[text] = _other(note, address)
    # With its port before without, where it has but one.
    ranked = sorted(sizes, key=lambda text: (-sizes[text], -len(text)))
    return [Seen(text, noted(human_bytes(sizes[text]), notes[text])) for text in ranked]


def _at_port(address: str, port: object) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def noted(*parts: str) -> str:
    """Those that say something, as one."""
    return " · ".join(part for part in parts if part)


def of_predicate(predicate: str, world: World) -> list[Seen]:
    """The values that it could have, the most bytes first."""
    question = OF_PREDICATE.get(predicate)
    if question is None:
        return []
    rows = world.seen(question)
    if isinstance(question, Names):
        return [Seen(name, size) for name, size in names(predicate, rows).items()]
    if predicate.endswith("cidr"):
        return networks(rows)
    return [_seen(predicate, row) for row in rows]


def _seen(predicate: str, row: Sequence[Any]) -> Seen:
    value, size, note = row
    text = str(value)
    if predicate == "protocol":
        text = _PROTOCOL_NAMES.get(value, text)
    return Seen(text, noted(human_bytes(size or 0), _other(note, text)))


def _other(note: object, text: str) -> str:
    """A note that does not say the same again."""
    return str(note) if note is not None and str(note) != text else ""


def networks(rows: Sequence[Sequence[Any]]) -> list[Seen]:
    """Addresses, and the networks that several of them are in."""
    inside: dict[str, list[int]] = {}
    for address, size, _ in rows:
        if network := _network(str(address)):
            inside.setdefault(network, []).append(size or 0)
    found = [(sum(sizes), 0, Seen(network, f"{human_bytes(sum(sizes))} · {len(sizes)} addresses"))
             for network, sizes in inside.items() if len(sizes) > 1]  # fmt: skip
    found += [(row[1] or 0, 1, _seen("", row)) for row in rows]
    return [seen for *_, seen in sorted(found, key=lambda each: (-each[0], each[1]))]


@lru_cache(1 << 12)
def _network(address: str) -> str:
    """The network that it is probably in."""
    try:
        size = 24 if ip_address(address).version == 4 else 64
        return str(ip_network(f"{address}/{size}", strict=False))
    except ValueError:
        return ""


def names(sort: str, rows: Iterable[Sequence[Any]]) -> dict[str, str]:
    """Of one sort, each with its bytes, the most first."""
    sizes: dict[str, int] = {}
    for row in rows:
        if name := _name(sort, row):
            sizes[name] = sizes.get(name, 0) + (row[5] or 0)
    ranked = sorted(sizes.items(), key=lambda item: -item[1])
    return {name: human_bytes(size) for name, size in ranked}


def _name(sort: str, row: Sequence[Any]) -> str:
    type_, namespace, name, owner_type, owner, _ = row
    if sort == "namespace":
        return namespace or ""
    if sort == "owner":
        return f"{owner_type.lower()}/{owner}" if owner_type and owner else ""
    if str(type_).lower() != sort:
        return ""
    return f"{namespace}/{name}" if namespace else str(name)


def numbered(column: str, value: object) -> str:
    """What a number in a column stands for, where that is a name of ours."""
    if column == "Proto" and isinstance(value, int):
        return _PROTOCOL_NAMES.get(value, "")
    if re.search("Direction$", column) and value in (0, 1):
        return ("ingress", "egress")[int(value == 1)]
    return ""
