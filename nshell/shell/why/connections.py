"""Rows joined to connections: what went out, what came back, what was lost.

Invariant: what several nodes saw of the same packets counts once, drops and
retransmits of each node count.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nshell.shell.why.evidence import SYN, SYN_ACK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nshell.shell.why.evidence import Drop, Event, Evidence, Flow

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
_ECHO = {ICMP: (8, 0), ICMPV6: (128, 129)}
"""Types of echo request and reply."""
_NAMES = {ICMP: "ICMP", TCP: "TCP", UDP: "UDP", ICMPV6: "ICMPv6", 33: "DCCP", 132: "SCTP"}
_UNREACHABLE = {ICMP: (3, 11), ICMPV6: (1, 3)}
"""Types that say that a packet was not delivered."""
_TOO_BIG = (ICMP, 3, 4)
"""That says only how large packets may be."""


@dataclass(frozen=True, slots=True)
class Key:
    """What tells connections apart."""

    peer: str
    proto: int
    port: int | None
    """Of the peer."""
    own_port: int | None


@dataclass(slots=True)
class Way:
    """One direction."""

    packets: int = 0
    flags: int = 0
    retransmits: int = 0
    dropped: list[Drop] = field(default_factory=list)

    @property
    def drops(self) -> int:
        """Packets dropped."""
        return sum(each.packets for each in self.dropped)


@dataclass(slots=True)
class Connection:
    """Packets of the source to one port of the peer, and those that come back."""

    key: Key
    out: Way = field(default_factory=Way)
    back: Way = field(default_factory=Way)
    rtt_ns: int = 0
    """Largest round-trip time known of it."""

    @property
    def kind(self) -> str:
        """What it is, with its port."""
        name = _NAMES.get(self.key.proto, f"protocol {self.key.proto}")
        if self.key.proto in _ECHO:
            return f"{name} echo"
        return name if self.key.port is None else f"{name} port {self.key.port}"

    @property
    def tried(self) -> bool:
        """Whether the source has sent something, or would have."""
        return bool(self.out.packets or self.out.drops)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """An ICMP error that the source got; which packet it is about is not known."""

    sender: str
    proto: int
    type: int
    code: int

    @property
    def meaning(self) -> str:
        """In words."""
        return _MEANINGS.get((self.proto, self.type, self.code)) or (
            "TTL exceeded" if (self.proto, self.type) in _EXPIRED else "unreachable"
        )


_EXPIRED = ((ICMP, 11), (ICMPV6, 3))
_MEANINGS = {
    (ICMP, 3, 0): "network unreachable",
    (ICMP, 3, 1): "host unreachable",
    (ICMP, 3, 2): "protocol unreachable",
    (ICMP, 3, 3): "port unreachable",
    (ICMP, 3, 9): "network prohibited",
    (ICMP, 3, 10): "host prohibited",
    (ICMP, 3, 13): "prohibited",
    (ICMPV6, 1, 0): "no route",
    (ICMPV6, 1, 1): "prohibited",
    (ICMPV6, 1, 3): "address unreachable",
    (ICMPV6, 1, 4): "port unreachable",
    (ICMPV6, 1, 5): "source address refused",
    (ICMPV6, 1, 6): "route rejected",
}


def joined(evidence: Evidence) -> list[Connection]:
    """The connections that the source has with the target, in the order of their start."""
    between = _Between(evidence)
    found: dict[Key, Connection] = {}
    per_node: dict[tuple[Key, bool], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for flow, key, out in between.flows():
        connection = found.setdefault(key, Connection(key))
        way = connection.out if out else connection.back
        way.flags |= flow.flags
        connection.rtt_ns = max(connection.rtt_ns, flow.rtt_ns or 0, flow.handshake_ns or 0)
        per_node[key, out][flow.node] += flow.packets
    for (key, out), packets in per_node.items():
        (found[key].out if out else found[key].back).packets = max(packets.values())
    for drop, key, out in between.drops():
        connection = found.setdefault(key, Connection(key))
        (connection.out if out else connection.back).dropped.append(drop)
    for event, key, out in between.retransmits():
        connection = found.setdefault(key, Connection(key))
        (connection.out if out else connection.back).retransmits += event.count
    return [each for each in found.values() if not _opened_by_peer(each)]


def unreachables(evidence: Evidence) -> list[Unreachable]:
    """ICMP errors that the source got, each once."""
    source = str(evidence.question.source)
    errors = (
        Unreachable(each.src, each.proto, each.icmp_type or 0, each.icmp_code or 0)
        for each in evidence.flows
        if each.dst == source
        and each.icmp_type in _UNREACHABLE.get(each.proto, ())
        and (each.proto, each.icmp_type, each.icmp_code) != _TOO_BIG
    )
    return list(dict.fromkeys(errors))


def open_questions(evidence: Evidence) -> list[str]:
    """DNS servers that have not answered every socket of the source."""
    return list(dict.fromkeys(server for server, _ in _unanswered(evidence)))


def silent_servers(evidence: Evidence) -> list[str]:
    """Those that will not.

    A server that answers others may be about to answer one question, or one for
    each kind of address.
    """
    source, ports = str(evidence.question.source), evidence.dns_ports
    at_work = {each.src for each in evidence.flows if each.dst == source and each.src_port in ports}
    return list(
        dict.fromkeys(
            server
            for server, packets in _unanswered(evidence)
            if server not in at_work or packets > 2
        )
    )


def _unanswered(evidence: Evidence) -> Iterator[tuple[str, int]]:
    """DNS server and packets to it of each socket that got none back."""
    source, ports = str(evidence.question.source), evidence.dns_ports
    answered = {
        (each.src, each.src_port, each.dst_port, each.proto)
        for each in evidence.flows
        if each.dst == source and each.src_port in ports
    }
    for each in evidence.flows:
        socket = (each.dst, each.dst_port, each.src_port, each.proto)
        if each.src == source and each.dst_port in ports and socket not in answered:
            yield each.dst, each.packets


def _opened_by_peer(connection: Connection) -> bool:
    if connection.key.proto == TCP:
        return bool(
            connection.out.flags & SYN_ACK
            or (connection.back.flags & SYN and not connection.back.flags & SYN_ACK)
        )
    return not connection.tried


class _Between:
    """Rows of packets between the source and the target, with whose connection they are."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._source = str(evidence.question.source)
        self._port = evidence.question.target.port

    def flows(self) -> Iterator[tuple[Flow, Key, bool]]:
        for flow in self._evidence.flows:
            placed = self._placed(flow)
            if placed is None:
                continue
            if flow.proto in _ECHO and flow.icmp_type != _ECHO[flow.proto][not placed[1]]:
                continue
            yield flow, *placed

    def drops(self) -> Iterator[tuple[Drop, Key, bool]]:
        return self._all_placed(self._evidence.drops)

    def retransmits(self) -> Iterator[tuple[Event, Key, bool]]:
        events = (each for each in self._evidence.events if each.event == "retransmit")
        for event in events:
            placed = self._placed(event)
            if placed is not None:
                yield event, *placed

    def _all_placed(self, rows: Iterable[Drop]) -> Iterator[tuple[Drop, Key, bool]]:
        for row in rows:
            placed = self._placed(row)
            if placed is not None:
                yield row, *placed

    def _placed(self, row: Flow | Drop | Event) -> tuple[Key, bool] | None:
        """Its connection, and whether it is on the way out."""
        proto = getattr(row, "proto", TCP)
        peers = self._evidence.addresses
        if row.src == self._source and row.dst in peers and self._port in (None, row.dst_port):
            return Key(row.dst, proto, row.dst_port, row.src_port), True
        if row.dst == self._source and row.src in peers and self._port in (None, row.src_port):
            return Key(row.src, proto, row.src_port, row.dst_port), False
        return None
