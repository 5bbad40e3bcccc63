"""The reference on cases decided by hand: what it says is what the kernel is held to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given, settings

from nshell.filters import Direction, Rule, parse_rule, split_words
from tests.classifier import frames as f
from tests.classifier.reference import NO_RULE, RAW_IP, Packet, decide, parse
from tests.classifier.strategies import frames, packet_places, rule_sets

if TYPE_CHECKING:
    from collections.abc import Sequence

A4, B4, C4 = "10.0.0.1", "10.0.1.2", "192.168.7.7"
A6, B6 = "2001:db8::1", "fe80::2"


def rules(*lines: str) -> list[Rule]:
    return [parse_rule(split_words(line)) for line in lines]


def seen(frame: bytes, *, direction: Direction = Direction.INGRESS, ifname: str = "eth0") -> Packet:
    return parse(frame, direction=direction, ifname=ifname)


def verdict(
    lines: Sequence[str], frame: bytes, kind: Literal["flows", "packets"] = "flows"
) -> tuple[bool, int]:
    return decide(rules(*lines), seen(frame), kind)


def matches(line: str, frame: bytes) -> bool:
    return verdict([line], frame) == (True, 0)


def test_two_rules_with_one_prefix_are_both_tried() -> None:
    lines = ["cidr 10.0.0.0/24 port 443", "cidr 10.0.0.0/24 port 80"]
    assert verdict(lines, f.tcp4(A4, C4, dport=80)) == (True, 1)
    assert verdict(lines, f.tcp4(A4, C4, dport=443)) == (True, 0)


def test_an_ipv4_prefix_does_not_match_an_ipv6_address_with_the_same_leading_bytes() -> None:
    leading, embedded = "a00:1::", "::a00:1"
    for line in ("cidr 10.0.0.0/24", "peer_ip 10.0.0.1", "cidr 0.0.0.0/0"):
        assert matches(line, f.udp4(A4, C4))
        assert not matches(line, f.udp6(leading, embedded))


@pytest.mark.parametrize("line", ["cidr ::/0", "cidr ::/8", "src_cidr ::/16"])
def test_an_ipv6_prefix_around_the_mapped_addresses_does_not_match_ipv4(line: str) -> None:
    assert matches(line, f.udp6("::1", "::2"))
    assert not matches(line, f.udp4(A4, B4))


def test_the_ipv6_default_route_matches_every_ipv6_address() -> None:
    for address in ("::", "::fffe:a00:1", "::1:0:0:0", "8000::", "ffff::", A6):
        assert matches("src_cidr ::/0", f.udp6(address, B6))


@pytest.mark.parametrize(
    "frame",
    [
        f.icmp4(A4, B4, kind=0, code=80),
        f.icmp6(A6, B6, kind=0, code=80),
        f.esp4(A4, B4, spi=80 << 16 | 80),
        f.frag4(A4, B4, offset=8, payload=f.udp(sport=80, dport=80)),
        f.frag4(A4, B4, proto=f.TCP, offset=1480, payload=f.tcp(sport=80, dport=80)),
        f.frag6(A6, B6, offset=8, payload=f.udp(sport=80, dport=80)),
        f.arp(A4, B4),
        f.tcp4(A4, B4, dport=80)[:36],
    ],
    ids=["icmp", "icmpv6", "esp", "later", "later tcp", "later v6", "arp", "cut in the ports"],
)
def test_port_80_matches_no_packet_without_known_ports(frame: bytes) -> None:
    assert not any(matches(f"{name} 80", frame) for name in ("port", "sport", "dport"))
    assert not matches("port 0-65535", frame)


def test_port_80_matches_a_first_fragment() -> None:
    first = f.frag4(A4, B4, offset=0, more=True, payload=f.udp(dport=80))
    assert matches("port 80", first)
    assert matches("port 80", f.frag6(A6, B6, offset=0, more=True, payload=f.udp(dport=80)))


def test_a_later_fragment_is_matched_by_address_and_protocol() -> None:
    later = f.frag6(A6, B6, offset=8, payload=bytes(8))
    assert matches(f"peer_ip {A6} protocol udp", later)
    assert not matches("protocol 44", later)


def test_icmp_type_0_and_code_0_are_values_like_others() -> None:
    reply, request = f.icmp4(A4, B4, kind=0), f.icmp4(A4, B4, kind=8, code=3)
    assert matches("icmp_type 0", reply)
    assert not matches("icmp_type 0", request)
    assert matches("icmp_code 0", reply)
    assert not matches("icmp_code 0", request)
    assert not matches("icmp_type 0", f.tcp4(A4, B4))


def test_tcp_flags_syn_means_syn_set_whatever_else_is() -> None:
    syn, syn_ack = f.tcp4(A4, B4, flags=f.SYN), f.tcp4(A4, B4, flags=f.SYN | f.ACK)
    assert matches("tcp_flags syn", syn)
    assert matches("tcp_flags syn", syn_ack)
    assert not matches("tcp_flags syn", f.tcp4(A4, B4, flags=f.ACK))


def test_tcp_flags_with_a_mask_compares_the_flags_of_the_mask() -> None:
    syn, syn_ack = f.tcp4(A4, B4, flags=f.SYN), f.tcp4(A4, B4, flags=f.SYN | f.ACK)
    assert matches("tcp_flags syn/synack", syn)
    assert not matches("tcp_flags syn/synack", syn_ack)
    assert matches("tcp_flags syn/synack", f.tcp4(A4, B4, flags=f.SYN | f.PSH))
    assert matches("tcp_flags none/all", f.tcp4(A4, B4, flags=0))


def test_tcp_flags_that_were_cut_off_match_nothing_while_the_ports_do() -> None:
    cut = f.tcp4(A4, B4, dport=80, flags=f.SYN)[: 14 + 20 + 13]
    assert matches("port 80", cut)
    assert not matches("tcp_flags none/syn", cut)
    assert not matches("tcp_flags syn", cut)


def test_a_set_of_rejecting_rules_accepts_everything_but() -> None:
    lines = ["reject port 22", "reject protocol icmp"]
    assert verdict(lines, f.tcp4(A4, B4, dport=22)) == (False, 0)
    assert verdict(lines, f.icmp4(A4, B4)) == (False, 1)
    assert verdict(lines, f.tcp4(A4, B4, dport=80)) == (True, NO_RULE)
    assert verdict([], f.arp(A4, B4)) == (True, NO_RULE)


def test_one_accepting_rule_makes_the_rest_rejected() -> None:
    lines = ["reject port 22", "port 80"]
    assert verdict(lines, f.tcp4(A4, B4, dport=443)) == (False, NO_RULE)


def test_the_first_rule_that_holds_decides() -> None:
    lines = ["reject peer_ip 10.0.0.1", "port 80", "reject port 80"]
    assert verdict(lines, f.tcp4(A4, B4, dport=80)) == (False, 0)
    assert verdict(lines, f.tcp4(B4, C4, dport=80)) == (True, 1)


def test_a_rule_without_protocol_holds_for_every_transport() -> None:
    for frame in (
        f.tcp4(A4, B4, dport=80),
        f.udp4(A4, B4, sport=80),
        f.sctp4(A4, B4, dport=80),
        f.tcp6(A6, B6, dport=80),
    ):
        assert matches("port 80", frame)
    for frame in (f.icmp4(A4, B4), f.esp4(A4, B4)):
        assert matches("cidr 10.0.0.0/24", frame)


def test_ports_are_found_behind_ip_options() -> None:
    assert matches("dport 80", f.tcp4(A4, B4, dport=80, options=b"\x94\x04\x00\x00"))
    assert matches("dport 80", f.tcp4(A4, B4, dport=80, options=bytes(40)))


def test_ports_are_found_behind_every_extension_header() -> None:
    chain = [
        f.extension(f.HOP_BY_HOP),
        f.extension(f.DEST_OPTS, units=2),
        f.extension(f.ROUTING, units=1),
        f.fragment6(more=True),
        f.extension(f.AH, units=4),
        f.extension(f.MOBILITY),
    ]
    frame = f.tcp6(A6, B6, dport=80, flags=f.SYN, extensions=chain)
    assert matches("dport 80 protocol tcp tcp_flags syn", frame)


def test_a_fragment_header_has_no_length() -> None:
    chain = [f.fragment6(more=True, reserved=3)]
    assert matches("dport 80", f.udp6(A6, B6, dport=80, extensions=chain))


def test_eight_extension_headers_are_walked_and_a_ninth_is_not() -> None:
    eight = [f.extension(f.DEST_OPTS)] * 8
    assert seen(f.udp6(A6, B6, dport=80, extensions=eight)).dport == 80
    nine = seen(f.udp6(A6, B6, dport=80, extensions=[*eight, f.extension(f.AH)]))
    assert (nine.proto, nine.dport) == (f.AH, None)
    assert nine.src is not None


def test_a_chain_of_extension_headers_that_is_cut_keeps_its_last_number() -> None:
    chain = [f.extension(f.HOP_BY_HOP), f.extension(f.ROUTING)]
    packet = seen(f.udp6(A6, B6, extensions=chain)[: 14 + 40 + 8 + 7])
    assert (packet.proto, packet.sport) == (f.ROUTING, None)
    assert packet.src is not None


def test_esp_and_no_next_header_end_the_walk() -> None:
    for proto in (f.ESP, f.NO_NEXT):
        chain = [f.extension(f.HOP_BY_HOP)]
        body = f.ipv6(A6, B6, proto=proto, payload=bytes(16), extensions=chain)
        assert seen(f.ethernet(f.IPV6, body)).proto == proto


def test_peer_addresses_belong_to_their_rule() -> None:
    lines = ["peer_ip 10.0.0.1 port 80", "peer_ip 10.0.1.2 port 443"]
    assert verdict(lines, f.tcp4(A4, C4, dport=443)) == (False, NO_RULE)
    assert verdict(lines, f.tcp4(C4, B4, dport=443)) == (True, 1)


def test_cidr_and_peer_cidr_take_opposite_ends() -> None:
    line = "cidr 10.0.0.0/16 peer_cidr 10.0.0.0/24"
    assert matches(line, f.udp4(A4, B4))
    assert matches(line, f.udp4(B4, A4))
    # One end lies in both networks and the other in neither.
    assert not matches(line, f.udp4(A4, C4))
    assert not matches("cidr 10.0.1.0/24 peer_ip 10.0.0.1", f.udp4(A4, C4))


def test_src_and_dst_constrain_their_end_beside_the_others() -> None:
    line = "src_cidr 10.0.0.0/24 peer_ip 10.0.1.2"
    assert matches(line, f.udp4(A4, B4))
    assert not matches(line, f.udp4(B4, A4))


def test_the_end_of_port_does_not_depend_on_the_end_of_the_address() -> None:
    line = "peer_ip 10.0.0.1 port 80"
    assert matches(line, f.tcp4(A4, B4, sport=80, dport=9))
    assert matches(line, f.tcp4(A4, B4, sport=9, dport=80))
    assert not matches("port 80 dport 443", f.tcp4(A4, B4, sport=9, dport=443))
    assert matches("port 80 dport 443", f.tcp4(A4, B4, sport=80, dport=443))


def test_a_rule_without_ip_predicate_holds_for_arp_and_any_other_does_not() -> None:
    frame = f.arp(A4, B4)
    assert matches("direction ingress", frame)
    assert matches("interface eth0", frame)
    for line in ("cidr 0.0.0.0/0", "cidr ::/0", "protocol 0", "port 0-65535", "icmp_code 0-255"):
        assert not matches(line, frame)


@pytest.mark.parametrize("first", [0x55, 0x44, 0x4F], ids=["version", "ihl", "past the end"])
def test_an_invalid_ipv4_header_has_no_addresses(first: int) -> None:
    frame = bytearray(f.udp4(A4, B4))
    frame[14] = first
    packet = seen(bytes(frame))
    assert (packet.src, packet.dst, packet.proto, packet.etype) == (None, None, None, f.IPV4)
    assert matches("interface eth0", bytes(frame))
    assert not matches("protocol udp", bytes(frame))


def test_an_ipv6_header_that_is_cut_has_no_addresses() -> None:
    assert seen(f.udp6(A6, B6)[: 14 + 39]).src is None
    assert seen(f.udp6(A6, B6)[: 14 + 40]).proto == f.UDP


def test_two_vlan_tags_are_skipped_and_a_third_is_not() -> None:
    for vlans in ((), (7,), (7, 8)):
        assert matches("dport 80", f.tcp4(A4, B4, vlans=vlans))
    assert seen(f.tcp4(A4, B4, vlans=(7, 8, 9))).etype == f.VLAN


def test_direction_and_interface_tell_packets_apart() -> None:
    given_rules = rules("direction egress interface veth*", "interface eth?")
    frame = f.udp4(A4, B4)
    egress = seen(frame, direction=Direction.EGRESS, ifname="veth12")
    assert decide(given_rules, egress, "flows") == (True, 0)
    assert decide(given_rules, seen(frame, ifname="veth12"), "flows") == (False, NO_RULE)
    assert decide(given_rules, seen(frame, ifname="eth7"), "flows") == (True, 1)
    assert decide(given_rules, seen(frame, ifname="eth10"), "flows") == (False, NO_RULE)


def test_rules_for_one_kind_leave_the_other_alone() -> None:
    lines = ["port 80 for packets", "reject port 80"]
    frame = f.tcp4(A4, B4, dport=80)
    assert verdict(lines, frame, "packets") == (True, 0)
    assert verdict(lines, frame, "flows") == (False, 1)
    # For flows no rule accepts, so what none decides is accepted.
    other = f.tcp4(A4, B4, dport=81)
    assert verdict(lines, other, "packets") == (False, NO_RULE)
    assert verdict(lines, other, "flows") == (True, NO_RULE)


def test_raw_ip_frames_start_at_the_ip_header() -> None:
    for frame, etype in ((f.tcp4(A4, B4), f.IPV4), (f.tcp6(A6, B6), f.IPV6)):
        packet = parse(frame[14:], direction=Direction.INGRESS, ifname="tun0", link_type=RAW_IP)
        assert (packet.etype, packet.dport) == (etype, 80)


@settings(max_examples=200, deadline=None)
@given(given_rules=rule_sets(), frame=frames(), place=packet_places())
def test_whatever_is_drawn_is_decided_by_a_rule_that_is_there_or_by_none(
    given_rules: list[Rule], frame: bytes, place: tuple[Direction, str]
) -> None:
    direction, ifname = place
    packet = parse(frame, direction=direction, ifname=ifname)
    assert 1 <= len(given_rules) <= 64
    for kind in ("flows", "packets"):
        accepted, index = decide(given_rules, packet, kind)
        if index == NO_RULE:
            accepting = any(not r.reject and getattr(r, kind) for r in given_rules)
            assert accepted is not accepting
        else:
            assert getattr(given_rules[index], kind)
            assert accepted is not given_rules[index].reject
