"""What `filter explain` asks of the collector, and its answer in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.filters import Range, name_in
from nshell.filters.contradictions import WITH_PORTS
from nshell.filters.rule import MAPPED
from nshell.filters.values import spell_protocol
from nshell.proto import session_pb2 as pb
from nshell.shell.errors import CommandError
from nshell.shell.units import brief
from nshell.shell.values import Report, Table
from nshell.shell.why.question import check_family, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.shell.why.question import Address, Target

EPHEMERAL = (32_768, 60_999)
"""Ports of clients: Linux's net.ipv4.ip_local_port_range as it comes."""
_KINDS = ("flows", "packets")
_HOLDS = {pb.YES: "yes", pb.NO: "no", pb.DEPENDS: "depends"}
_CAPTURED = {pb.YES: "captured", pb.NO: "left out", pb.DEPENDS: "depends"}


def asked(
    source: Address, source_port: int | None, target: Target, protocol: int | None
) -> pb.ExplainRequest:
    """The packet as far as it is known; CommandError where there is none such."""
    destination = target.address
    assert destination is not None, "names have been found"
    check_family(source, destination)
    ports = (source_port, target.port)
    named = next((port for port in ports if port is not None), None)
    if protocol is not None and protocol not in WITH_PORTS and named is not None:
        name = spell_protocol(Range(protocol, protocol))
        raise CommandError(f"{name} has no ports: leave out :{named}")
    near, far = (_ports(port, other) for port, other in (ports, ports[::-1]))
    return pb.ExplainRequest(
        source=_packed(source),
        destination=_packed(destination),
        protocol=protocol,
        source_port=near,
        destination_port=far,
    )


def _packed(address: Address) -> bytes:
    return MAPPED + address.packed if address.version == 4 else address.packed


def _ports(port: int | None, other: int | None) -> pb.PortRange | None:
    """Of one end; what talks to a port that is named is a client."""
    if port is not None:
        return pb.PortRange(first=port, last=port)
    return None if other is None else pb.PortRange(first=EPHEMERAL[0], last=EPHEMERAL[1])


def explained(
    source: Address, source_port: int | None, target: Target, answer: pb.Explanation
) -> Report:
    """Verdicts of both ways, and every filter with what it says."""
    ways = {"there": answer.there, "back": answer.back}
    assert target.address is not None, "as above"
    near, far = _end(source, source_port), _end(target.address, target.port)
    ends = {"there": f"{near} to {far}", "back": "answers"}
    facts: dict[str, str | int | None] = {"source": near, "target": far}
    for way, course in ways.items():
        for kind in _KINDS:
            facts[f"{way}_{kind}"] = _verdict(answer, course, kind)
            facts[f"{way}_{kind}_filter"] = _decider(course, kind)
    lines = [f"{ends[way]}: {_told(answer, course)}" for way, course in ways.items()]
    return Report(facts=facts, lines=lines, tables={"filters": _table(answer)}, most_rows=None)


def _end(address: Address, port: int | None) -> str:
    return str(address) if port is None else shown(address, port)


def _verdict(answer: pb.Explanation, course: pb.Course, kind: str) -> str:
    on, outcome = getattr(answer, kind), getattr(course, kind)
    return _CAPTURED[outcome.captured] if on else "off"


def _decider(course: pb.Course, kind: str) -> int | None:
    outcome = getattr(course, kind)
    return course.filters[outcome.decided_by].id if outcome.HasField("decided_by") else None


def _told(answer: pb.Explanation, course: pb.Course) -> str:
    """Of flows and packets, in one clause where they fare alike."""
    told = {kind: _clause(answer, course, kind) for kind in _KINDS}
    if told["flows"] == told["packets"]:
        return f"flows and packets {told['flows']}"
    return "; ".join(f"{kind} {clause}" for kind, clause in told.items())


def _clause(answer: pb.Explanation, course: pb.Course, kind: str) -> str:
    if not getattr(answer, kind):
        return "are not being captured"
    outcome = getattr(course, kind)
    open_ones = list(_open(course, kind))
    if outcome.captured == pb.DEPENDS:
        return f"may be captured: that depends on {_listed(open_ones)}"
    verdict = f"are {_CAPTURED[outcome.captured]}"
    if outcome.HasField("decided_by"):
        return f"{verdict}, by {_name(course.filters[outcome.decided_by])}"
    if open_ones:
        return f"{verdict}, whichever filter decides"
    some = "none accepts" if outcome.captured == pb.YES else "some accept"
    return f"{verdict}: no filter holds, and {some}"


def _open(course: pb.Course, kind: str) -> Iterator[pb.FilterMatch]:
    """Those that may decide, before one that does."""
    for each in course.filters:
        if getattr(each, kind) and each.holds == pb.YES:
            return
        if getattr(each, kind) and each.holds == pb.DEPENDS:
            yield each


def _name(match: pb.FilterMatch) -> str:
    if not match.id:
        return "a rule for the session's own traffic"
    return f"filter {name_in(match.text) or match.id}"


def _listed(matches: list[pb.FilterMatch]) -> str:
    named = [f"{_name(each)} ({', '.join(each.predicates)})" for each in matches]
    return " and ".join([", ".join(named[:-1]), named[-1]] if named[1:] else named)


def _table(answer: pb.Explanation) -> Table:
    """In the order in which they are tried; the session's own only where they may hold."""
    pairs = zip(answer.there.filters, answer.back.filters, strict=True)
    rows = [
        (there.id or None, brief(there.text), _said(there), _said(back))
        for there, back in pairs
        if there.id or pb.NO not in (there.holds, back.holds)
    ]
    return Table(("filter", "rule", "there", "back"), rows)


def _said(match: pb.FilterMatch) -> str:
    named = ", ".join(match.predicates)
    return f"{_HOLDS[match.holds]}: {named}" if named else _HOLDS[match.holds]
