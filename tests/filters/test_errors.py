"""What a wrong filter says: one line, the word at fault, the nearest right one."""

from __future__ import annotations

import pytest

from nshell.filters import PREDICATES, FilterError, parse_rule, split_words

ALL = ", ".join(PREDICATES)

GRAMMAR = {
    "": "filter needs a predicate, e.g. `filter port 443`",
    "reject": "filter reject needs a predicate, e.g. `filter reject port 22`",
    "Accept": "filter accept needs a predicate, e.g. `filter accept port 22`",
    "for flows": "filter needs a predicate, e.g. `filter port 443`",
    "prot tcp": "unknown predicate 'prot': did you mean 'port' or 'protocol'?",
    "rejct port 80": "unknown predicate 'rejct': did you mean 'reject'?",
    "xyzzy 1": f"unknown predicate 'xyzzy': one of {ALL}",
    "host 1.2.3.4": "unknown predicate 'host': did you mean 'peer_ip'?",
    "tcp port 80": "unknown predicate 'tcp': write it as `protocol tcp`",
    "port=80": "unknown predicate 'port=80': write it as `port VALUE`",
    "port 80 443": "unknown predicate '443': if it is a value of port, put a comma before it",
    "port 80 and port 81": (
        "unknown predicate 'and': leave it out, all predicates of a filter must hold"
    ),
    "port 80 reject": "'reject' comes first: `filter reject PREDICATE VALUE ...`",
    "port 80 flows": "unknown predicate 'flows': write it as `for flows`, at the end",
    "port": "port needs a value, e.g. `filter port 80,443`",
    "port protocol tcp": "port needs a value before 'protocol', e.g. `filter port 80,443`",
    "port for flows": "port needs a value before 'for', e.g. `filter port 80,443`",
    "port 80,,443": "port has an empty value in '80,,443', e.g. `filter port 80,443`",
    "port 80,": "port has an empty value in '80,', e.g. `filter port 80,443`",
    "port 80 for": "'for' needs flows or packets after it",
    "port 80 for flow": "unknown kind 'flow' after 'for': did you mean 'flows'?",
    "port 80 for flows port 81": (
        "'port' stands after `for flows`: `for flows` or `for packets` comes last, and `as NAME`"
    ),
    "port 80 as web port 81": (
        "'port' stands after `as web`: `for flows` or `for packets` comes last, and `as NAME`"
    ),
    "port 80 as a as b": (
        "'as' stands after `as a`: `for flows` or `for packets` comes last, and `as NAME`"
    ),
    "port 80 as": "'as' needs a name after it",
    "port 80 as 3": (
        "'3' is no name for a filter: a letter, then letters, digits, - _ and ., 32 at most"
    ),
    "port 80 as Port": "'Port' is no name for a filter: it is a word of the language",
    "port as web": "port needs a value before 'as', e.g. `filter port 80,443`",
    "port 80 name web": "unknown predicate 'name': write it as `as NAME`, at the end",
    "as web": "filter needs a predicate, e.g. `filter port 443`",
}

ADDRESSES = {
    "peer_ip 10.129.0": "'10.129.0' is not an address: write it as 10.129.0.0/24?",
    "cidr 10.129/16": "'10.129/16' is not an address: write it as 10.129.0.0/16?",
    "peer_ip 10.0.0.300": "'10.0.0.300' is not an address: 300 is above 255",
    "peer_ip 10.0.0.01": "'10.0.0.01' is not an address: 01 starts with a zero",
    "peer_ip 1.2.3.4.5": "'1.2.3.4.5' is not an address: IPv4 has 4 parts and this has 5",
    "peer_ip 80": "'80' is not an address: e.g. 10.129.0.48 or 2001:db8::1",
    "peer_ip example.com": (
        "'example.com' is not an address: names are not looked up, give the address"
    ),
    "peer_ip 10.0.0.1:80": (
        "'10.0.0.1:80' is not an address: write it as 10.0.0.1, and `port 80` beside it"
    ),
    "peer_ip [::1]:80": "'[::1]:80' is not an address: write it as ::1, and `port 80` beside it",
    "peer_ip fe80:::1": (
        "'fe80:::1' is not an address: IPv6 has up to 8 groups of up to 4 hex digits, "
        "`::` at most once"
    ),
    "peer_ip fe80::1%eth0": (
        "'fe80::1%eth0' has a zone: write it as fe80::1 and name the interface by `interface`"
    ),
    "peer_ip ::ffff:1.2.3.4": (
        "'::ffff:1.2.3.4' is an IPv4 address written as IPv6: write it as 1.2.3.4"
    ),
    "cidr ::ffff:1.2.3.0/120": (
        "'::ffff:1.2.3.0/120' is an IPv4 address written as IPv6: write it as 1.2.3.0/24"
    ),
    "peer_ip 10.0.0.0/8": (
        "peer_ip takes an address and '10.0.0.0/8' is a network: write it as `peer_cidr 10.0.0.0/8`"
    ),
    "cidr 10.0.0.5/8": "10.0.0.5/8 has host bits set: 10.0.0.0/8?",
    "cidr 2001:db8::1/32": "2001:db8::1/32 has host bits set: 2001:db8::/32?",
    "cidr 10.0.0.0/33": "'33' in '10.0.0.0/33' is not a prefix length: IPv4 has 0 to 32",
    "cidr ::/129": "'129' in '::/129' is not a prefix length: IPv6 has 0 to 128",
    "cidr 10.0.0.0/255.0.0.0": (
        "'10.0.0.0/255.0.0.0' has a mask for a length: write it as 10.0.0.0/8?"
    ),
}

