"""What a view shows of a row: columns, in sets, and the ends of a connection in several ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from nshell.shell.view.words import (
    clock,
    count,
    duration_ms,
    duration_ns,
    flag_names,
    layer,
    plain,
    protocol_name,
    size,
    way,
    with_port,
)

if TYPE_CHECKING:
    from nshell.shell.view.rows import Row

Names: TypeAlias = Mapping[str, str]
"""Of addresses, as DNS answers of this capture tell."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column on the screen."""

    title: str
    show: Callable[[Row, Names], str]
    """The cell's text; the caller escapes it."""
    right: bool = False
    least: int = 0
    """Columns that it may be squeezed to, and is cut then; 0: it is not squeezed."""
    well: int = 0
    """Columns that it is not squeezed below for the sake of others that matter less."""
    alarm: bool = False
    """Something is wrong where it is neither empty nor 0."""
    exact: Column | None = None
    """The same with the numbers that are in the store, where `show` makes them readable."""


@dataclass(frozen=True, slots=True)
class ColumnSet:
    """Columns that are shown together."""

    title: str
    columns: tuple[Column, ...]
    feature: str = ""
    """What must be enabled for anything to be in them."""


@dataclass(frozen=True, slots=True)
class Level:
    """One way to show who the ends are."""

    title: str
    show: Callable[[Row, str, Names], str] | None
    """Of a row and "Src" or "Dst"; None: ends are not shown."""


_UNITS: Mapping[Callable[..., str], str] = {
    size: "", count: "", duration_ms: "ms", duration_ns: "ns",
}  # fmt: skip
"""What makes a number readable, and what must be said of the number instead."""


def _of(column: str, words: Callable[..., str], title: str, **how: object) -> Column:
    made = Column(title, lambda row, _: words(row[column]), **how)  # type: ignore[arg-type]
    if words not in _UNITS:
        return made
    return _or_exact(made, lambda row: plain(row[column]), unit=_UNITS[words])


def _or_exact(column: Column, show: Callable[[Row], str], *, unit: str = "") -> Column:
    title = f"{column.title} {unit}".rstrip()
    return replace(column, exact=replace(column, title=title, show=lambda row, _: show(row)))


def _address(row: Row, end: str) -> str:
    """Without IP there is at least a MAC address."""
    return plain(row[f"{end}Addr"] or row[f"{end}Mac"])


def ip_and_port(row: Row, end: str, _: Names) -> str:
    return with_port(_address(row, end), row[f"{end}Port"])


def name_of(row: Row, end: str, names: Names) -> str:
    """Pod, service or node, else a DNS name, else nothing."""
    name, namespace = plain(row[f"{end}K8S_Name"]), plain(row[f"{end}K8S_Namespace"])
    if name:
        return f"{namespace}/{name}" if namespace else name
    return names.get(plain(row[f"{end}Addr"]), "")


def _name(row: Row, end: str, names: Names) -> str:
    return with_port(name_of(row, end, names) or _address(row, end), row[f"{end}Port"])


def _namespace(row: Row, end: str, _: Names) -> str:
    return plain(row[f"{end}K8S_Namespace"])


def _owner(row: Row, end: str, _: Names) -> str:
    owner, kind = plain(row[f"{end}K8S_OwnerName"]), plain(row[f"{end}K8S_OwnerType"])
    return f"{kind}/{owner}" if owner else ""


def _node(row: Row, end: str, _: Names) -> str:
    return plain(row[f"{end}K8S_HostName"] or row[f"{end}K8S_HostIP"])


def _zone(row: Row, end: str, _: Names) -> str:
    return plain(row[f"{end}K8S_Zone"])


LEVELS = (
    Level("none", None),
    Level("IP & port", ip_and_port),
    Level("name", _name),
    Level("namespace", _namespace),
    Level("owner", _owner),
    Level("node", _node),
    Level("zone", _zone),
)
IP_AND_PORT = 1
END_LEAST = 15
"""An IPv4 address is whole in it."""
END_WELL = 26
"""And most names."""


def ends(level: Level, prefixes: tuple[str, str]) -> tuple[Column, ...]:
    """The two columns of a level."""
    if level.show is None:
        return ()
    show = level.show
    return tuple(
        Column(
            title=prefix.lower() if prefix in ("Src", "Dst") else prefix,
            show=lambda row, names, prefix=prefix: show(row, prefix, names),  # type: ignore[misc]
            least=END_LEAST,
            well=END_WELL,
        )
        for prefix in prefixes
    )


def _who(end: str, title: str) -> Column:
    return Column(title, partial(_named_end, end=end), least=10, well=END_WELL)


def _named_end(row: Row, names: Names, *, end: str) -> str:
    return name_of(row, end, names)


def _lasted(row: Row) -> int:
    return row.whole("TimeFlowEndMs") - row.whole("TimeFlowStartMs")


def _length(row: Row, number: Callable[[int], str]) -> str:
    kept, length = row.whole("CapLen"), row.whole("Length")
    return number(length) if kept >= length else f"{number(kept)} of {number(length)}"


TIME_MS = _or_exact(
    Column("time", lambda row, _: clock(row.whole("TimeFlowEndMs") * 1_000_000)),
    lambda row: plain(row["TimeFlowEndMs"]),
    unit="ms",
)
TIME_NS = _or_exact(
    Column("time", lambda row, _: clock(row.whole("TimeNs"))),
    lambda row: plain(row["TimeNs"]),
    unit="ns",
)
PROTO = _of("Proto", protocol_name, "proto")
BYTES = _of("Bytes", size, "bytes", right=True)
PACKETS = _of("Packets", count, "packets", right=True)
FLAGS = _of("Flags", flag_names, "flags", least=7)
WAY = _of("IfDirection", way, "dir")
INTERFACE = _of("Interface", plain, "interface", least=9)
LENGTH = _of("Length", count, "length", right=True)
NODE = _of("Node", plain, "seen on", least=6)
LASTED = _or_exact(
    Column("lasted", lambda row, _: duration_ms(_lasted(row)), right=True),
    lambda row: str(_lasted(row)),
    unit="ms",
)
CUT_LENGTH = _or_exact(
    Column("length", lambda row, _: _length(row, count), right=True), lambda row: _length(row, str)
)
DSCP = _of("Dscp", plain, "dscp", right=True)
FILTER = _of("FilterId", plain, "filter", right=True)

