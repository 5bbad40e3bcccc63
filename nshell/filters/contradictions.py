"""Rules that could never hold, refused with the reason.

No two predicates of a rule that passes exclude each other by protocol or by IP
version; it may still match nothing that the network carries.
"""

from __future__ import annotations

from nshell.filters.errors import FilterError
from nshell.filters.rule import Prefix, Range, Rule
from nshell.filters.values import spell_protocol

WITH_PORTS = frozenset({6, 17, 33, 132, 136})
"""TCP, UDP, DCCP, SCTP, UDP-Lite."""

FULL = 128
"""Length of the prefix that is one address."""

ICMP = {1: 4, 58: 6}  # protocol -> the IP version it belongs to
TCP = frozenset({6})


def check(rule: Rule) -> None:
    """Raises FilterError for a rule that contradicts itself."""
    ends(rule)
    families(rule)
    ports = _named(rule, "port", "sport", "dport") or "service" * bool(rule.selectors.service)
    icmp = _named(rule, "icmp_type", "icmp_code")
    flags = _named(rule, "tcp_flags")
    if icmp and (ports or flags):
        raise FilterError(f"{icmp} and {ports or flags} never hold for one packet")
    if ports:
        _every_protocol(rule, WITH_PORTS, "has no ports", ports)
    if icmp:
        _every_protocol(rule, frozenset(ICMP), "is not ICMP", icmp)
    if flags:
        _every_protocol(rule, TCP, "has no TCP flags", flags)


def ends(rule: Rule) -> tuple[str, ...]:
    """What names an end of a packet, by one of its predicates: two at most."""
    peer = "peer_cidr" if any(p.length < FULL for p in rule.peer) else "peer_ip"
    found = (
        *rule.selectors.of_pods[:1],
        *(("service",) if rule.selectors.service else ()),
        *(("cidr",) if rule.either else ()),
        *((peer,) if rule.peer else ()),
    )
    if len(found) > 2:
        listed = f"{', '.join(found[:-1])} and {found[-1]}"
        raise FilterError(f"{listed} name {len(found)} ends: a packet has two")
    return found


def families(rule: Rule) -> frozenset[int]:
    """IP versions, 4 and 6, of the packets that addresses and protocol allow."""
    allowed = frozenset({4, 6})
    blame = ""
    ends = (
        ("src_cidr", rule.src),
        ("dst_cidr", rule.dst),
        ("cidr", rule.either),
        ("peer_cidr" if any(p.length < FULL for p in rule.peer) else "peer_ip", rule.peer),
        ("protocol", rule.protocol),
    )
    for name, values in ends:
        own = _families_of(values)
        if not own & allowed:
            one, other = (f"IPv{next(iter(part))} only" for part in (allowed, own))
            raise FilterError(
                f"{blame} is {one} and {_blamed(name, rule)} is {other}: no packet can match both"
            )
        if own & allowed != allowed:
            allowed &= own
            blame = _blamed(name, rule)
    return allowed


def _families_of(values: tuple[Prefix, ...] | tuple[Range, ...]) -> frozenset[int]:
    """Both when there is no value."""
    found: set[int] = set()
    for value in values:
        if isinstance(value, Prefix):
            found.add(value.family)
        else:
            found |= {ICMP[value.first]} if value.first in ICMP else {4, 6}
    return frozenset(found or {4, 6})


def _blamed(name: str, rule: Rule) -> str:
    return f"protocol {spell_protocol(rule.protocol[0])}" if name == "protocol" else name


def _named(rule: Rule, *names: str) -> str:
    """The first of these predicates that the rule has."""
    return next((name for name in names if getattr(rule, name)), "")


def _every_protocol(rule: Rule, allowed: frozenset[int], lack: str, predicate: str) -> None:
    for numbers in rule.protocol:
        if numbers.first not in allowed:
            raise FilterError(
                f"protocol {spell_protocol(numbers)} {lack}: {predicate} can't stand beside it"
            )
