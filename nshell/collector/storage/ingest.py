"""From what agents send to rows: the state of the writer's thread.

Invariant: items of one agent are dealt with in the order in which they came,
so a batch is read with the interface names that held when it was sent.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nshell.collector.decode.drops import drop_rows
from nshell.collector.decode.events import read_events
from nshell.collector.decode.flows import FlowDecoder
from nshell.collector.decode.packets import decode_packets
from nshell.collector.decode.rows import DecodeError, GenerationKey, NodeContext, Rows
from nshell.collector.decode.tcpevents import tcp_event_rows
from nshell.collector.decode.texts import Texts
from nshell.collector.dns.exchanges import DnsExchanges
from nshell.collector.dns.names import DnsNames
from nshell.collector.kube.naming import Naming
from nshell.collector.storage.resume import PROGRESS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.proto import agentlink_pb2
    from nshell.collector.decode.packets import PacketBlocks
    from nshell.collector.interfaces import Interface
    from nshell.collector.kube.inventory import Change
    from nshell.collector.storage.resume import Remains
    from nshell.collector.storage.segments import Segments
    from nshell.collector.storage.writer import Writer

_LOG = logging.getLogger(__name__)
_GENERATIONS = 2048
"""Batches may be of one of so many, the newest; pods that come and go make many."""


class Ingest:
    """Decodes batches and hands the rows to the writer."""

    def __init__(self, writer: Writer, segments: Segments) -> None:
        self._writer = writer
        self._segments = segments
        self._progress: dict[str, tuple[str, int]] | None = None
        """By node: the run of its agent and its rows so far; None: nobody will ask."""
        self._naming: Naming | None = None
        """None: no cluster is watched."""
        self._texts = Texts()
        self._contexts: dict[str, NodeContext] = {}
        self._generations: dict[int, GenerationKey] = {}
        self._names = DnsNames(writer.catalog)
        self._dns = DnsExchanges(self._texts, self._names, generations=self._generations)
        self._flows = FlowDecoder(self._texts, self._generations, self._dns.answered)

    def resume(self, remains: Remains | None) -> None:
        """Note how far each agent has got, on from what an earlier process had noted."""
        self._progress = {}
        if remains is not None:
            self._progress = {
                str(row["Node"]): remains.progress(str(row["Node"]))
                for row in remains.small[PROGRESS.name]
            }
            self._names.know(remains.dns_names())

    def accounted(self, node: str, rows: int) -> None:
        """So many rows of the node's agent have arrived, or are known to be lost."""
        if self._progress is not None:
            run, before = self._progress.get(node, ("", 0))
            self._progress[node] = (run, before + rows)
            self._writer.catalog.put(PROGRESS, node, (node, run, before + rows))

    def owners(self, changes: Sequence[Change]) -> None:
        """What there is in the cluster changed."""
        if self._naming is None:
            self._naming = Naming(self._writer)
        self._naming.changes(changes)

    def generation(self, number: int, key: GenerationKey) -> None:
        """A filter set that batches may name from now on."""
        self._generations[number] = key
        if len(self._generations) >= 2 * _GENERATIONS:
            for old in list(self._generations)[:-_GENERATIONS]:
                del self._generations[old]

    def node(self, node: str, agent_ip: str, run: str = "") -> None:
        """An agent said hello."""
        if self._progress is not None and self._progress.get(node, ("", 0))[0] != run:
            self._progress[node] = (run, 0)
            self._writer.catalog.put(PROGRESS, node, (node, run, 0))
        known = self._contexts.get(node) or NodeContext(node, agent_ip)
        # What its window still lacks will not come.
        self._leave_over(known)
        self._contexts[node] = replace(known, agent_ip=agent_ip)

    def interfaces(self, node: str, listed: tuple[Interface, ...]) -> None:
        """The node's interfaces from now on."""
        self._context(node).interfaces.replace(listed)

    def flows(self, node: str, batch: agentlink_pb2.FlowBatch, received_s: int) -> None:
        """Store a batch that check_flow_batch accepted."""
        self.accounted(node, batch.count)
        for rows in self._flows.rows(batch, self._context(node), received_s=received_s):
            self._insert(rows, node=node)

    def names(self, node: str, message: agentlink_pb2.Names) -> None:
        """What numbers in the node's events mean, beside what they already do."""
        self._context(node).names.add(message)

    def events(self, node: str, batch: agentlink_pb2.EventBatch) -> None:
        """Store a batch; one that cannot be read counts as lost on the link."""
        self.accounted(node, batch.count)
        context, offset_ns = self._context(node), batch.clock_offset_ns
        try:
            events = read_events(batch.records)
        except DecodeError as error:
            _LOG.error("%s: %s", node, error)
            self._writer.lose(node, batch.count, "link", len(batch.records))
            return
        for records, to_rows in ((events.drops, drop_rows), (events.tcp, tcp_event_rows)):
            if len(records):
                rows = to_rows(
                    records,
                    context,
                    offset_ns=offset_ns,
                    texts=self._texts,
                    generations=self._generations,
                )
                self._insert(rows, node=node)
        self._insert_dns(self._dns.take(events, context, offset_ns=offset_ns, now=time.monotonic()))

    def seconds_until_due(self) -> float | None:
        """Until tick is to be called; None while nothing waits for the time to pass."""
        due = [self._dns.seconds_until_due(time.monotonic())]
        if self._naming is not None:
            due.append(self._naming.seconds_until_due())
        return min((seconds for seconds in due if seconds is not None), default=None)

    def tick(self) -> None:
        """Deal with what has waited long enough."""
        if self._dns.seconds_until_due(time.monotonic()) == 0:
            self._insert_dns(self._dns.tick(time.monotonic()))
        if self._naming is not None:
            self._naming.step()

    def end(self) -> None:
        """Store what still waits for something; nothing more will come."""
        for context in self._contexts.values():
            self._leave_over(context)
        self._insert_dns(self._dns.end())
        if self._naming is not None:
            self._naming.end()

    def _insert(self, rows: Rows, *, node: str) -> None:
        (self._naming or self._writer).insert(rows, node=node)

    def _insert_dns(self, made: list[Rows]) -> None:
        for rows in made:
            self._insert(rows, node=str(rows.columns["Node"][0]))

    def _leave_over(self, context: NodeContext) -> None:
        if context.window:
            rows = self._flows.left_over(context, received_s=int(time.time()))
            self._insert(rows, node=context.node)

    def packets(self, node: str, batch: agentlink_pb2.PacketBatch) -> None:
        """Store a batch; one that cannot be read counts as lost on the link."""
        self.accounted(node, batch.count)
        try:
            decoded = decode_packets(
                batch,
                self._context(node),
                texts=self._texts,
                generations=self._generations,
                interface_id=lambda each: self._segments.interfaces.number(node, each),
            )
        except DecodeError as error:
            _LOG.error("%s: %s", node, error)
            self._writer.lose(node, batch.count, "link", len(batch.records))
            return
        if decoded is not None:
            self._store_packets(node, decoded)

    def _store_packets(self, node: str, decoded: PacketBlocks) -> None:
        rows = decoded.rows
        # The file first: a row that is committed always has its packet.
        try:
            segment, offset = self._segments.append(decoded.blocks)
        except OSError as error:
            self._writer.disk_failed(error)
            self._writer.lose(node, rows.count, lost_bytes=len(decoded.blocks))
            return
        places = (decoded.offsets.astype(np.int64) + offset).tolist()
        self._insert(
            Rows(
                rows.table,
                rows.count,
                {**rows.columns, "Offset": places},
                {**rows.constants, "Segment": segment},
            ),
            node=node,
        )

    def _context(self, node: str) -> NodeContext:
        context = self._contexts.get(node)
        if context is None:
            context = self._contexts[node] = NodeContext(node, "")
        return context
