"""The rows that tell of two ends, fetched by SQL.

Invariant: only rows of the generations in which the filters of `why` held, so
all of it was watched from the same moment on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nshell.shell.client import Client
    from nshell.shell.why.question import Question

MAX_ROWS = 1000
"""Of each kind."""
FIN, SYN, RST, PSH, ACK, SYN_ACK = 0x01, 0x02, 0x04, 0x08, 0x10, 0x100
"""Of flow.Flags."""
_FLAG_BITS = (FIN, SYN, RST, PSH, ACK, SYN_ACK)
_ADDRESS_TYPES = ("A", "AAAA")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Flow:
    """All rows of one direction of one conversation at a node."""

    node: str
    src: str
    src_port: int | None
    dst: str
    dst_port: int | None
    proto: int
    icmp_type: int | None
    icmp_code: int | None
    packets: int
    bytes: int
    flags: int
    """Those of _FLAG_BITS."""
    rtt_ns: int | None
    handshake_ns: int | None
    retransmits: int | None


@dataclass(frozen=True, slots=True)
class Drop:
    """Packets lost on a node for one reason in one place."""

    node: str
    reason: str
    function: str | None
    tcp_state: str | None
    src: str
    src_port: int | None
    dst: str
    dst_port: int | None
    proto: int
    packets: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """A DNS query of the source and what came back."""

    server: str
    name: str
    type: str
    rcode: str | None
    latency_ms: float | None
    addresses: tuple[str, ...]
    retries: int
    status: str

    @property
    def asks_for_address(self) -> bool:
        """Whether an address would be its answer."""
        return any(each in _ADDRESS_TYPES for each in self.type.split(", "))


@dataclass(frozen=True, slots=True)
class Event:
    """Retransmits or resets of one kind."""

    node: str
    event: str
    src: str
    src_port: int | None
    dst: str
    dst_port: int | None
    state: str | None
    reason: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was seen."""

    question: Question
    seconds: float
    """Watched."""
    dns_ports: tuple[int, ...] = (53,)
    addresses: tuple[str, ...] = ()
    """Of the target, as far as they are known."""
    flows: tuple[Flow, ...] = ()
    drops: tuple[Drop, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    events: tuple[Event, ...] = ()
    interfaces: tuple[str, ...] = ()
    """That packets are seen on."""
    caveats: tuple[str, ...] = field(default=())
    """What makes it less certain, in words."""


async def gather(
    client: Client,
    question: Question,
    *,
    generation: int,
    since_ns: int,
    seconds: float,
    dns_ports: Sequence[int],
    caveats: Sequence[str] = (),
) -> Evidence:
    """Ask for all of it."""
    source = str(question.source)
    since = f"Generation >= {generation}"
    rows = _Rows(client)
    exchanges = await rows.of(_exchange, _dns_sql(source, since))
    addresses = await _addresses(rows, question, exchanges)
    ends = _ends(source, addresses, question.target.port)
    asking = _asking(source, dns_ports)
    told = f"{ends} OR {asking} OR {_told_by_icmp(source)}"
    flows = await rows.of(_flow, _flow_sql(told, since, source))
    drops = await rows.of(_drop, _drop_sql(f"{ends} OR {asking}", since))
    events = await rows.of(_event, _event_sql(ends, since))
    interfaces = await rows.of(
        lambda row: str(row[0]),
        "SELECT DISTINCT Name FROM interface WHERE Attached = 1 ORDER BY Name",
    )
    lost = await rows.of(
        lambda row: int(row[0] or 0),
        f"SELECT sum(Count) FROM loss WHERE TimeToMs >= {since_ns // 1_000_000}",  # noqa: S608
    )
    return Evidence(
        question,
        seconds,
        tuple(dns_ports),
        addresses,
        flows,
        drops,
        exchanges,
        events,
        interfaces,
        (*caveats, *_less_certain(rows.cut, sum(lost))),
    )


def _less_certain(cut: bool, lost: int) -> Iterable[str]:
    if cut:
        yield f"more than {MAX_ROWS:,} rows tell of it: the first ones were looked at"
    if lost:
        yield f"{lost:,} rows or packets were lost meanwhile: `losses` says where"


async def _addresses(
    rows: _Rows, question: Question, exchanges: Sequence[Exchange]
) -> tuple[str, ...]:
    """Of the target: as it is written, as answers tell, or as answers told before."""
    target = question.target
    if target.address is not None:
        return (str(target.address),)
    answered = dict.fromkeys(
        address for each in asked_for(exchanges, target.name) for address in each.addresses
    )
    if answered:
        return tuple(answered)
    known = await rows.of(
        lambda row: (str(row[0]), str(row[1])), "SELECT Address, Name FROM dns_name ORDER BY 1"
    )
    return tuple(dict.fromkeys(address for address, name in known if is_named(name, target.name)))


def asked_for(exchanges: Iterable[Exchange], name: str) -> list[Exchange]:
    """Those that look for addresses of a name, a search domain behind it or not."""
    return [e for e in exchanges if e.asks_for_address and is_named(e.name, name)]


def is_named(asked: str, name: str) -> bool:
    """Whether it is this name, or this name with a search domain behind it."""
    asked = asked.lower()
    return asked == name or asked.startswith(f"{name}.")


class _Rows:
    """Rows of queries, so many at most."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.cut = False
        """There were more."""

    async def of(self, made: Callable[[Sequence[Any]], T], sql: str) -> tuple[T, ...]:
        answer = await self._client.query(sql, limit=MAX_ROWS)
        try:
            found = tuple([made(row) async for chunk in answer.chunks for row in chunk])
        finally:
            await answer.close()
        self.cut = self.cut or answer.truncated
        return found


# What stands in the statements below are addresses and numbers that were parsed.
def _ends(source: str, addresses: Sequence[str], port: int | None) -> str:
    if not addresses:
        return "(0)"
    listed = ", ".join(f"'{address}'" for address in addresses)
    there = "" if port is None else f" AND DstPort = {port}"
    back = "" if port is None else f" AND SrcPort = {port}"
    return (
        f"(SrcAddr = '{source}' AND DstAddr IN ({listed}){there}"
        f" OR DstAddr = '{source}' AND SrcAddr IN ({listed}){back})"
    )


def _asking(source: str, dns_ports: Sequence[int]) -> str:
    ports = ", ".join(map(str, dns_ports))
    return (
        f"(SrcAddr = '{source}' AND DstPort IN ({ports})"
        f" OR DstAddr = '{source}' AND SrcPort IN ({ports}))"
    )


def _told_by_icmp(source: str) -> str:
    return f"(DstAddr = '{source}' AND (Proto = 1 AND IcmpType IN (3, 11)" + (
        " OR Proto = 58 AND IcmpType IN (1, 3)))"
    )


def _flow_sql(which: str, since: str, source: str) -> str:
    flags = " + ".join(f"max(coalesce(Flags, 0) & {bit})" for bit in _FLAG_BITS)
    return (
        "SELECT Node, SrcAddr, SrcPort, DstAddr, DstPort, Proto, IcmpType, IcmpCode, "  # noqa: S608
        f"sum(Packets), sum(Bytes), {flags}, max(TimeFlowRttNs), max(TimeHandshakeRttNs), "
        f"sum(TcpRetransmits) FROM flow WHERE {since} AND ({which}) "
        "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY min(TimeFlowStartMs), Node, "
        f"SrcAddr <> '{source}'"
    )


def _drop_sql(which: str, since: str) -> str:
    return (
        "SELECT Node, Reason, Function, TcpState, SrcAddr, SrcPort, DstAddr, DstPort, Proto, "  # noqa: S608
        f"count(*) FROM packet_drop WHERE {since} AND Loss = 1 AND ({which}) "
        "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 ORDER BY min(TimeNs)"
    )


def _dns_sql(source: str, since: str) -> str:
    return (
        "SELECT ServerAddr, Name, Type, Rcode, LatencyMs, Addresses, Retries, Status "  # noqa: S608
        f"FROM dns WHERE {since} AND ClientAddr = '{source}' ORDER BY TimeNs"
    )


def _event_sql(which: str, since: str) -> str:
    return (
        "SELECT Node, Event, SrcAddr, SrcPort, DstAddr, DstPort, State, Reason, count(*) "  # noqa: S608
        f"FROM tcp_event WHERE {since} AND Event <> 'state' AND ({which}) "
        "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY min(TimeNs)"
    )


def _flow(row: Sequence[Any]) -> Flow:
    return Flow(*row)


def _drop(row: Sequence[Any]) -> Drop:
    return Drop(*row)


def _event(row: Sequence[Any]) -> Event:
    return Event(*row)


def _exchange(row: Sequence[Any]) -> Exchange:
    server, name, type_, rcode, latency_ms, addresses, retries, status = row
    return Exchange(
        server,
        name or "",
        type_ or "",
        rcode,
        latency_ms,
        tuple(json.loads(addresses)) if addresses else (),
        retries or 0,
        status,
    )
