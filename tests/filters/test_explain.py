"""What is said of a packet that is known in part, against a reference that knows it all.

The reference is that of the classifier's tests, which the kernel is held against.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nshell.filters import Range, parse_rule
from nshell.filters.explain import Decision, Holds, Match, Packet, decide, match
from tests.classifier import frames as f
from tests.classifier import reference, strategies

KNOWN = ("protocol", "sport", "dport")


def packet(
    src: str, dst: str, *, protocol: int | None = None, sport: str = "", dport: str = ""
) -> Packet:
    """By the spelling of its parts."""
    (one,), (other,) = (parse_rule(["peer_ip", each]).peer for each in (src, dst))
    ports = (parse_rule(["port", each]).port[0] if each else None for each in (sport, dport))
    return Packet(one.address, other.address, protocol, *ports)


def matched(text: str, asked: Packet) -> Match:
    return match(parse_rule(text.split()), asked)


WEB = packet("10.0.0.1", "10.0.0.2", protocol=6, sport="32768-60999", dport="443")


@pytest.mark.parametrize(
    ("text", "asked", "holds", "fields"),
    [
        ("port 443", WEB, Holds.YES, ()),
        ("dport 443 protocol tcp", WEB, Holds.YES, ()),
        ("dport 443 protocol tcp", WEB.answer, Holds.NO, ("dport",)),
        ("sport 443 protocol tcp", WEB.answer, Holds.YES, ()),
        ("sport 1024-65535", WEB, Holds.YES, ()),
        ("sport 40000", WEB, Holds.DEPENDS, ("sport",)),
        ("port 40000", WEB.answer, Holds.DEPENDS, ("port",)),
        ("port 80", WEB, Holds.NO, ("port",)),
        ("protocol udp", WEB, Holds.NO, ("protocol",)),
        ("icmp_type 8", WEB, Holds.NO, ("icmp_type",)),
        ("tcp_flags syn", WEB, Holds.DEPENDS, ("tcp_flags",)),
        ("cidr 10.0.0.0/24", WEB, Holds.YES, ()),
        ("cidr 10.1.0.0/24", WEB, Holds.NO, ("either",)),
        ("cidr 10.0.0.1/32 peer_cidr 10.0.0.0/31", WEB, Holds.NO, ("peer",)),
        ("cidr 10.0.0.1/32 peer_ip 10.0.0.2", WEB.answer, Holds.YES, ()),
        ("src_cidr 10.0.0.1/32", WEB.answer, Holds.NO, ("src",)),
        ("peer_ip 10.0.0.2 interface eth0 direction egress", WEB, Holds.DEPENDS,
         ("direction", "interface")),
        # A port that is known tells that it has ports, and no more.
        ("port 443", packet("10.0.0.1", "10.0.0.2", dport="443"), Holds.YES, ()),
        ("protocol tcp", packet("10.0.0.1", "10.0.0.2", dport="443"), Holds.DEPENDS, ("protocol",)),
        ("protocol icmp", packet("10.0.0.1", "10.0.0.2", dport="443"), Holds.NO, ("protocol",)),
        ("protocol icmp", packet("10.0.0.1", "10.0.0.2"), Holds.DEPENDS, ("protocol",)),
        ("port 443", packet("10.0.0.1", "10.0.0.2"), Holds.DEPENDS, ("port",)),
        ("port 443", packet("10.0.0.1", "10.0.0.2", protocol=1), Holds.NO, ("port",)),
        ("cidr 0.0.0.0/0", packet("fd00::1", "fd00::2"), Holds.NO, ("either",)),
    ],
)  # fmt: skip
def test_a_rule_holds_fails_or_depends_on_what_is_named(
    text: str, asked: Packet, holds: Holds, fields: tuple[str, ...]
) -> None:
    assert matched(text, asked) == Match(holds, fields)


@pytest.mark.parametrize(
    ("texts", "flows", "packets"),
    [
        ([], Decision(Holds.YES, None), Decision(Holds.YES, None)),
        (["port 80"], Decision(Holds.NO, None), Decision(Holds.NO, None)),
        (["port 80", "port 443"], Decision(Holds.YES, 1), Decision(Holds.YES, 1)),
        (["reject port 443", "port 443"], Decision(Holds.NO, 0), Decision(Holds.NO, 0)),
        (["reject port 80"], Decision(Holds.YES, None), Decision(Holds.YES, None)),
        (["port 443 for packets"], Decision(Holds.YES, None), Decision(Holds.YES, 0)),
        # Either way it is taken: by which of them depends.
        (["tcp_flags syn", "port 443"], Decision(Holds.YES, None), Decision(Holds.YES, None)),
        (["reject tcp_flags syn", "port 443"],
         Decision(Holds.DEPENDS, None), Decision(Holds.DEPENDS, None)),
        (["tcp_flags syn"], Decision(Holds.DEPENDS, None), Decision(Holds.DEPENDS, None)),
        (["reject sport 50000"], Decision(Holds.DEPENDS, None), Decision(Holds.DEPENDS, None)),
    ],
)  # fmt: skip
def test_the_first_that_holds_decides_as_far_as_that_can_be_told(
    texts: list[str], flows: Decision, packets: Decision
) -> None:
    rules = [parse_rule(text.split()) for text in texts]
    matches = [match(rule, WEB) for rule in rules]
    assert decide(rules, matches, packets=False) == flows
    assert decide(rules, matches, packets=True) == packets


@st.composite
def seen(draw: st.DrawFn) -> reference.Packet:
    """An IP packet at some interface; a port only where both are."""
    direction, ifname = draw(strategies.packet_places())
    frame = draw(strategies.frames())
    found = reference.parse(frame, direction=direction, ifname=ifname)
    return replace(found, proto=found.proto if found.src is not None else None)


def known_of(whole: reference.Packet, forgotten: set[str]) -> Packet:
    assert whole.src is not None
    assert whole.dst is not None
    known: dict[str, Any] = {"protocol": whole.proto}
    for name in ("sport", "dport"):
        port = getattr(whole, name)
        known[name] = None if port is None else Range(port, port)
    return Packet(
        whole.src, whole.dst, **{k: None if k in forgotten else v for k, v in known.items()}
    )


@given(
    strategies.rule_sets(max_size=5),
    seen().filter(lambda whole: whole.src is not None),
    st.sets(st.sampled_from(KNOWN)),
)
def test_what_is_certain_of_a_part_is_so_of_the_whole(
    rules: list[Any], whole: reference.Packet, forgotten: set[str]
) -> None:
    asked = known_of(whole, forgotten)
    matches = [match(rule, asked) for rule in rules]
    for rule, found in zip(rules, matches, strict=True):
        if found.holds is not Holds.DEPENDS:
            assert reference.holds(rule, whole) == (found.holds is Holds.YES)
    kinds: tuple[Any, Any] = ("flows", "packets")
    for kind in kinds:
        told = decide(rules, matches, packets=kind == "packets")
        accepted, by = reference.decide(rules, whole, kind)
        if told.captured is not Holds.DEPENDS:
            assert accepted == (told.captured is Holds.YES)
        if told.by is not None:
            assert told.by == by


@given(strategies.rules(), seen().filter(lambda whole: whole.dport is not None))
def test_where_all_that_it_asks_for_is_known_nothing_is_left_open(
    rule: Any, whole: reference.Packet
) -> None:
    found = match(rule, known_of(whole, set()))
    asked_for = {"direction", "interface", "icmp_type", "icmp_code", "tcp_flags"}
    if not any(getattr(rule, name) for name in asked_for):
        assert found.holds is (Holds.YES if reference.holds(rule, whole) else Holds.NO)
    assert set(found.fields) <= asked_for or found.holds is Holds.NO


def test_answers_are_the_other_way_round() -> None:
    asked = packet("10.0.0.1", "10.0.0.2", protocol=f.TCP, sport="1", dport="2")
    assert asked.answer == packet("10.0.0.2", "10.0.0.1", protocol=f.TCP, sport="2", dport="1")
    assert asked.answer.answer == asked
