"""The traps that NetObserv's agent falls into, each by name, put to this kernel's programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nshell.filters import Direction, FilterError, parse_rule, split_words
from tests.classifier import frames as f

if TYPE_CHECKING:
    from tests.kernel import Kernel, Kind, Verdict

pytestmark = pytest.mark.kernel

A, B, C = "10.0.0.1", "10.0.1.1", "192.168.1.1"
A6, B6 = "2001:db8::1", "2001:db8::2"


def verdicts(kernel: Kernel, rules: list[str], *frames: bytes) -> list[Verdict]:
    """For flows of IP frames, for packets of others."""
    kernel.apply([parse_rule(split_words(rule)) for rule in rules])
    found = []
    for frame in frames:
        decided = kernel.decide(frame)
        kind: Kind = "flows" if "flows" in decided else "packets"
        found.append(decided[kind])
    return found


def accepted(kernel: Kernel, rules: list[str], *frames: bytes) -> list[bool]:
    return [accept for accept, _ in verdicts(kernel, rules, *frames)]


def test_two_rules_with_one_prefix_both_count(kernel: Kernel) -> None:
    rules = ["cidr 10.0.0.0/8 protocol tcp port 8080", "cidr 10.0.0.0/8 protocol udp"]
    assert verdicts(kernel, rules, f.tcp4(A, B, dport=8080), f.udp4(A, B), f.tcp4(A, B)) == [
        (True, 0), (True, 1), (False, 64),
    ]  # fmt: skip


def test_an_ipv4_prefix_does_not_match_an_ipv6_address_with_the_same_leading_bytes(
    kernel: Kernel,
) -> None:
    assert accepted(
        kernel, ["cidr 253.0.0.0/8"], f.udp6("fd99::1", "fd99::2"), f.udp4("253.1.1.1", A)
    ) == [False, True]


def test_the_ipv4_default_route_matches_no_ipv6_and_the_other_way_round(kernel: Kernel) -> None:
    frames = (f.udp4(A, B), f.udp6(A6, B6))
    assert accepted(kernel, ["cidr 0.0.0.0/0"], *frames) == [True, False]
    assert accepted(kernel, ["cidr ::/0"], *frames) == [False, True]


def test_port_80_lets_no_icmp_and_no_esp_through(kernel: Kernel) -> None:
    frames = (f.icmp4(A, B), f.esp4(A, B, spi=80 << 16 | 80), f.icmp6(A6, B6), f.tcp4(A, B))
    assert accepted(kernel, ["port 80"], *frames) == [False, False, False, True]


def test_later_fragments_follow_their_first_one(kernel: Kernel) -> None:
    first = f.frag4(A, B, offset=0, payload=f.udp(dport=80, payload=bytes(16)), more=True, ident=7)
    later = f.frag4(A, B, offset=24, payload=bytes(8), ident=7)
    before = kernel.classifier.counters()
    assert accepted(kernel, ["port 80"], first, later) == [True, True]
    after = kernel.classifier.counters()
    assert after["fragment_followed"] == before["fragment_followed"] + 1
    keys = {key for key, _ in kernel.flows()}
    assert len(keys) == 1, "both fragments are one flow"


def test_later_fragments_without_their_first_one_are_counted_as_unattributable(
    kernel: Kernel,
) -> None:
    before = kernel.classifier.counters()
    later = f.frag4(A, B, offset=24, payload=bytes(8), ident=8)
    assert accepted(kernel, ["port 80"], later) == [False]
    after = kernel.classifier.counters()
    assert after["fragment_unattributed"] == before["fragment_unattributed"] + 1


def test_ipv6_fragments_follow_their_first_one_too(kernel: Kernel) -> None:
    first = f.frag6(A6, B6, offset=0, payload=f.udp(dport=80, payload=bytes(16)), more=True)
    later = f.frag6(A6, B6, offset=24, payload=bytes(8))
    assert accepted(kernel, ["port 80 protocol udp"], first, later) == [True, True]


def test_icmp_type_0_and_code_0_are_expressible(kernel: Kernel) -> None:
    reply, request = f.icmp4(A, B, kind=0), f.icmp4(A, B, kind=8)
    net, host = f.icmp4(A, B, kind=3, code=0), f.icmp4(A, B, kind=3, code=1)
    assert accepted(kernel, ["icmp_type 0"], reply, request) == [True, False]
    assert accepted(kernel, ["icmp_type 3 icmp_code 0"], net, host) == [True, False]


def test_tcp_flags_syn_means_syn_set_and_a_mask_can_say_more(kernel: Kernel) -> None:
    syn, synack, ack = (f.tcp4(A, B, flags=x) for x in (f.SYN, f.SYN | f.ACK, f.ACK))
    assert accepted(kernel, ["tcp_flags syn"], syn, synack, ack) == [True, True, False]
    assert accepted(kernel, ["tcp_flags syn/synack"], syn, synack, ack) == [True, False, False]
    assert accepted(kernel, ["tcp_flags psh"], f.tcp4(A, B, flags=f.PSH | f.ACK), ack) == [
        True, False,
    ]  # fmt: skip


def test_reject_only_rules_mean_everything_but(kernel: Kernel) -> None:
    rules = ["reject cidr 10.0.0.0/8 protocol tcp port 8080"]
    frames = (f.tcp4(A, B, dport=8080), f.tcp4(A, B), f.tcp4(C, C), f.tcp6(A6, B6))
    assert accepted(kernel, rules, *frames) == [False, True, True, True]


def test_a_rule_without_protocol_holds_for_every_transport(kernel: Kernel) -> None:
    frames = (f.tcp4(A, B), f.udp4(A, B, dport=80), f.sctp4(A, B))
    assert accepted(kernel, ["port 80"], *frames) == [True, True, True]


def test_ip_options_and_extension_headers_are_walked(kernel: Kernel) -> None:
    options = f.tcp4(A, B, options=bytes([1] * 7))
    chain = [f.extension(f.HOP_BY_HOP, units=1), f.extension(f.DEST_OPTS, units=3),
             f.extension(f.AH, units=4)]  # fmt: skip
    assert accepted(kernel, ["port 80"], options, f.tcp6(A6, B6, extensions=chain)) == [True, True]


def test_peer_addresses_are_kept_per_rule(kernel: Kernel) -> None:
    rules = [f"cidr {A} peer_ip {B} port 80", f"cidr {A} peer_ip {C} port 443"]
    frames = (
        f.tcp4(A, B, dport=80), f.tcp4(C, A, dport=443), f.tcp4(A, C, dport=80),
        f.tcp4(A, B, dport=443),
    )  # fmt: skip
    assert accepted(kernel, rules, *frames) == [True, True, False, False]


def test_a_pair_of_prefixes_wants_one_end_in_each(kernel: Kernel) -> None:
    rules = ["cidr 10.0.0.0/16 peer_cidr 10.0.0.0/24"]
    # One end in both, the other in neither: ORing each end first would accept it.
    assert accepted(kernel, rules, f.udp4(A, C), f.udp4(A, B), f.udp4(B, A)) == [
        False, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["protocol tcpp", "port 70000", "icmp_type 256", "direction up", "peer_ip 10.0.0", ""]
)
def test_invalid_values_are_refused_instead_of_ignored(text: str) -> None:
    with pytest.raises(FilterError):
        parse_rule(split_words(text))


def test_a_vlan_tag_hides_nothing(kernel: Kernel) -> None:
    frames = (f.tcp4(A, B, vlans=(100,)), f.udp6(A6, B6, dport=80, vlans=(7, 100)))
    assert accepted(kernel, ["port 80"], *frames) == [True, True]


def test_arp_is_captured_as_packet_when_no_ip_predicate_forbids_it(kernel: Kernel) -> None:
    arp = f.arp(A, B)
    assert verdicts(kernel, [], arp) == [(True, 64)]
    assert verdicts(kernel, ["direction ingress"], arp) == [(True, 0)]
    assert verdicts(kernel, ["protocol tcp"], arp) == [(False, 64)]


def test_direction_is_that_of_the_hook(kernel: Kernel) -> None:
    kernel.apply([parse_rule(["direction", "egress"])])
    frame = f.tcp4(A, B)
    assert kernel.decide(frame, Direction.EGRESS)["flows"] == (True, 0)
    assert kernel.decide(frame, Direction.INGRESS)["flows"] == (False, 64)
