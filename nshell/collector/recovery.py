"""A collector that goes on where an earlier one on the same files was cut off.

Invariant: totals, numbers and filters continue; what the agents send next is
counted on from what was committed, neither twice nor not at all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from agent.proto import agentlink_pb2 as agent_pb
from nshell.collector import schema
from nshell.collector.accounts import LinkAccount
from nshell.collector.fleet import Known
from nshell.collector.interfaces import Interface
from nshell.collector.nodes import HitKey, Node
from nshell.collector.resolution import Resolution
from nshell.collector.session import Generation, NumberedRule, Settings
from nshell.collector.statefile import SavedGeneration, SavedRun, SavedState
from nshell.collector.storage.resume import position
from nshell.filters import Rule, parse_rule, split_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nshell.collector.fleet import Fleet
    from nshell.collector.lifetime import Lifetime
    from nshell.collector.session import Session
    from nshell.collector.storage.resume import Remains

    Row = Mapping[str, Any]

_GENERATIONS = 8
"""So many of the newest are kept: no agent sends rows of one that is older."""
_CRASHED = "the collector has started again"
_KINDS = ((agent_pb.FLOWS, "Flow"), (agent_pb.PACKETS, "Packet"))


def saved_state(
    session: Session, fleet: Fleet, lifetime: Lifetime, *, over: str = ""
) -> SavedState:
    """All that resume_session and known_agents need beside the tables."""
    return SavedState(
        started_ns=lifetime.started_ns,
        generation=session.present.number,
        next_id=session.next_id,
        filters=tuple((each.id, each.rule.text) for each in session.rules),
        settings=asdict(session.settings),
        generations=tuple(_saved(each) for each in fleet.generations()[-_GENERATIONS:]),
        runs={name: _run(node) for name, node in fleet.nodes.items()},
        ended=session.ended,
        detached=lifetime.lease.detached,
        waits_since_ns=lifetime.waits_since_ns,
        grown_bytes=lifetime.grown(),
        over=over,
    )


def resume_session(session: Session, saved: SavedState | None, remains: Remains | None) -> None:
    """Filters, settings and numbers as they were; without a state, the numbers alone."""
    log = remains.small[schema.FILTER_LOG.name] if remains else []
    above = _highest(log, "Generation")
    if saved is None:
        session.go_on(
            session.rules,
            session.settings,
            next_id=max(_highest(log, "FilterId") + 1, session.next_id),
            above=above,
            ended="",
        )
        return
    rules = tuple(
        NumberedRule(number, parse_rule(split_words(text))) for number, text in saved.filters
    )
    session.go_on(
        rules,
        Settings(**{name: _frozen(value) for name, value in saved.settings.items()}),
        next_id=saved.next_id,
        above=max(above, saved.generation),
        ended=saved.ended,
    )


def known_agents(saved: SavedState | None, remains: Remains) -> Known:
    """The agents as the tables have them, none of them connected."""
    log: Sequence[Row] = remains.small[schema.FILTER_LOG.name]
    generations = _generations(saved, log) if saved else []
    recent = {each.number for each in generations}
    hits: Counter[tuple[int, int]] = Counter()
    for row in log:
        if row["FilterId"] is not None:
            for kind, name in _KINDS:
                hits[row["FilterId"], kind] += row[f"{name}Hits"]
    nodes = {}
    for row in remains.small[schema.AGENT.name]:
        name = str(row["Node"])
        run_id, rows = remains.progress(name)
        node = nodes[name] = _node(row, run_id)
        node.link = LinkAccount.midway(rows=rows)
        run = saved.runs.get(name) if saved else None
        _resume_counts(
            node,
            remains,
            log=[each for each in log if each["Node"] == name and each["Generation"] in recent],
            # Of another run, all that there is came earlier.
            run=run if run is not None and run.run_id == run_id else None,
        )
    return Known(nodes, generations, hits)


def _node(row: Row, run_id: str) -> Node:
    hello = agent_pb.Hello(
        run_id=run_id,
        node=row["Node"],
        agent_ip=row["AgentIP"] or "",
        kernel=row["Kernel"] or "",
        version=row["Version"] or "",
        attach=row["Attach"] or "",
        cpus=row["Cpus"] or 0,
        flow_capacity=row["FlowCapacity"] or 0,
        ring_bytes=row["RingBytes"] or 0,
    )
    return Node(
        row["Node"],
        hello,
        error=_CRASHED,
        applied_generation=row["Generation"] or 0,
        rss_bytes=row["RssBytes"] or 0,
        cpu_seconds=row["CpuSeconds"] or 0.0,
        seen_ms=row["TimeSeenMs"] or 0,
        reported_ms=row["TimeSeenMs"] or 0,
    )


def _resume_counts(
    node: Node, remains: Remains, *, log: Sequence[Row], run: SavedRun | None
) -> None:
    counted: dict[str, int] = {
        str(row["Name"]): int(row["Value"])  # type: ignore[arg-type]
        for row in remains.small[schema.COUNTER.name]
        if row["Node"] == node.name
    }
    node.counters.resume(counted, run.counters if run else counted)
    packets: dict[HitKey, int] = {}
    octets: dict[HitKey, int] = {}
    for row in log:
        if row["TimeAppliedMs"] is not None:
            node.applied[row["Generation"]] = (row["TimeAppliedMs"], row["ApplyMs"])
        for kind, name in _KINDS:
            key = HitKey(row["Generation"], position(dict(row)), kind)
            packets[key], octets[key] = row[f"{name}Hits"], row[f"{name}HitBytes"]
    earlier = {HitKey(*each[:3]): each[3:] for each in run.hits} if run else {}
    node.hits.resume(packets, {k: v[0] for k, v in earlier.items()} if run else packets)
    node.hit_bytes.resume(octets, {k: v[1] for k, v in earlier.items()} if run else octets)
    node.interfaces = _interfaces(node.name, remains)


def _interfaces(node: str, remains: Remains) -> dict[tuple[int, str], Interface]:
    found = {}
    for row in remains.small[schema.INTERFACE.name]:
        if row["Node"] != node or row["Problem"] == "gone":
            continue
        interface = _interface(row)
        found[interface.ifindex, "" if interface.ifindex else interface.name] = interface
    return found


def _interface(row: Row) -> Interface:
    return Interface(
        ifindex=row["IfIndex"] or 0,
        name=row["Name"],
        mac=bytes.fromhex((row["Mac"] or "").replace(":", "")),
        link_type=row["LinkType"],
        mtu=row["Mtu"] or 0,
        attached=bool(row["Attached"]),
        problem=row["Problem"] or "",
    )


def _run(node: Node) -> SavedRun:
    octets = node.hit_bytes.earlier()
    return SavedRun(
        node.hello.run_id,
        node.counters.earlier(),
        tuple(
            (key.generation, key.index, key.kind, packets, octets.get(key, 0))
            for key, packets in node.hits.earlier().items()
        ),
    )


def _saved(generation: Generation) -> SavedGeneration:
    return SavedGeneration(
        generation.number,
        generation.changed_ns,
        generation.settings.sampling,
        tuple(each.id for each in generation.rules),
    )


def _generations(saved: SavedState, log: Sequence[Row]) -> list[Generation]:
    """For their rows alone: no agent is told of them any more."""
    numbers = {each.number for each in saved.generations}
    logged = {
        (row["Generation"], position(dict(row))): row for row in log if row["Generation"] in numbers
    }
    texts = dict(saved.filters)
    return [
        Generation(
            each.number,
            tuple(
                _logged_rule(number, logged.get((each.number, index)), texts.get(number, ""))
                for index, number in enumerate(each.filters)
            ),
            Settings(sampling=each.sampling),
            each.changed_ns,
        )
        for each in saved.generations
    ]


def _logged_rule(number: int, row: Row | None, text: str) -> NumberedRule:
    """As the filter log has it; text: what it is where the log was not written."""
    text = text if row is None else row["Filter"] or ""
    logged = row["Addresses"] if row else None
    return NumberedRule(
        number,
        Rule(reject=False, flows=True, packets=True, text=text),
        stands_for=None if logged is None else Resolution((), (), (), logged),
    )


def _highest(rows: Sequence[Row], column: str) -> int:
    return max((row[column] for row in rows if row[column] is not None), default=0)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
