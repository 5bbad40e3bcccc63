"""The decision: what became of the packets, from the evidence alone.

Invariant: a pure function; a slug keeps its meaning, for programs rely on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.shell.units import human_ms, plural
from nshell.shell.why.connections import (
    TCP,
    Connection,
    Unreachable,
    joined,
    open_questions,
    silent_servers,
    unreachables,
)
from nshell.shell.why.evidence import (
    ACK,
    FIN,
    PSH,
    RST,
    SYN,
    SYN_ACK,
    Evidence,
    Exchange,
    asked_for,
    is_named,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nshell.shell.why.evidence import Drop

SLOW_RTT_MS = 100.0
SLOW_DNS_MS = 100.0
RETRANSMIT_SHARE = 0.03
"""Of the packets of a direction, from which on it is slow because of them."""
RETRANSMITS = 3
"""Fewer than so many are no cause: a probe for a lost tail is one, needed or not."""
DROP_SHARE = 0.03
"""The same for drops; below it, a connection that works is not said to be dropped."""

NAME_FAILED = "name-resolution-failed"
DROPPED = "dropped-here"
REFUSED = "refused"
NO_ANSWER = "no-answer"
RESET = "reset-after-connect"
SLOW = "connected-but-slow"
HEALTHY = "healthy"
NOTHING_SENT = "nothing-sent"
SLUGS = (NAME_FAILED, DROPPED, REFUSED, NO_ANSWER, RESET, SLOW, HEALTHY, NOTHING_SENT)
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What it comes to."""

    slug: str
    summary: str
    """One line, without a full stop."""


def decide(evidence: Evidence) -> Verdict:
    """The verdict."""
    if evidence.question.target.name:
        failed = _name_failure(evidence, evidence.question.target.name)
        if failed is not None:
            return failed
    connections = [each for each in joined(evidence) if each.tried or each.back.packets]
    if not any(each.tried for each in connections):
        return _nothing_sent(evidence)
    judged = [(each, _judged(each, evidence)) for each in connections if each.tried]
    counted = [pair for pair in judged if not _may_be_under_way(pair, judged)]
    worst = min(counted, key=lambda pair: SLUGS.index(pair[1].slug))
    return _with_count(worst, counted)


def _judged(connection: Connection, evidence: Evidence) -> Verdict:
    """Of one connection."""
    if not connection.back.packets:
        return _unanswered(connection, evidence)
    if connection.key.proto == TCP and (found := _tcp_failure(connection, evidence)):
        return found
    dropped = _dropped_share(connection)
    if dropped >= DROP_SHARE:
        return _dropped(connection, evidence, [*connection.out.dropped, *connection.back.dropped])
    causes = list(_slow_because(connection, evidence))
    ends = _ends(connection, evidence)
    if causes:
        # Large packets that never arrive look like this too: do not say that it works.
        state = "is connected" if connection.key.proto == TCP else "gets answers"
        return Verdict(SLOW, f"{ends} {state}, but slow because of {' and '.join(causes)}")
    told = f", round-trip time {_ms(connection)}" if connection.rtt_ns else ""
    lost = connection.out.drops + connection.back.drops
    besides = f", {plural(lost, 'packet')} dropped on the way" if lost else ""
    return Verdict(HEALTHY, f"{ends} works{told}{besides}")


def _unanswered(connection: Connection, evidence: Evidence) -> Verdict:
    errors = unreachables(evidence)
    own = [each for each in errors if each.sender == connection.key.peer]
    if own:
        return _refused_by_error(connection, evidence, own[0])
    if connection.out.dropped:
        return _dropped(connection, evidence, connection.out.dropped)
    if errors:
        return _refused_by_error(connection, evidence, errors[0])
    out = connection.out
    what = "SYN" if out.flags & SYN and not out.flags & ACK else "packet"
    again = f", {plural(out.retransmits, 'retransmit')} seen" if out.retransmits else ""
    return Verdict(
        NO_ANSWER,
        f"{_ends(connection, evidence)}: {plural(out.packets, what)} sent and nothing comes back"
        f"{again}",
    )


