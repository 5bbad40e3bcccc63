"""What rules say of a packet that is known in part: its ends, perhaps ports and protocol.

Three answers: a rule holds for every such packet, for none, or it depends on what is
not known. Invariant: agrees with the kernel's classifier (``rule.py`` says what a
rule means), whatever the unknown turns out to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from nshell.filters.contradictions import FULL, ICMP, TCP, WITH_PORTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from nshell.filters.rule import Prefix, Range, Rule

_PROTOCOLS = range(256)
_PREDICATES = {"src": "src_cidr", "dst": "dst_cidr", "either": "cidr"}
"""Of fields that are called otherwise."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One with an IP header; what is None is not known, but that a port is tells it has ports."""

    src: bytes
    """16 bytes, IPv4 as ::ffff:a.b.c.d."""
    dst: bytes
    protocol: int | None = None
    sport: Range | None = None
    """Some port of these, likewise the other one."""
    dport: Range | None = None

    @property
    def answer(self) -> Packet:
        """What comes back."""
        return Packet(self.dst, self.src, self.protocol, self.dport, self.sport)

    @property
    def protocols(self) -> Collection[int]:
        """Those that it may be of."""
        if self.protocol is not None:
            return (self.protocol,)
        return _PROTOCOLS if self.sport is self.dport is None else WITH_PORTS


class Holds(Enum):
    """Whether something is so of such packets."""

    YES = "yes"
    NO = "no"
    DEPENDS = "depends"


@dataclass(frozen=True, slots=True)
class Match:
    """What one rule says."""

    holds: Holds
    fields: tuple[str, ...] = ()
    """Of the rule: the one that forbids it, or those that it depends on."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What all rules together say for flows, or for packets."""

    captured: Holds
    by: int | None
    """Position of the rule that decides; None: none holds, or that depends."""


def match(rule: Rule, packet: Packet) -> Match:
    """Of a rule without selectors."""
    found = dict(_doubts(rule, packet))
    for name, holds in found.items():
        if holds is Holds.NO:
            return Match(Holds.NO, (name,))
    return Match(Holds.DEPENDS, tuple(found)) if found else Match(Holds.YES)


def decide(rules: Sequence[Rule], matches: Sequence[Match], *, packets: bool) -> Decision:
    """The first rule that holds, as far as that can be told; where none does, the default."""
    governing = [at for at, rule in enumerate(rules) if (rule.packets if packets else rule.flows)]
    verdicts = set()
    for at in governing:
        if matches[at].holds is not Holds.NO:
            verdicts.add(not rules[at].reject)
        if matches[at].holds is Holds.YES:
            depends = any(matches[before].holds is Holds.DEPENDS for before in governing[:at])
            return Decision(_agreed(verdicts), None if depends else at)
    verdicts.add(all(rules[at].reject for at in governing))
    return Decision(_agreed(verdicts), None)


def together(matches: Sequence[Match]) -> Match:
    """Of rules that are one filter."""
    for holds in (Holds.YES, Holds.DEPENDS, Holds.NO):
        found = [each.fields for each in matches if each.holds is holds]
        if found:
            return Match(holds, tuple(dict.fromkeys(name for names in found for name in names)))
    return Match(Holds.NO)


def predicate(rule: Rule, field: str) -> str:
    """By which a filter says what is in that field of the rules that it stands for."""
    if field == "peer" and rule.peer:
        return "peer_ip" if all(each.length == FULL for each in rule.peer) else "peer_cidr"
    if getattr(rule, field):
        return _PREDICATES.get(field, field)
    return " ".join(rule.selectors.names) or field


def _agreed(verdicts: set[bool]) -> Holds:
    if len(verdicts) > 1:
        return Holds.DEPENDS
    return Holds.YES if verdicts == {True} else Holds.NO


def _doubts(rule: Rule, packet: Packet) -> Iterator[tuple[str, Holds]]:
    """Each field whose condition does not hold for certain."""
    if rule.src and not _within(packet.src, rule.src):
        yield "src", Holds.NO
    if rule.dst and not _within(packet.dst, rule.dst):
        yield "dst", Holds.NO
    if not _ends_fit(rule, packet):
        one_fits = not rule.either or any(_within(e, rule.either) for e in (packet.src, packet.dst))
        yield "peer" if one_fits else "either", Holds.NO
    limits = (
        ("protocol", [p for p in packet.protocols if _among(p, rule.protocol)], rule.protocol),
        ("icmp_type", ICMP, rule.icmp_type),
        ("icmp_code", ICMP, rule.icmp_code),
        ("tcp_flags", TCP, rule.tcp_flags),
    )
    for name, allowed, wanted in limits:
        if wanted and not any(each in allowed for each in packet.protocols):
            yield name, Holds.NO
        elif wanted and not (name == "protocol" and len(allowed) == len(packet.protocols)):
            yield name, Holds.DEPENDS
    yield from _of_ports(rule, packet)
    for name in ("direction", "interface"):
        if getattr(rule, name):
            yield name, Holds.DEPENDS


def _ends_fit(rule: Rule, packet: Packet) -> bool:
    return any(
        (not rule.either or _within(one, rule.either))
        and (not rule.peer or _within(other, rule.peer))
        for one, other in ((packet.src, packet.dst), (packet.dst, packet.src))
    )


def _of_ports(rule: Rule, packet: Packet) -> Iterator[tuple[str, Holds]]:
    conditions = (
        ("sport", rule.sport, (packet.sport,)),
        ("dport", rule.dport, (packet.dport,)),
        ("port", rule.port, (packet.sport, packet.dport)),
    )
    for name, wanted, ports in conditions:
        if not wanted or any(port is not None and _inside(port, wanted) for port in ports):
            continue
        possible = any(port is None or _overlap(port, wanted) for port in ports)
        with_ports = any(each in WITH_PORTS for each in packet.protocols)
        yield name, Holds.DEPENDS if possible and with_ports else Holds.NO


def _within(address: bytes, prefixes: Iterable[Prefix]) -> bool:
    number = int.from_bytes(address, "big")
    return any(
        (number ^ int.from_bytes(each.address, "big")) >> (FULL - each.length) == 0
        for each in prefixes
    )


def _inside(port: Range, wanted: Iterable[Range]) -> bool:
    return any(each.first <= port.first and port.last <= each.last for each in wanted)


def _overlap(port: Range, wanted: Iterable[Range]) -> bool:
    return any(each.first <= port.last and port.first <= each.last for each in wanted)


def _among(number: int, ranges: Iterable[Range]) -> bool:
    return any(each.first <= number <= each.last for each in ranges)
