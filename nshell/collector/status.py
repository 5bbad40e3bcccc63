"""The state of the session as the messages that shells understand.

Invariant: a picture of what is held elsewhere; it keeps nothing but the samples
that rates are made from.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.proto import agentlink_pb2
from nshell.proto import session_pb2 as pb

if TYPE_CHECKING:
    from nshell.collector.fleet import Fleet
    from nshell.collector.kube.inventory import Inventory
    from nshell.collector.lifetime import Lifetime
    from nshell.collector.nodes import Node
    from nshell.collector.storage.store import Store

_WINDOW_SECONDS = 3.0
_SAMPLE_SECONDS = 0.2
_SHOWN_ADDRESSES = 32
"""Of a filter, in a message that goes out twice a second."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows committed at one moment."""

    seconds: float
    flows: int
    packets: int


@dataclass(slots=True)
class Rates:
    """Rows per second over the last few seconds, however often they are asked for."""

    _samples: deque[Sample] = field(default_factory=deque)

    def rates(self, now: Sample) -> tuple[float, float]:
        """Of flows and packets, given the present totals."""
        samples = self._samples
        if not samples or now.seconds - samples[-1].seconds >= _SAMPLE_SECONDS:
            samples.append(now)
        # The oldest one kept is just outside the window, so the window is full.
        while len(samples) > 1 and now.seconds - samples[1].seconds >= _WINDOW_SECONDS:
            samples.popleft()
        first = samples[0]
        elapsed = now.seconds - first.seconds
        if elapsed <= 0:
            return 0.0, 0.0
        return (now.flows - first.flows) / elapsed, (now.packets - first.packets) / elapsed


@dataclass(frozen=True, slots=True)
class StatusBoard:
    """Makes status messages."""

    name: str
    """Of the session."""
    fleet: Fleet
    store: Store
    store_limit_bytes: int
    lifetime: Lifetime
    inventory: Inventory | None = None
    _rates: Rates = field(default_factory=Rates)

    def status(self) -> pb.Status:
        """The session as it is now."""
        session = self.fleet.session
        present, settings, totals = session.present, session.settings, self.store.totals
        flow_rate, packet_rate = self._rates.rates(
            Sample(time.monotonic(), totals.flow_rows, totals.packet_rows)
        )
        return pb.Status(
            session=self.name,
            started_ns=self.lifetime.started_ns,
            now_ns=time.time_ns(),
            generation=present.number,
            flows=settings.flows,
            packets=settings.packets,
            paused=settings.paused,
            snaplen=settings.snaplen,
            sampling=settings.sampling,
            flow_rows=totals.flow_rows,
            packet_rows=totals.packet_rows,
            flow_rate=flow_rate,
            packet_rate=packet_rate,
            lost=self.store.lost,
            store_bytes=totals.store_bytes,
            store_limit_bytes=self.store_limit_bytes,
            agents=[self._agent(node) for node in self.fleet.nodes.values()],
            rules=self._rules(),
            directory=str(self.store.directory),
            stopping=bool(self.fleet.stop_reason),
            features=present.settings.features,
            dns_ports=settings.dns_ports,
            event_rows=totals.event_rows,
            ends_ns=self.lifetime.ends_ns,
            max_bytes=self.lifetime.limits.max_bytes,
            ended=session.ended,
            detached=self.lifetime.lease.detached,
            shells=self.lifetime.lease.shells,
            # A lease of less than a second is one.
            lease_seconds=math.ceil(self.lifetime.lease.seconds),
            kept_until_ns=self.lifetime.kept_until_ns if session.ended else 0,
            notices=self._notices(),
            kubernetes=self._kubernetes(),
        )

    def _notices(self) -> list[str]:
        notices = [self.store.notice] if self.store.notice else []
        orphans = [node.name for node in self.fleet.nodes.values() if node.had_another_collector]
        if orphans:
            notices.append(
                f"an earlier collector was lost with its rows: {', '.join(orphans)} had sent "
                "some to it, see `losses`"
            )
        return notices

    def _kubernetes(self) -> pb.Kubernetes | None:
        known = self.inventory
        if known is None:
            return None
        return pb.Kubernetes(
            synced=known.synced,
            problem=known.problem,
            pods=len(known.pods),
            services=len(known.services),
            nodes=len(known.nodes),
        )

    def _agent(self, node: Node) -> pb.AgentStatus:
        # The message has no place of its own for trouble of the collector.
        trouble = [self.store.totals.problem] if self.store.totals.problem else []
        return pb.AgentStatus(
            node=node.name,
            connected=node.connected,
            generation=node.applied_generation,
            error=node.answer.error if node.connected else node.error,
            kernel=node.hello.kernel,
            attach=node.hello.attach,
            interfaces=sum(each.attached for each in node.interfaces.values()),
            clock_offset_ms=node.clock_offset_ms,
            rss_bytes=node.rss_bytes,
            cpu_seconds=node.cpu_seconds,
            problems=node.problems + trouble,
            features=node.features,
        )

    def _rules(self) -> list[pb.RuleStatus]:
        hits = self.fleet.rule_hits
        return [
            pb.RuleStatus(
                id=each.id,
                text=each.rule.text,
                flow_hits=hits(each.id, agentlink_pb2.FLOWS),
                packet_hits=hits(each.id, agentlink_pb2.PACKETS),
                addresses=each.addresses[:_SHOWN_ADDRESSES],
                address_count=len(each.addresses),
                note="; ".join(each.notes),
                name=each.rule.name,
            )
            for each in self.fleet.session.rules
        ]