NUMBERS = {
    "port 90-80": "port range 90-80 runs backwards: write it as 80-90?",
    "port 65536": "port '65536' is out of range: 0 to 65535",
    "sport 1-70000": "port '70000' is out of range: 0 to 65535",
    "port 80-": "'80-' is not a range: write it as 80-65535?",
    "port httpz": "'httpz' is not a port: did you mean 'http' or 'https'?",
    "port q": "'q' is not a port: a number, a range such as 8000-8100, or a service",
    "protocol tcpp": "'tcpp' is not a protocol: did you mean 'tcp'?",
    "protocol 256": "protocol '256' is out of range: 0 to 255",
    "icmp_type 256": "icmp_type '256' is out of range: 0 to 255",
    "icmp_type echo-requst": (
        "'echo-requst' is not an ICMP type: did you mean 'echo-request' or 'echo-reply'?"
    ),
    "icmp_code x": "'x' is not an ICMP code: a number from 0 to 255, or a range",
    "icmp_type time-exceeded": (
        "'time-exceeded' is type 3, which is destination-unreachable in the other ICMP: "
        "add `protocol icmp` or `protocol icmpv6`"
    ),
    "icmp_type source-quench": (
        "'source-quench' is type 4, which is parameter-problem in the other ICMP: "
        "add `protocol icmp` or `protocol icmpv6`"
    ),
    "icmp_type packet-too-big protocol icmp": (
        "'packet-too-big' is an ICMP type of IPv6 and the rule holds for IPv4 only"
    ),
    "tcp_flags syn/ack": (
        "'syn/ack' can never match, syn is not in the mask: did you mean 'syn/syn+ack'?"
    ),
    "tcp_flags sin": "'sin' is not a TCP flag: did you mean 'fin' or 'syn'?",
    "tcp_flags syn+akc": "'akc' in 'syn+akc' is not a TCP flag: did you mean 'ack'?",
    "tcp_flags none": "'none' compares no flag: none/all holds when no flag is set",
    "direction outbound": "'outbound' is not a direction: one of ingress, egress, in, out",
    "interface averyveryverylong": (
        "'averyveryverylong' is not an interface name: longer than 15 characters"
    ),
    "interface eth0:1": "'eth0:1' is not an interface name: it has a ':'",
}

CONTRADICTIONS = {
    "protocol icmp port 80": "protocol icmp has no ports: port can't stand beside it",
    "protocol tcp,esp dport 80": "protocol esp has no ports: dport can't stand beside it",
    "protocol tcp icmp_type 8": "protocol tcp is not ICMP: icmp_type can't stand beside it",
    "protocol udp tcp_flags syn": "protocol udp has no TCP flags: tcp_flags can't stand beside it",
    "icmp_code 0 sport 80": "icmp_code and sport never hold for one packet",
    "icmp_type 8 tcp_flags syn": "icmp_type and tcp_flags never hold for one packet",
    "src_cidr 10.0.0.0/8 dst_cidr fe80::/10": (
        "src_cidr is IPv4 only and dst_cidr is IPv6 only: no packet can match both"
    ),
    "cidr 10.0.0.0/8 peer_ip ::1": (
        "cidr is IPv4 only and peer_ip is IPv6 only: no packet can match both"
    ),
    "peer_cidr fe80::/10 protocol icmp": (
        "peer_cidr is IPv6 only and protocol icmp is IPv4 only: no packet can match both"
    ),
    "protocol icmpv6 peer_ip 10.0.0.1": (
        "peer_ip is IPv4 only and protocol icmpv6 is IPv6 only: no packet can match both"
    ),
}


@pytest.mark.parametrize(
    ("line", "message"), [*GRAMMAR.items(), *ADDRESSES.items(), *NUMBERS.items()]
)
def test_a_wrong_word_is_named_with_the_right_one(line: str, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_rule(split_words(line))
    assert str(caught.value) == message


@pytest.mark.parametrize(("line", "message"), CONTRADICTIONS.items())
def test_a_rule_that_can_never_hold_is_refused_with_the_reason(line: str, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_rule(split_words(line))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("port 'a b", 'the quote in "\'a b" is not closed'),
        ("port 80\\", "nothing follows the backslash at the end of the line"),
    ],
)
def test_a_line_that_can_not_be_split_says_where(line: str, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        split_words(line)
    assert str(caught.value) == message


def test_control_and_bidi_characters_of_a_word_come_out_escaped() -> None:
    with pytest.raises(FilterError) as caught:
        parse_rule(["po\x1b\u202ert", "80"])
    assert str(caught.value).startswith("unknown predicate 'po\\x1b\\u202ert': ")
