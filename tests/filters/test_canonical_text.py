"""A rule's text makes that rule again, and is the same for all ways to say it."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nshell.filters import PREDICATES, FilterError, Rule, name_in, parse_rule, split_words
from tests.classifier.strategies import parsed_rules

WORDS = (
    *PREDICATES, "accept", "reject", "for", "as", "flows", "packets", ",", "80", "80,", "443-",
    "-1", "9-1", "http", "tcp", "udp,icmp", "icmpv6", "10.0.0.1", "10.0.0.0/8", "::/0",
    "fe80::1%eth0", "::ffff:1.2.3.4", "[::1]:80", "10.0/8", "syn/ack", "none", "eth*",
    "a\u202eb", "\ud800", "\x00",
    "\u0663", "9" * 5000, "1.2.3.4/" + "9" * 5000, "", "shop/web-*", "deploy/web", "app=web",
    "a/b/c/d", "=", "!", "web,", "*/",
)  # fmt: skip


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("accept PORT 80", "port 80"),
        ("reject port 80 for flows", "reject port 80 for flows"),
        ("protocol 6,17,200 peer_ip 10.0.0.1", "peer_ip 10.0.0.1 protocol tcp,udp,200"),
        ("interface eth0 direction in port https", "port 443 direction ingress interface eth0"),
        ("peer_cidr 10.0.0.0/8,1.2.3.4/32", "peer_ip 1.2.3.4 peer_cidr 10.0.0.0/8"),
        ("cidr 10.0.0.1/32,2001:0DB8::/32", "cidr 10.0.0.1,2001:db8::/32"),
        ("cidr ::/0", "cidr ::/0"),
        ("icmp_type echo-request,8", "icmp_type 8,128"),
        ("tcp_flags syn/synack,ack+syn,none/all",
         "tcp_flags syn/syn+ack,syn+ack,none/all"),
        ("port 8000-8100,80-80", "port 8000-8100,80"),
        ("port 80 port 443 for packets", "port 80,443 for packets"),
        ("port 80 AS Web-1 for flows", "port 80 for flows as Web-1"),
        ("reject port 80 as a.b_c", "reject port 80 as a.b_c"),
        ("pod as", "pod as"),
        ("pod as as web", "pod as as web"),
    ],
)  # fmt: skip
def test_the_text_has_one_order_and_one_spelling(line: str, text: str) -> None:
    assert parse_rule(split_words(line)).text == text


def test_an_interface_with_quotes_in_its_name_survives() -> None:
    made = parse_rule(["interface", "a'b\"c\\d"])
    assert parse_rule(shlex.split(made.text)) == made


@given(parsed_rules())
def test_parsing_the_text_gives_the_same_rule(rule: Rule) -> None:
    assert parse_rule(shlex.split(rule.text)) == rule
    assert split_words(rule.text) == shlex.split(rule.text)
    assert name_in(rule.text) == rule.name


@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=6))
@example(["interface", "a'b"])
@example(["cidr", "fe80::1%\x1b/64"])
@example(["peer_ip", "[fe80::1%\x1b]:80"])
@example(["port=\x1b", "80"])
def test_any_words_make_a_rule_or_one_printable_line(words: list[str]) -> None:
    message, rule = refusal_or_rule(words)
    assert message.isprintable()
    assert len(message) < 400
    assert rule is None or parse_rule(shlex.split(rule.text)) == rule


@given(st.text(alphabet="ab '\"\\", max_size=12))
def test_a_line_is_split_as_shlex_does_or_refused(line: str) -> None:
    try:
        expected = shlex.split(line)
    except ValueError as error:
        fault = "is not closed" if str(error) == "No closing quotation" else "quote|backslash"
        with pytest.raises(FilterError, match=fault):
            split_words(line)
    else:
        assert split_words(line) == expected


def refusal_or_rule(words: list[str]) -> tuple[str, Rule | None]:
    try:
        return "", parse_rule(words)
    except FilterError as error:
        return str(error), None