def _tcp_failure(connection: Connection, evidence: Evidence) -> Verdict | None:
    out, back = connection.out, connection.back
    ends, peer = _ends(connection, evidence), connection.key.peer
    opened = back.flags & (SYN_ACK | PSH | FIN)
    if back.flags & RST and out.flags & SYN and not opened:
        return Verdict(REFUSED, f"{ends} is refused: RST from {peer}{_besides(out.dropped)}")
    if out.flags & SYN and not out.flags & (ACK | RST):
        lost = [*back.dropped, *out.dropped]
        if lost:
            return _dropped(connection, evidence, lost)
        return Verdict(
            NO_ANSWER,
            f"{ends}: SYN+ACK comes from {peer}, and {evidence.question.source} never answers it",
        )
    # After a FIN of either side, an end by RST is one in a hurry.
    if (out.flags | back.flags) & RST and not (out.flags | back.flags) & FIN:
        who = peer if back.flags & RST else evidence.question.source
        return Verdict(RESET, f"{ends} was connected, then {who} reset it")
    return None


def _dropped(connection: Connection, evidence: Evidence, dropped: Sequence[Drop]) -> Verdict:
    most = max(dropped, key=lambda each: each.packets)
    place = f" in {most.function}" if most.function else ""
    others = len({(each.node, each.reason) for each in dropped}) - 1
    more = f" and {plural(others, 'other cause')}" if others else ""
    which = f"packets from {most.src} to {most.dst}"
    count = sum(each.packets for each in dropped)
    return Verdict(
        DROPPED,
        f"{_ends(connection, evidence)}: {which} are dropped on {most.node} with "
        f"{most.reason}{place}{more} ({plural(count, 'packet')})",
    )


def _refused_by_error(connection: Connection, evidence: Evidence, error: Unreachable) -> Verdict:
    return Verdict(
        REFUSED,
        f"{_ends(connection, evidence)} is refused: {error.meaning}, says {error.sender}"
        f"{_besides(connection.out.dropped)}",
    )


def _besides(dropped: Sequence[Drop]) -> str:
    """Drops that go with another verdict."""
    causes = dict.fromkeys(f"on {each.node} with {each.reason}" for each in dropped)
    return f" (dropped {' and '.join(causes)})" if causes else ""


def _slow_because(connection: Connection, evidence: Evidence) -> Iterable[str]:
    if connection.rtt_ns >= SLOW_RTT_MS * 1e6:
        yield f"its round-trip time of {_ms(connection)}"
    for way, who in (
        (connection.out, str(evidence.question.source)),
        (connection.back, connection.key.peer),
    ):
        if way.retransmits >= max(RETRANSMITS, RETRANSMIT_SHARE * way.packets):
            yield (f"retransmits of {who} ({way.retransmits:,} of {plural(way.packets, 'packet')})")
    slowest = max(
        (each for each in _about(evidence, connection.key.peer) if each.latency_ms is not None),
        key=lambda each: each.latency_ms or 0.0,
        default=None,
    )
    if slowest is not None and (slowest.latency_ms or 0.0) >= SLOW_DNS_MS:
        yield (
            f"DNS: {slowest.server} took {human_ms(slowest.latency_ms or 0.0)} for "
            f"{slowest.name or '.'}"
        )


def _about(evidence: Evidence, peer: str) -> list[Exchange]:
    """DNS exchanges that led to the peer, or with it."""
    name = evidence.question.target.name
    return [
        each
        for each in evidence.exchanges
        if peer in each.addresses or each.server == peer or (name and is_named(each.name, name))
    ]


def _dropped_share(connection: Connection) -> float:
    """The larger of both ways; packets that no interface saw are among the drops."""
    ways = [way for way in (connection.out, connection.back) if way.dropped]
    return max((way.drops / max(way.packets, way.drops) for way in ways), default=0.0)