FLOW_SETS = (
    ColumnSet(
        "endpoints",
        (PROTO, BYTES, PACKETS, LASTED, WAY, INTERFACE, NODE,
         _of("FlowDirection", layer, "node dir"), FILTER),
    ),
    ColumnSet(
        "names",
        (_who("Src", "src name"), _who("Dst", "dst name"), PROTO, BYTES,
         _of("K8S_FlowLayer", plain, "layer"), NODE),
    ),
    ColumnSet(
        "DNS",
        (_of("DnsName", plain, "name", least=10, well=40),
         _of("DnsFlagsResponseCode", plain, "rcode"),
         _of("DnsLatencyMs", duration_ms, "latency", right=True),
         _of("DnsId", plain, "id", right=True), _of("DnsErrno", plain, "errno", right=True),
         BYTES),
        feature="dns",
    ),
    ColumnSet(
        "drops",
        (_of("PktDropPackets", count, "dropped", right=True, alarm=True),
         _of("PktDropBytes", size, "drop bytes", right=True),
         _of("PktDropLatestDropCause", plain, "cause", least=10, well=26),
         _of("PktDropLatestState", plain, "state", least=8, well=16),
         _of("PktDropLatestFlags", flag_names, "drop flags", least=7), PACKETS),
        feature="drops",
    ),
    ColumnSet(
        "RTT",
        (_of("TimeFlowRttNs", duration_ns, "rtt", right=True),
         _of("TimeHandshakeRttNs", duration_ns, "handshake", right=True),
         _of("TimeSynAckNs", duration_ns, "syn-ack", right=True), PROTO, BYTES, PACKETS),
        feature="rtt",
    ),
    ColumnSet(
        "TCP",
        (FLAGS, _of("TcpRetransmits", count, "retransmits", right=True, alarm=True), PACKETS,
         BYTES, LASTED, DSCP),
        feature="tcp",
    ),
)  # fmt: skip

PACKET_SETS = (
    ColumnSet("endpoints", (PROTO, FLAGS, CUT_LENGTH, WAY, INTERFACE)),
    ColumnSet(
        "names",
        (_who("Src", "src name"), _who("Dst", "dst name"), PROTO, LENGTH, NODE),
    ),
    ColumnSet(
        "link",
        (_of("Etype", lambda cell: f"0x{cell:04x}" if isinstance(cell, int) else "", "type"),
         _of("Vlan", plain, "vlan", right=True), DSCP, LENGTH,
         _of("CapLen", count, "kept", right=True), WAY, INTERFACE, NODE),
    ),
    ColumnSet(
        "TCP and ICMP",
        (FLAGS, _of("IcmpType", plain, "icmp type", right=True),
         _of("IcmpCode", plain, "icmp code", right=True), LENGTH),
    ),
    ColumnSet(
        "file",
        (LENGTH, FILTER, _of("Generation", plain, "generation", right=True),
         _of("Segment", plain, "segment", right=True), _of("Offset", plain, "offset", right=True)),
    ),
)  # fmt: skip

_QUERY = (
    _of("Name", plain, "name", least=10, well=40), _of("Type", plain, "type"),
    _of("Rcode", plain, "rcode"), _of("LatencyMs", duration_ms, "latency", right=True),
)  # fmt: skip
DNS_SETS = (
    ColumnSet("exchange", (*_QUERY, _of("Status", plain, "status", least=8)), feature="dns"),
    ColumnSet(
        "answers",
        (_QUERY[0], _QUERY[1], _of("Answers", plain, "answers", right=True),
         _of("Addresses", plain, "addresses", least=12, well=40)),
        feature="dns",
    ),
    ColumnSet(
        "trouble",
        (*_QUERY, _of("Retries", count, "retries", right=True, alarm=True),
         _of("Problem", plain, "problem", least=10, well=30)),
        feature="dns",
    ),
    ColumnSet(
        "names",
        (_who("Client", "client name"), _who("Server", "server name"), _QUERY[0], _QUERY[2],
         NODE),
        feature="dns",
    ),
    ColumnSet(
        "wire",
        (PROTO, _of("DnsId", plain, "id", right=True), LENGTH,
         _of("Questions", count, "questions", right=True), INTERFACE, NODE),
        feature="dns",
    ),
)  # fmt: skip

_REASON = _of("Reason", plain, "reason", least=10, well=26)
DROP_SETS = (
    ColumnSet(
        "reasons",
        (_REASON, PROTO, LENGTH, _of("Function", plain, "function", least=10, well=24)),
        feature="drops",
    ),
    ColumnSet(
        "names",
        (_who("Src", "src name"), _who("Dst", "dst name"), _REASON, NODE),
        feature="drops",
    ),
    ColumnSet(
        "TCP",
        (_REASON, FLAGS, _of("TcpState", plain, "state", least=8, well=16),
         _of("Loss", lambda cell: "yes" if cell else "no", "missed")),
        feature="drops",
    ),
    ColumnSet(
        "where",
        (_REASON, WAY, INTERFACE, NODE, _of("NetNs", plain, "netns", right=True), FILTER),
        feature="drops",
    ),
)  # fmt: skip
