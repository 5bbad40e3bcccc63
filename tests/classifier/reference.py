"""What the kernel classifier must decide, in plain Python: the frame taken apart
byte by byte, then every rule tried in order.

It shares nothing with the bit-vector method, and looks at one frame alone: a later
fragment has no ports here, whatever its first one had. What is in the frame counts,
lengths inside headers do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nshell.filters import Direction, Prefix, Range, Rule

NO_RULE = 64
ETHERNET, RAW_IP = 1, 101  # LINKTYPE_*

_VLAN_TAGS = (0x8100, 0x88A8)
_EXTENSIONS = (0, 43, 44, 51, 60, 135)
_PORTS = (6, 17, 33, 132, 136)
_ICMP = (1, 58)
_MAPPED = bytes(10) + b"\xff\xff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """What rules can ask of a frame; None is what could not be read.

    Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d; invalid IP headers give none.
    """

    direction: Direction
    ifname: str
    etype: int
    src: bytes | None = None
    dst: bytes | None = None
    proto: int | None = None
    sport: int | None = None
    dport: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    tcp_flags: int | None = None


def parse(frame: bytes, *, direction: Direction, ifname: str, link_type: int = ETHERNET) -> Packet:
    """Takes a frame apart."""
    if link_type == RAW_IP:
        etype, at = {4: 0x0800, 6: 0x86DD}.get(frame[0] >> 4 if frame else 0, 0), 0
    else:
        etype, at = _skip_tags(frame)
    packet = Packet(direction=direction, ifname=ifname, etype=etype)
    read = {0x0800: _ipv4, 0x86DD: _ipv6}.get(etype)
    return read(frame[at:], packet) if read else packet


def decide(
    rules: Sequence[Rule], packet: Packet, kind: Literal["flows", "packets"]
) -> tuple[bool, int]:
    """Whether the packet is accepted, and the index of the rule that says so."""
    governing = [i for i, rule in enumerate(rules) if getattr(rule, kind)]
    for index in governing:
        if holds(rules[index], packet):
            return not rules[index].reject, index
    return all(rules[index].reject for index in governing), NO_RULE


def holds(rule: Rule, packet: Packet) -> bool:
    """Whether every predicate of the rule is true of the packet."""
    numbers = (
        ((packet.sport,), rule.sport),
        ((packet.dport,), rule.dport),
        ((packet.sport, packet.dport), rule.port),
        ((packet.proto,), rule.protocol),
        ((packet.icmp_type,), rule.icmp_type),
        ((packet.icmp_code,), rule.icmp_code),
    )
    flags, masks = packet.tcp_flags, rule.tcp_flags
    return (
        (not rule.src or within(packet.src, rule.src))
        and (not rule.dst or within(packet.dst, rule.dst))
        and _ends(rule, packet)
        and all(not ranges or any(_among(n, ranges) for n in those) for those, ranges in numbers)
        and (not masks or (flags is not None and any(flags & m.mask == m.value for m in masks)))
        and (not rule.direction or packet.direction in rule.direction)
        and (not rule.interface or any(_named(packet.ifname, n) for n in rule.interface))
    )


def _ends(rule: Rule, packet: Packet) -> bool:
    one, other = rule.either, rule.peer
    pairs = ((packet.src, packet.dst), (packet.dst, packet.src))
    return any(
        (not one or within(this, one)) and (not other or within(that, other))
        for this, that in pairs
    )


def within(address: bytes | None, prefixes: Iterable[Prefix]) -> bool:
    return address is not None and any(
        (_number(address) ^ _number(p.address)) >> (128 - p.length) == 0 for p in prefixes
    )


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _among(number: int | None, ranges: Iterable[Range]) -> bool:
    return number is not None and any(r.first <= number <= r.last for r in ranges)


def _named(ifname: str, pattern: str) -> bool:
    wild = {"*": ".*", "?": "."}
    regex = "".join(wild.get(c) or re.escape(c) for c in pattern)
    return re.fullmatch(regex, ifname) is not None


def _skip_tags(frame: bytes) -> tuple[int, int]:
    """EtherType and offset behind at most two VLAN tags."""
    etype, at = _number(frame[12:14]), 14
    for _ in range(2):
        if etype not in _VLAN_TAGS or len(frame) < at + 4:
            break
        etype, at = _number(frame[at + 2 : at + 4]), at + 4
    return etype, at


def _ipv4(data: bytes, packet: Packet) -> Packet:
    if len(data) < 20 or data[0] >> 4 != 4:
        return packet
    header = (data[0] & 15) * 4
    if header < 20 or header > len(data):
        return packet
    packet = replace(packet, src=_MAPPED + data[12:16], dst=_MAPPED + data[16:20], proto=data[9])
    later_fragment = _number(data[6:8]) & 0x1FFF
    return packet if later_fragment else _transport(data[header:], packet)


def _ipv6(data: bytes, packet: Packet) -> Packet:
    if len(data) < 40 or data[0] >> 4 != 6:
        return packet
    packet = replace(packet, src=data[8:24], dst=data[24:40], proto=data[6])
    data = data[40:]
    for _ in range(8):
        if packet.proto not in _EXTENSIONS or len(data) < 8:
            break
        kind, following, units = packet.proto, data[0], data[1]
        packet = replace(packet, proto=following)
        if kind == 44 and _number(data[2:4]) >> 3:
            return packet
        length = {44: 8, 51: (units + 2) * 4}.get(kind, (units + 1) * 8)
        data = data[length:]
    return _transport(data, packet)


def _transport(data: bytes, packet: Packet) -> Packet:
    if packet.proto in _ICMP and len(data) >= 2:
        return replace(packet, icmp_type=data[0], icmp_code=data[1])
    if packet.proto in _PORTS and len(data) >= 4:
        sport, dport = _number(data[:2]), _number(data[2:4])
        flags = data[13] if packet.proto == 6 and len(data) >= 14 else None
        return replace(packet, sport=sport, dport=dport, tcp_flags=flags)
    return packet