def _name_failure(evidence: Evidence, name: str) -> Verdict | None:
    """That the name gives no address; None where it does, or nobody asked."""
    exchanges = asked_for(evidence.exchanges, name)
    if any(each.addresses for each in exchanges):
        return None
    source = evidence.question.source
    if exchanges:
        # What was asked as it stands tells more than what a search domain made of it.
        exact = [each for each in exchanges if each.name.lower() == name] or exchanges
        return Verdict(NAME_FAILED, f"{_told(exact[-1], source)}{_dns_drops(evidence)}")
    silent = silent_servers(evidence)
    if silent and not evidence.addresses:
        return Verdict(
            NAME_FAILED,
            f"{source} gets no answer from DNS server {silent[0]}{_dns_drops(evidence)}",
        )
    return None


def _told(last: Exchange, source: object) -> str:
    asked = f"{source} asks {last.server} for {last.name} {last.type}"
    if last.rcode is None:
        again = f", asked {last.retries + 1} times" if last.retries else ""
        return f"{asked}: no answer{again}"
    if last.rcode == "NoError":
        return f"{asked}: NoError, but no address"
    return f"{asked}: {last.rcode}"


def _dns_drops(evidence: Evidence) -> str:
    ports = evidence.dns_ports
    return _besides(
        [each for each in evidence.drops if each.dst_port in ports or each.src_port in ports]
    )


def _nothing_sent(evidence: Evidence) -> Verdict:
    question = evidence.question
    target, source = question.target, question.source
    where = target.host if target.port is None else f"{target.host} port {target.port}"
    if target.name and evidence.addresses:
        where += f" ({', '.join(evidence.addresses[:3])})"
    asked = f"{source} asked for no address of {target.name} and " if target.name else ""
    if target.name and asked_for(evidence.exchanges, target.name):
        asked = f"{source} knows {target.name} and "
    nothing = f"{asked or f'{source} '}sent nothing to {where}"
    return Verdict(NOTHING_SENT, f"{nothing} in {evidence.seconds:.3g} s{_unresolved(evidence)}")


def _unresolved(evidence: Evidence) -> str:
    """The last question that failed, or else one that may."""
    failed = [each for each in evidence.exchanges if each.rcode != "NoError"]
    if failed:
        last = failed[-1]
        return f"; its question for {last.name} failed: {last.rcode or 'no answer'}"
    return "".join(
        f"; its question to DNS server {server} is not answered yet"
        for server in open_questions(evidence)[-1:]
    )


def _may_be_under_way(
    pair: tuple[Connection, Verdict], judged: Sequence[tuple[Connection, Verdict]]
) -> bool:
    """One packet without an answer, where others of its kind are answered, is no sign."""
    connection, verdict = pair
    return (
        verdict.slug == NO_ANSWER
        and connection.out.packets <= 1
        and not connection.out.retransmits
        and any(_alike(connection, other) and found.slug != NO_ANSWER for other, found in judged)
    )


def _alike(one: Connection, other: Connection) -> bool:
    return (one.key.peer, one.key.proto, one.key.port) == (
        other.key.peer,
        other.key.proto,
        other.key.port,
    )


def _with_count(
    worst: tuple[Connection, Verdict], judged: Sequence[tuple[Connection, Verdict]]
) -> Verdict:
    """How many connections it happened to, where there were several of the kind."""
    connection, verdict = worst
    alike = [found for other, found in judged if _alike(connection, other)]
    if len(alike) == 1:
        return verdict
    same = sum(found.slug == verdict.slug for found in alike)
    return Verdict(verdict.slug, f"{verdict.summary}; {same:,} of {len(alike):,} such connections")


def _ends(connection: Connection, evidence: Evidence) -> str:
    name = evidence.question.target.name
    peer = f"{name} ({connection.key.peer})" if name else connection.key.peer
    return f"{evidence.question.source} to {peer} {connection.kind}"


def _ms(connection: Connection) -> str:
    return human_ms(connection.rtt_ns / 1e6)
