"""Rule sets and frames for hypothesis, drawn from the same few addresses, ports and
names so that rules overlap and most of them are met by some frame.

Rules are made in two ways: as objects, which may hold what the language refuses
(ports beside ICMP), and from text by the language itself. Later fragments bear
even identifications and first ones odd, so that none is another's.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis import strategies as st

from nshell.filters import Direction, FilterError, FlagMatch, Prefix, Range, Rule, parse_rule
from tests.classifier import frames as f

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

_T = TypeVar("_T")

IFNAMES = ("eth0", "eth1", "veth12ab", "lo")

HOSTS4 = ("10.0.0.1", "10.0.0.2", "10.0.1.1", "10.129.0.48", "192.168.1.1", "255.255.255.255")
# The first has the leading bytes of 10.0.0.1, the second ends in it.
HOSTS6 = ("a00:1::", "::a00:1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "fe80::1")
NETWORKS4 = (
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/16",
    "10.0.0.0/24",
    "10.0.0.0/31",
    "10.128.0.0/9",
    "192.168.0.0/16",
    *HOSTS4,
)
NETWORKS6 = (
    "::/0",
    "::/8",
    "a00::/8",
    "2001:db8::/32",
    "2001:db8::/64",
    "2001:db8::/127",
    "fe80::/10",
    *HOSTS6,
)
PORTS = (0, 22, 53, 80, 443, 1024, 8080, 65535)
PORT_VALUES = (*map(str, PORTS), "http", "1-79", "80-443", "0-1023", "1024-65535", "0-65535")
PROTOCOLS = (f.TCP, f.UDP, f.ICMP, f.ICMPV6, f.SCTP, f.DCCP, f.UDPLITE, f.ESP, 47, f.NO_NEXT)
ICMP_NUMBERS = (0, 1, 3, 8, 128, 129, 135, 255)
FLAG_VALUES = ("syn", "syn/synack", "ack", "syn+ack", "rst", "fin+ack/all", "none/all", "none/ack")
INTERFACE_VALUES = ("eth0", "eth1", "eth*", "eth?", "veth*", "*", "lo", "?", "absent")

_EXTENSION_NUMBERS = (f.HOP_BY_HOP, f.ROUTING, f.DEST_OPTS, f.AH, f.MOBILITY)


def packet_places() -> SearchStrategy[tuple[Direction, str]]:
    """Direction and interface that a frame is seen at."""
    return st.tuples(st.sampled_from(Direction), st.sampled_from(IFNAMES))


@st.composite
def rule_sets(draw: DrawFn, max_size: int = 64) -> list[Rule]:
    """1 to 64 rules; beyond a dozen different ones, they come more than once."""
    size = min(draw(st.sampled_from((1, 2, 3, 5, 8, 12, 32, 63, 64))), max_size)
    fresh = draw(st.lists(rules(), min_size=min(size, 3), max_size=min(size, 12)))
    again = st.lists(
        st.integers(0, len(fresh) - 1), min_size=size - len(fresh), max_size=size - len(fresh)
    )
    return fresh + [fresh[index] for index in draw(again)]


def rules() -> SearchStrategy[Rule]:
    """One rule, half of them through the language."""
    return made_rules() | parsed_rules()


def parsed_rules() -> SearchStrategy[Rule]:
    """What the language makes of texts that it takes."""
    return rule_texts().map(_parse_or_none).filter(lambda r: r is not None).map(_there)


@st.composite
def rule_texts(draw: DrawFn) -> str:
    """Text of a filter, most of it free of contradictions."""
    names = draw(st.lists(st.sampled_from(tuple(_TEXT_VALUES)), min_size=1, max_size=3))
    words = [draw(st.sampled_from(("accept", "reject", "")))]
    for name in names:
        values = st.sampled_from(_TEXT_VALUES[name])
        words += [name, ",".join(draw(st.lists(values, min_size=1, max_size=3)))]
    words.append(
        draw(st.sampled_from(("", "for flows", "for packets", "as web", "for flows as a")))
    )
    return " ".join(word for word in words if word)


@st.composite
def made_rules(draw: DrawFn) -> Rule:
    """A rule as an object, with one to three predicates that need not agree."""
    flows, packets = draw(st.sampled_from(((True, True), (True, False), (False, True))))
    rule: dict[str, Any] = {
        name: draw(_PREDICATES[name])
        for name in draw(st.lists(st.sampled_from(tuple(_PREDICATES)), min_size=1, max_size=3))
    }
    return Rule(reject=draw(st.booleans()), flows=flows, packets=packets, **rule)


@st.composite
def frames(draw: DrawFn) -> bytes:
    """An Ethernet frame, now and then cut at a random place behind its header."""
    make = draw(st.sampled_from((_ip4_packets, _ip6_packets) * 4 + (_other_payloads,)))
    etype, packet = draw(make())
    frame = f.ethernet(etype, packet, vlans=draw(st.sampled_from(_VLANS)))
    if draw(_SELDOM):
        frame = frame[: draw(st.integers(14, len(frame)))]
    return frame


def _parse_or_none(text: str) -> Rule | None:
    try:
        return parse_rule(shlex.split(text))
    except FilterError:
        return None


def _there(rule: Rule | None) -> Rule:
    assert rule is not None
    return rule


def _some(values: SearchStrategy[_T]) -> SearchStrategy[tuple[_T, ...]]:
    return st.lists(values, min_size=1, max_size=3).map(tuple)


def _ranges(numbers: tuple[int, ...]) -> SearchStrategy[Range]:
    one = st.sampled_from(numbers)
    span = st.tuples(one, one).map(sorted).map(lambda pair: Range(*pair))
    return one.map(lambda number: Range(number, number)) | span


def _prefixes() -> SearchStrategy[Prefix]:
    texts = st.sampled_from(NETWORKS4 + NETWORKS6)
    return texts.flatmap(lambda text: st.sampled_from(_prefixes_of(text)))


def _prefixes_of(text: str) -> tuple[Prefix, ...]:
    return parse_rule(["cidr", text]).either


def _flag_matches() -> SearchStrategy[FlagMatch]:
    pairs = st.tuples(st.integers(1, 255), st.integers(0, 255))
    wild = pairs.map(lambda pair: FlagMatch(pair[0], pair[0] & pair[1]))
    usual = st.sampled_from(FLAG_VALUES).map(lambda v: parse_rule(["tcp_flags", v]).tcp_flags[0])
    return usual | wild


_TEXT_VALUES: dict[str, tuple[str, ...]] = {
    "peer_ip": HOSTS4 + HOSTS6,
    "cidr": NETWORKS4 + NETWORKS6,
    "peer_cidr": NETWORKS4 + NETWORKS6,
    "src_cidr": NETWORKS4 + NETWORKS6,
    "dst_cidr": NETWORKS4 + NETWORKS6,
    "port": PORT_VALUES,
    "sport": PORT_VALUES,
    "dport": PORT_VALUES,
    "protocol": tuple(map(str, PROTOCOLS)),
    "icmp_type": (*map(str, ICMP_NUMBERS), "echo-request", "echo-reply", "0-7"),
    "icmp_code": (*map(str, ICMP_NUMBERS), "0-3"),
    "tcp_flags": FLAG_VALUES,
    "direction": ("ingress", "egress"),
    "interface": INTERFACE_VALUES,
}

_PREDICATES: dict[str, SearchStrategy[tuple[Any, ...]]] = {
    **{name: _some(_prefixes()) for name in ("src", "dst", "either", "peer")},
    **{name: _some(_ranges(PORTS)) for name in ("sport", "dport", "port")},
    "protocol": _some(_ranges(PROTOCOLS)),
    "icmp_type": _some(_ranges(ICMP_NUMBERS)),
    "icmp_code": _some(_ranges(ICMP_NUMBERS)),
    "tcp_flags": _some(_flag_matches()),
    "direction": _some(st.sampled_from(Direction)),
    "interface": _some(st.sampled_from(INTERFACE_VALUES)),
}

_PAYLOADS = st.binary(max_size=64)
_PORT_NUMBERS = st.sampled_from(PORTS)
_VLANS = ((), (), (), (1,), (0xEFFF,), (100, 200), (0,), (1, 2, 3))
_SELDOM = st.sampled_from((False,) * 9 + (True,))


@st.composite
def _transports(draw: DrawFn) -> tuple[int, bytes]:
    """Protocol and transport data."""
    proto = draw(st.sampled_from(PROTOCOLS))
    payload = draw(_PAYLOADS)
    if proto in (f.ICMP, f.ICMPV6):
        numbers = st.sampled_from(ICMP_NUMBERS)
        return proto, f.icmp(kind=draw(numbers), code=draw(numbers), payload=payload)
    sport, dport = draw(_PORT_NUMBERS), draw(_PORT_NUMBERS)
    if proto == f.TCP:
        flags = draw(st.sampled_from((f.SYN, f.SYN | f.ACK, f.ACK, f.FIN | f.ACK, f.RST, 0, 255)))
        return proto, f.tcp(sport=sport, dport=dport, flags=flags, payload=payload)
    if proto == f.SCTP:
        return proto, f.sctp(sport=sport, dport=dport, payload=payload)
    # Those without ports get the look of them: it must not count.
    return proto, f.udp(sport=sport, dport=dport, payload=payload)


@st.composite
def _ip4_packets(draw: DrawFn) -> tuple[int, bytes]:
    proto, payload = draw(_transports())
    hosts = st.sampled_from(HOSTS4)
    offset, more, ident = draw(_fragments())
    options = draw(st.sampled_from((b"", b"", b"\x01", b"\x94\x04\x00\x00", bytes(40))))
    packet = f.ipv4(
        draw(hosts),
        draw(hosts),
        proto=proto,
        payload=payload,
        options=options,
        ident=ident,
        offset=offset,
        more=more,
    )
    return f.IPV4, draw(_spoiled(packet))


@st.composite
def _ip6_packets(draw: DrawFn) -> tuple[int, bytes]:
    proto, payload = draw(_transports())
    hosts = st.sampled_from(HOSTS6)
    numbers = draw(draw(st.sampled_from((_FEW_EXTENSIONS,) * 3 + (_MANY_EXTENSIONS,))))
    chain = [f.extension(number, units=draw(st.integers(0, 2))) for number in numbers]
    if draw(st.sampled_from((False, False, True))):
        offset, more, ident = draw(_fragments())
        header = f.fragment6(
            offset=offset, more=more, ident=ident, reserved=draw(st.sampled_from((0, 0, 1)))
        )
        chain.insert(draw(st.integers(0, len(chain))), header)
    packet = f.ipv6(draw(hosts), draw(hosts), proto=proto, payload=payload, extensions=chain)
    return f.IPV6, draw(_spoiled(packet))


_FEW_EXTENSIONS = st.lists(st.sampled_from(_EXTENSION_NUMBERS), max_size=2)
_MANY_EXTENSIONS = st.lists(st.sampled_from(_EXTENSION_NUMBERS), min_size=6, max_size=10)


@st.composite
def _fragments(draw: DrawFn) -> tuple[int, bool, int]:
    """Offset, "more fragments", and an identification; most are whole packets."""
    ident = draw(st.integers(0, 0x7FFF)) * 2
    kind = draw(st.sampled_from(("whole", "whole", "whole", "first", "later")))
    if kind == "later":
        return 8 * draw(st.integers(1, 8191)), draw(st.booleans()), ident
    return 0, kind == "first", ident + 1


@st.composite
def _spoiled(draw: DrawFn, packet: bytes) -> bytes:
    """Now and then another version or header length in the first byte."""
    if not draw(_SELDOM):
        return packet
    return bytes([draw(st.integers(0, 255))]) + packet[1:]


def _other_payloads() -> SearchStrategy[tuple[int, bytes]]:
    """ARP, and EtherTypes that nobody knows."""
    request = f.arp(HOSTS4[0], HOSTS4[1])[14:]
    unknown = st.tuples(st.sampled_from((0x88CC, 0x8847, 0x0000)), _PAYLOADS)
    return st.just((f.ARP, request)) | unknown
