"""What the filter language takes, and the rule that it makes of it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest

from nshell.filters import (
    PREDICATES,
    Direction,
    FilterError,
    FlagMatch,
    Prefix,
    Range,
    Rule,
    parse_rule,
    split_words,
)

MAPPED = bytes(10) + b"\xff\xff"


def rule(line: str) -> Rule:
    return parse_rule(split_words(line))


def v4(address: str, length: int = 32) -> Prefix:
    return Prefix(MAPPED + IPv4Address(address).packed, 96 + length)


def v6(address: str, length: int = 128) -> Prefix:
    return Prefix(IPv6Address(address).packed, length)


def numbers(*values: int) -> tuple[Range, ...]:
    return tuple(Range(value, value) for value in values)


def is_taken(line: str) -> bool:
    try:
        rule(line)
    except FilterError:
        return False
    return True


def test_the_filter_of_the_design_card_is_one_peer() -> None:
    assert rule("peer_ip 10.129.0.48") == Rule(
        reject=False,
        flows=True,
        packets=True,
        peer=(v4("10.129.0.48"),),
        text="peer_ip 10.129.0.48",
    )


def test_every_predicate_fills_its_own_field() -> None:
    addresses = rule("cidr 10.0.0.0/8 peer_cidr 172.16.0.0/12 src_cidr 1.2.3.4 dst_cidr 0.0.0.0/0")
    assert addresses.either == (v4("10.0.0.0", 8),)
    assert addresses.peer == (v4("172.16.0.0", 12),)
    assert addresses.src == (v4("1.2.3.4"),)
    assert addresses.dst == (v4("0.0.0.0", 0),)
    tcp = rule("port 1 sport 2 dport 3-4 protocol tcp tcp_flags rst direction in interface eth0")
    assert (tcp.port, tcp.sport, tcp.dport) == (numbers(1), numbers(2), (Range(3, 4),))
    assert (tcp.protocol, tcp.tcp_flags) == (numbers(6), (FlagMatch(4, 4),))
    assert (tcp.direction, tcp.interface) == ((Direction.INGRESS,), ("eth0",))
    icmp = rule("icmp_type 0 icmp_code 1-3")
    assert (icmp.icmp_type, icmp.icmp_code) == (numbers(0), (Range(1, 3),))


@pytest.mark.parametrize("name", PREDICATES)
def test_the_example_of_a_predicate_is_taken(name: str) -> None:
    assert rule(PREDICATES[name].example).text.startswith(f"{name} ")


@pytest.mark.parametrize(
    ("name", "value"), [(p.name, value) for p in PREDICATES.values() for value in p.values]
)
def test_a_value_offered_for_completion_is_taken(name: str, value: str) -> None:
    # Some names of ICMP types need to know which ICMP is meant.
    beside = ("", " protocol icmp", " protocol icmpv6") if name == "icmp_type" else ("",)
    assert any(is_taken(f"{name} {value}{rest}") for rest in beside)


@pytest.mark.parametrize(
    ("line", "reject", "flows", "packets"),
    [
        ("port 80", False, True, True),
        ("accept port 80", False, True, True),
        ("REJECT port 80 FOR Flows", True, True, False),
        ("port 80 for packets", False, False, True),
    ],
)
def test_verdict_and_kind_stand_around_the_predicates(
    line: str, reject: bool, flows: bool, packets: bool
) -> None:
    made = rule(line)
    assert (made.reject, made.flows, made.packets) == (reject, flows, packets)


@pytest.mark.parametrize(
    "line",
    ["port 80,443", "port 80, 443", "port 80 , 443", "port 80 ,443", "port '80, 443'",
     "port 80 port 443", "PORT http,HTTPS", "port 80,443,80 port 443"],
)  # fmt: skip
def test_values_of_one_predicate_add_up_however_they_are_listed(line: str) -> None:
    assert rule(line).port == numbers(80, 443)


def test_a_service_is_taken_from_the_machine_when_we_do_not_name_it() -> None:
    assert rule("port finger").port == numbers(79)


def test_the_range_of_all_ports_is_a_range() -> None:
    assert rule("port 0-65535").port == (Range(0, 65535),)


def test_protocols_have_names_aliases_and_numbers() -> None:
    assert rule("protocol ipv6-icmp,ICMP6,58").protocol == numbers(58)
    assert rule("protocol esp,ah,gre,igmp,ospf").protocol == numbers(50, 51, 47, 2, 89)
    assert rule("protocol 0,255").protocol == numbers(0, 255)


def test_an_icmp_name_stands_for_its_number_in_both_families() -> None:
    assert rule("icmp_type echo-request").icmp_type == numbers(8, 128)
    assert rule("icmp_type echo-reply").icmp_type == numbers(0, 129)


@pytest.mark.parametrize(
    ("rest", "number"),
    [
        ("protocol icmp", 11),
        ("protocol icmpv6", 3),
        ("cidr 10.0.0.0/8", 11),
        ("peer_ip fe80::1", 3),
    ],
)
def test_an_icmp_name_stands_for_one_number_where_the_rule_holds_for_one_family(
    rest: str, number: int
) -> None:
    assert rule(f"icmp_type time-exceeded {rest}").icmp_type == numbers(number)


@pytest.mark.parametrize(
    ("value", "mask", "flags"),
    [
        ("syn", 0x02, 0x02),
        ("SYN+ACK", 0x12, 0x12),
        ("synack", 0x12, 0x12),
        ("syn/synack", 0x12, 0x02),
        ("syn/syn+ack", 0x12, 0x02),
        ("push", 0x08, 0x08),
        ("none/all", 0xFF, 0x00),
        ("finack/all", 0xFF, 0x11),
        ("rstack", 0x14, 0x14),
        ("fin+psh+urg+ece+cwr", 0xE9, 0xE9),
    ],
)
def test_tcp_flags_are_a_value_under_a_mask(value: str, mask: int, flags: int) -> None:
    assert rule(f"tcp_flags {value}").tcp_flags == (FlagMatch(mask, flags),)


def test_interface_names_keep_their_case_and_wildcards() -> None:
    assert rule("interface Eth0,veth*,eth?").interface == ("Eth0", "veth*", "eth?")


def test_an_interface_may_be_named_like_a_predicate() -> None:
    made = rule("interface port,for port 80")
    assert (made.interface, made.port) == (("port", "for"), numbers(80))


def test_ipv4_any_is_all_of_ipv4_and_no_more() -> None:
    assert rule("cidr 0.0.0.0/0").either == (v4("0.0.0.0", 0),)


@pytest.mark.parametrize("network", ["::/0", "::/8", "::/79", "::/80"])
def test_an_ipv6_prefix_around_the_mapped_addresses_leaves_exactly_them_out(network: str) -> None:
    prefixes = [IPv6Network((p.address, p.length)) for p in rule(f"cidr {network}").either]
    whole, mapped = IPv6Network(network), IPv6Network("::ffff:0:0/96")
    assert sorted(prefixes) == sorted(whole.address_exclude(mapped))


def test_an_ipv6_prefix_beside_the_mapped_addresses_stays_one_prefix() -> None:
    for network in ("2001:db8::/32", "8000::/1", "::/96", "::fffe:0:0/96", "::/128"):
        address, _, length = network.partition("/")
        assert rule(f"cidr {network}").either == (v6(address, int(length)),)


def test_families_mix_where_a_packet_can_match() -> None:
    assert rule("cidr 10.0.0.0/8,2001:db8::/32 peer_ip fe80::1").peer == (v6("fe80::1"),)
    assert rule("protocol icmp,icmpv6 cidr fe80::/10").protocol == numbers(1, 58)
    assert rule("protocol tcp,icmp peer_ip fe80::1").protocol == numbers(6, 1)


def test_words_are_split_as_in_a_shell() -> None:
    assert split_words("filter interface 'a b'  \"c\"\\ d") == ["filter", "interface", "a b", "c d"]
    assert split_words("") == []
    assert split_words("a # b") == ["a", "#", "b"]
