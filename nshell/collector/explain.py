"""Which filter decides packets between two ends, from the rules as agents have them.

Invariant: pure; asks the rules in force, so what selectors stand for now counts, and
what is laid over the user's filters.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from nshell.filters.explain import Holds, Packet, decide, match, predicate, together
from nshell.filters.rule import Range
from nshell.proto import session_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.collector.rules import NumberedRule
    from nshell.collector.session import Session
    from nshell.filters import Rule
    from nshell.filters.explain import Match

_ADDRESS_BYTES = 16
_HOLDS = {Holds.YES: pb.YES, Holds.NO: pb.NO, Holds.DEPENDS: pb.DEPENDS}


def explanation(session: Session, request: pb.ExplainRequest) -> pb.Explanation:
    """ValueError where the request is no packet."""
    if {len(request.source), len(request.destination)} != {_ADDRESS_BYTES}:
        raise ValueError("an address has 16 bytes")
    packet = Packet(
        request.source,
        request.destination,
        request.protocol if request.HasField("protocol") else None,
        _ports(request.source_port) if request.HasField("source_port") else None,
        _ports(request.destination_port) if request.HasField("destination_port") else None,
    )
    present, settings = session.present, session.present.settings
    typed = {each.id: each.rule for each in session.rules}
    if session.overlay is not None:
        typed |= {each.id: each.rule for each in session.overlay.rules}
    return pb.Explanation(
        generation=present.number,
        flows=settings.flows and not settings.paused,
        packets=settings.packets and not settings.paused,
        there=_course(present.rules, typed, packet),
        back=_course(present.rules, typed, packet.answer),
    )


def _ports(asked: pb.PortRange) -> Range:
    return Range(asked.first, asked.last)


def _course(rules: Sequence[NumberedRule], typed: dict[int, Rule], packet: Packet) -> pb.Course:
    """What becomes of it; several rules may be one filter, as it was typed."""
    matches = [match(each.rule, packet) for each in rules]
    filters: list[pb.FilterMatch] = []
    position: dict[int, int] = {}
    for key, group in groupby(range(len(rules)), key=lambda at: (rules[at].id, rules[at].text)):
        own = list(group)
        position |= dict.fromkeys(own, len(filters))
        found = together([matches[at] for at in own])
        as_typed = typed.get(key[0], rules[own[0]].rule)
        filters.append(_filter_match(key, rules[own[0]].rule, found, as_typed))
    outcomes = {}
    for kind in ("flows", "packets"):
        decision = decide([each.rule for each in rules], matches, packets=kind == "packets")
        outcomes[kind] = pb.Outcome(
            captured=_HOLDS[decision.captured],
            decided_by=None if decision.by is None else position[decision.by],
        )
    return pb.Course(filters=filters, **outcomes)


def _filter_match(key: tuple[int, str], rule: Rule, found: Match, as_typed: Rule) -> pb.FilterMatch:
    number, text = key
    named = dict.fromkeys(predicate(as_typed, field) for field in found.fields)
    return pb.FilterMatch(
        id=number,
        text=text,
        holds=_HOLDS[found.holds],
        predicates=named,
        flows=rule.flows,
        packets=rule.packets,
    )
