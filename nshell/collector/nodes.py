"""What the collector knows of one node, and its rows in the small tables.

Invariant: the rows are made from this state alone, so writing them again is
always right. No IO here.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agent import wire
from agent.proto import agentlink_pb2 as pb
from nshell.collector.accounts import Cumulative, LinkAccount
from nshell.collector.decode.texts import mac_text
from nshell.collector.storage.catalog import Loss

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.collector.decode.rows import Cell
    from nshell.collector.interfaces import Interface
    from nshell.collector.session import Generation

NS_PER_MS = 1_000_000
_CLOCK_SAMPLES = 8
_LOST = "_lost_"
_BYTES = "_bytes"
_STAGES = {
    "flow_lost_full": "flow_map",
    "packet_lost_ring": "ring",
    "extra_lost_full": "extra_map",
    "event_lost_ring": "event_ring",
}
LOST_ON_THE_WAY = ("link", "collector")
"""Stages of rows that left an agent and are in no table."""
_SUMMARIES = dict(wire.COUNTERS)
_REPORTS_TILL_DELIVERED = 2
"""The first after an acknowledgement may overtake the last rows from before it."""


@dataclass(frozen=True, slots=True)
class HitKey:
    """A rule of a filter set, by position; agent.wire.NO_RULE: none decided."""

    generation: int
    index: int
    kind: int


@dataclass(frozen=True, slots=True)
class Answer:
    """To a desired state."""

    generation: int = 0
    ok: bool = False
    error: str = ""
    apply_ms: float = 0.0
    features: tuple[str, ...] = ()
    """Of those asked for: they work."""
    problems: tuple[str, ...] = ()
    """Of the others: the name of each, and why it does not work."""


@dataclass(frozen=True, slots=True)
class ClockSample:
    """One ping: the shorter its way, the better it tells the offset."""

    round_trip_ns: int
    offset_ms: float


@dataclass(frozen=True, slots=True)
class Growth:
    """What statistics told that was not known before."""

    losses: list[Loss]
    counters: set[str]
    """Names of those that changed or are new."""
    hits: dict[HitKey, int]
    """Packets more, of each rule that decided any."""


@dataclass(slots=True)
class Node:
    """One node, over reconnects and restarts of its agent."""

    name: str
    hello: pb.Hello = field(default_factory=pb.Hello)
    connected: bool = False
    error: str = ""
    """Why it is not connected."""
    answer: Answer = field(default_factory=Answer)
    """The newest."""
    applied_generation: int = 0
    """Last acknowledged."""
    applied: dict[int, tuple[int, float]] = field(default_factory=dict)
    """When each filter set held, in ms since 1970, and how long the switch took."""
    interfaces: dict[tuple[int, str], Interface] = field(default_factory=dict)
    """Ever listed; by number and name, for one that is not there has no number."""
    link: LinkAccount = field(default_factory=LinkAccount)
    counters: Cumulative[str] = field(default_factory=Cumulative)
    hits: Cumulative[HitKey] = field(default_factory=Cumulative)
    hit_bytes: Cumulative[HitKey] = field(default_factory=Cumulative)
    clock: deque[ClockSample] = field(default_factory=lambda: deque(maxlen=_CLOCK_SAMPLES))
    rss_bytes: int = 0
    cpu_seconds: float = 0.0
    seen_ms: int = 0
    reported_ms: int = 0
    """Time of the last statistics of this run, by the node's clock."""
    delivered_generation: int = 0
    """All that was captured under those before it has arrived here."""
    joined_midway: bool = False
    """The present run of its agent had another collector before."""
    had_another_collector: bool = False
    """One that took rows along and is not there any more."""
    reports: int = 0
    """Statistics since the last acknowledgement."""

    @property
    def clock_offset_ms(self) -> float:
        """Its clock minus ours: the median of the quickest half of the last pings."""
        quick = sorted(self.clock, key=lambda each: each.round_trip_ns)
        half = quick[: (len(quick) + 1) // 2]
        return statistics.median(each.offset_ms for each in half) if half else 0.0

    @property
    def problems(self) -> list[str]:
        """What does not work there, for people."""
        features = [
            f"{each.name}: {each.reason}" for each in self.hello.features if not each.available
        ]
        interfaces = [
            f"{each.name}: {each.problem}" for each in self.interfaces.values() if each.problem
        ]
        return [*features, *self.answer.problems, *interfaces]

    @property
    def features(self) -> tuple[str, ...]:
        """Those that work there now."""
        return self.answer.features if self.connected else ()

    def greet(self, hello: pb.Hello, seq: int, now_ms: int) -> int:
        """Take a hello; messages of an earlier run that are now known to be lost."""
        lost = 0
        if hello.run_id != self.hello.run_id:
            lost = self.link.lost_at_end()
            self.joined_midway = seq > 1
            self.link = LinkAccount.starting(seq)
            self.counters.restart()
            self.hits.restart()
            self.hit_bytes.restart()
            self.reported_ms = now_ms
        else:
            self.link.arrived(seq)
        self.hello = hello
        self.answer = Answer()
        self.connected, self.error, self.seen_ms = True, "", now_ms
        return lost

    def list_interfaces(self, listed: tuple[Interface, ...]) -> list[tuple[Interface, bool]]:
        """Take a list; every interface ever known and whether it is still there."""
        present = {(each.ifindex, "" if each.ifindex else each.name): each for each in listed}
        gone = [each for key, each in self.interfaces.items() if key not in present]
        self.interfaces = present
        return [(each, True) for each in present.values()] + [(each, False) for each in gone]

    def acknowledge(self, ack: pb.Ack) -> None:
        """Take the answer to a desired state."""
        if not ack.ok:
            # What it has applied before still holds.
            self.answer = replace(
                self.answer, generation=ack.generation, ok=False, error=ack.error, apply_ms=0.0
            )
            return
        self.answer = Answer(
            ack.generation,
            ok=True,
            apply_ms=ack.apply_ms,
            features=tuple(each.name for each in ack.features if each.available),
            problems=tuple(
                f"{each.name}: {each.reason}" for each in ack.features if not each.available
            ),
        )
        self.applied_generation, self.reports = ack.generation, 0
        self.applied.setdefault(
            ack.generation, (ack.applied_ns // NS_PER_MS, round(ack.apply_ms, 3))
        )

    def pong(self, pong: pb.Pong, now_ns: int) -> None:
        """Take the answer to a ping."""
        middle = (pong.collector_ns + now_ns) // 2
        sample = ClockSample(now_ns - pong.collector_ns, (pong.agent_ns - middle) / NS_PER_MS)
        self.clock.append(sample)

    def report(self, stats: pb.Stats) -> Growth:
        """Take statistics; what is new in them."""
        time_ms = stats.time_ns // NS_PER_MS
        grown = {name: self.counters.report(name, value) for name, value in stats.counters.items()}
        losses = [
            Loss(
                self.name,
                _STAGES.get(name, name.replace(_LOST, "_")),
                count,
                grown.get(name + _BYTES, 0),
                self.reported_ms,
                time_ms,
            )
            for name, count in grown.items()
            if count and _LOST in name and not name.endswith(_BYTES)
        ]
        sent = stats.flows_sent + stats.packets_sent + stats.events_sent
        for stage, lost in (
            ("collector", self.link.taken_along(sent)),
            ("link", self.link.lost(sent)),
        ):
            if lost:
                self.had_another_collector |= stage == "collector" and self.joined_midway
                losses.append(Loss(self.name, stage, lost, 0, self.reported_ms, time_ms))
        self.reported_ms = time_ms
        self.reports += 1
        if self.reports >= _REPORTS_TILL_DELIVERED:
            self.delivered_generation = self.applied_generation
        self.rss_bytes, self.cpu_seconds = stats.rss_bytes, stats.cpu_seconds
        changed = {name for name in grown if grown[name] or not self.counters.totals[name]}
        return Growth(losses, changed, self._report_hits(stats))

    def _report_hits(self, stats: pb.Stats) -> dict[HitKey, int]:
        changed = {}
        for hit in stats.hits:
            key = HitKey(hit.generation, hit.index, hit.kind)
            packets = self.hits.report(key, hit.packets)
            if self.hit_bytes.report(key, hit.bytes) or packets:
                changed[key] = packets
        return changed

    def forget(self, before: int) -> None:
        """Older generations are of no interest any more."""
        for known in (self.hits, self.hit_bytes):
            known.keep(lambda key: key.generation >= before)
        self.applied = {number: v for number, v in self.applied.items() if number >= before}

    def agent_row(self) -> tuple[Cell, ...]:
        """In the agent table."""
        hello = self.hello
        return (
            self.name,
            hello.agent_ip,
            hello.kernel,
            hello.version,
            hello.attach,
            hello.cpus,
            round(self.clock_offset_ms, 3),
            hello.flow_capacity,
            hello.ring_bytes,
            int(self.connected),
            self.applied_generation,
            self.rss_bytes,
            self.cpu_seconds,
            self.seen_ms,
        )

    def interface_row(self, interface: Interface, *, present: bool) -> tuple[Cell, ...]:
        """In the interface table."""
        return (
            self.name,
            interface.ifindex or None,
            interface.name,
            mac_text(interface.mac) or None,
            interface.mtu or None,
            interface.link_type,
            int(interface.attached and present),
            (interface.problem or None) if present else "gone",
            interface.peers_json(),
        )

    def counter_row(self, name: str) -> tuple[Cell, ...]:
        """In the counter table."""
        return (self.name, name, self.counters.totals[name], _SUMMARIES.get(name))

    def filter_row(self, generation: Generation, index: int) -> tuple[Cell, ...]:
        """In the filter log; index as agents count, agent.wire.NO_RULE for no rule."""
        rule = generation.rules[index] if index < len(generation.rules) else None
        applied_ms, apply_ms = self.applied.get(generation.number, (None, None))
        hits = [
            totals.get(HitKey(generation.number, index, kind), 0)
            for kind in (pb.FLOWS, pb.PACKETS)
            for totals in (self.hits.totals, self.hit_bytes.totals)
        ]
        return (
            generation.number,
            rule.id if rule else None,
            index + 1 if rule else None,
            rule.text if rule else None,
            self.name,
            generation.changed_ns // NS_PER_MS,
            applied_ms,
            apply_ms,
            *hits,
            rule.stands_for.logged if rule and rule.stands_for else None,
        )


def rule_indexes(generation: Generation) -> Iterator[int]:
    """Of every rule, then that of no rule."""
    yield from range(len(generation.rules))
    yield wire.NO_RULE
