"""A Session service over a small SQLite in memory: a real gRPC server with a made-up capture.

It keeps the collector's promises (wrong requests change nothing and say why in
one line) and counts what was asked of it.
"""

# ruff: noqa: N802, ARG002 - names and arguments are gRPC's

from __future__ import annotations

import asyncio
import sqlite3
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import grpc.aio
import msgpack

from nshell.collector.explain import explanation
from nshell.collector.session import Session, Settings
from nshell.filters import MAX_RULES, FilterError, name_in, parse_rule
from nshell.proto import session_pb2 as pb
from nshell.proto.session_pb2_grpc import SessionServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

_SCHEMA = """
CREATE TABLE flow (SrcAddr TEXT, DstAddr TEXT, SrcPort INTEGER, DstPort INTEGER, Bytes INTEGER);
CREATE TABLE packet (Time INTEGER, SrcAddr TEXT, DstPort INTEGER);
CREATE TABLE loss (Node TEXT, Stage TEXT, Count INTEGER, Bytes INTEGER, TimeFromMs INTEGER,
    TimeToMs INTEGER);
INSERT INTO flow VALUES ('10.0.0.1', '10.0.0.2', 40000, 443, 1500),
    ('10.0.0.3', '10.0.0.2', 40001, 53, 90);
INSERT INTO packet VALUES (1, '10.0.0.1', 443), (2, '10.0.0.3', 53), (3, '10.0.0.3', 53);
"""
_CHUNK = 500
EMPTY_PCAP = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1)


@dataclass(slots=True)
class Capture:
    """What the made-up capture is in; tests set it."""

    session: str = "test"
    generation: int = 1
    rules: dict[int, str] = field(default_factory=dict)
    next_id: int = 1
    flows: bool = True
    packets: bool = False
    paused: bool = False
    snaplen: int = 0
    sampling: int = 1
    lost: int = 0
    agents: dict[str, bool] = field(default_factory=lambda: {"node-1": True})
    """Node to whether it is connected."""
    deaf: dict[str, str] = field(default_factory=dict)
    """Nodes that do not apply changes, and the error each gives."""
    features: list[str] = field(default_factory=list)
    dns_ports: list[int] = field(default_factory=lambda: [53])
    broken: dict[str, list[str]] = field(default_factory=dict)
    """Nodes where features do not work: "NAME: why", of each."""
    overlay: pb.OverlayRequest | None = None
    """What is laid over it."""
    pods: list[str] = field(default_factory=list)
    """NAMESPACE/NAME; none: there is no cluster."""
    break_export: bool = False
    packets_there: int = 1234
    """To be exported."""
    calls: list[str] = field(default_factory=list)


_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class FakeSession(SessionServicer):
    """The service."""

    def __init__(self, capture: Capture | None = None) -> None:
        self.capture = capture or Capture()
        self.stopped = asyncio.Event()
        self.cancelled = asyncio.Event()
        """A query was cancelled by its caller."""
        self.laid, self.lifted = asyncio.Event(), asyncio.Event()
        """What happened to an overlay."""
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.executescript(_SCHEMA)
        self._db.create_function("lose", 1, self._lose)
        self._db.create_function("appear", 1, self._appear)
        self._db.execute("PRAGMA query_only = 1")
        self._started = time.time_ns()

    def close(self) -> None:
        self._db.close()

    def serve(self, database: Path) -> None:
        """Answer from a database file instead."""
        self._db.close()
        self._db = sqlite3.connect(database, check_same_thread=False)

    def insert(self, sql: str) -> None:
        """Change the store, as only the collector may."""
        self._db.execute("PRAGMA query_only = 0")
        self._db.execute(sql)
        self._db.commit()
        self._db.execute("PRAGMA query_only = 1")

    def _appear(self, pod: str) -> int:
        self.capture.pods.append(pod)
        return len(self.capture.pods)

    def _lose(self, count: int) -> int:
        self.capture.lost += count
        return self.capture.lost

    def status(self) -> pb.Status:
        capture = self.capture
        status = pb.Status(
            session=capture.session,
            started_ns=self._started,
            now_ns=time.time_ns(),
            generation=capture.generation,
            flows=capture.flows,
            packets=capture.packets,
            paused=capture.paused,
            snaplen=capture.snaplen,
            sampling=capture.sampling,
            flow_rows=2,
            packet_rows=3,
            flow_rate=1234.0,
            packet_rate=0.0,
            lost=capture.lost,
            store_bytes=1_200_000,
            store_limit_bytes=64 << 20,
            directory="/nowhere",
            stopping=self.stopped.is_set(),
            features=capture.features,
            dns_ports=capture.dns_ports,
            event_rows=4321,
        )
        for node, connected in capture.agents.items():
            behind = node in capture.deaf
            status.agents.add(
                node=node,
                connected=connected,
                generation=capture.generation - behind,
                error=capture.deaf.get(node, ""),
                kernel="6.18.0",
                attach="tcx",
                interfaces=2,
                rss_bytes=50_000_000,
                features=capture.features,
                problems=capture.broken.get(node, ()),
            )
        for number, text in capture.rules.items():
            name = name_in(text)
            status.rules.add(id=number, text=text, name=name, flow_hits=7, packet_hits=9)
        if capture.pods:
            status.kubernetes.synced = True
            status.kubernetes.pods = len(capture.pods)
        return status

    async def Watch(self, request: pb.WatchRequest, context: _Context) -> AsyncIterator[pb.Status]:
        self.capture.calls.append("Watch")
        while not self.stopped.is_set():
            yield self.status()
            await asyncio.sleep(min(request.interval_ms or 500, 50) / 1000)
        # The agents have left before the collector does.
        self.capture.agents = dict.fromkeys(self.capture.agents, False)
        yield self.status()

    async def Change(self, request: pb.ChangeRequest, context: _Context) -> pb.ChangeReply:
        kind = request.WhichOneof("change")
        self.capture.calls.append(f"Change {kind}")
        try:
            ids = self._change(str(kind), request)
        except (FilterError, KeyError) as error:
            line = str(error) if isinstance(error, FilterError) else f"no filter {error}"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, line)
            raise
        self.capture.generation += 1
        return pb.ChangeReply(
            generation=self.capture.generation,
            filter_ids=ids,
            elapsed_ms=42.0,
            nodes=self._acks(),
        )

    def _acks(self) -> list[pb.NodeAck]:
        capture = self.capture
        return [
            pb.NodeAck(
                node=node,
                applied=node not in capture.deaf,
                error=capture.deaf.get(node, ""),
                apply_ms=1.0,
                problems=capture.broken.get(node, ()),
            )
            for node in capture.agents
        ]

    async def Overlay(  # type: ignore[override]  # writes through the context
        self, request_iterator: AsyncIterator[pb.OverlayRequest], context: _Context
    ) -> None:
        capture = self.capture
        request = await anext(request_iterator)
        capture.calls.append("Overlay")
        if capture.overlay is not None:
            line = f"{capture.overlay.label} is at work already: one at a time"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, line)
        capture.overlay = request
        self.laid.set()
        try:
            await context.write(self._overlay_reply())
            async for _ in request_iterator:
                pass
        finally:
            capture.overlay = None
            self.lifted.set()
        await context.write(self._overlay_reply())

    def _overlay_reply(self) -> pb.OverlayReply:
        self.capture.generation += 1
        return pb.OverlayReply(
            generation=self.capture.generation, nodes=self._acks(), since_ns=time.time_ns()
        )

    def _change(self, kind: str, request: pb.ChangeRequest) -> Sequence[int]:
        capture = self.capture
        if kind == "add_filter":
            if len(capture.rules) == MAX_RULES:
                raise FilterError(f"{MAX_RULES} filters are the most there can be")
            capture.rules[capture.next_id] = parse_rule(request.add_filter.words).text
            capture.next_id += 1
            return [capture.next_id - 1]
        if kind == "delete_filters":
            for number in request.delete_filters.ids:
                del capture.rules[number]
            return list(request.delete_filters.ids)
        if kind == "replace_filter":
            change = request.replace_filter
            capture.rules[change.id] = parse_rule(change.words).text
            return [change.id]
        if kind == "clear_filters":
            ids = list(capture.rules)
            capture.rules.clear()
            return ids
        if kind == "feature":
            named = list(request.feature.names)
            kept = [name for name in capture.features if name not in named]
            capture.features = kept + named if request.feature.on else kept
            return []
        if kind == "dns_ports":
            capture.dns_ports = list(request.dns_ports.ports)
            return []
        setattr(capture, kind, getattr(request, kind))
        return []

    async def Query(
        self, request: pb.QueryRequest, context: _Context
    ) -> AsyncIterator[pb.QueryReply]:
        self.capture.calls.append(f"Query {request.sql} limit {request.limit}")
        if "hang" in request.sql:
            await self._hang()
        if "drip" in request.sql:
            async for reply in self._drip(request, context):
                yield reply
        try:
            cursor = self._db.execute(request.sql)
            rows = cursor.fetchall()
        except sqlite3.Error as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        columns = [column[0] for column in cursor.description]
        limit = request.limit or len(rows)
        kept = rows[:limit]
        first = pb.QueryReply(columns=columns)
        for start in range(0, len(kept), _CHUNK):
            first.rows = msgpack.packb(kept[start : start + _CHUNK])
            yield first
            first = pb.QueryReply()
        first.truncated = len(rows) > limit
        first.elapsed_ms = 3.0
        yield first

    async def _drip(
        self, request: pb.QueryRequest, context: _Context
    ) -> AsyncIterator[pb.QueryReply]:
        """Rows without an end, ten at a time."""
        yield pb.QueryReply(columns=["n"])
        number = 0
        try:
            while True:
                rows = [[number + count] for count in range(10)]
                yield pb.QueryReply(rows=msgpack.packb(rows))
                number += 10
                if "break" in request.sql and number > 100:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "integer overflow")
                await asyncio.sleep(0.005)
        finally:
            self.cancelled.set()

    async def _hang(self) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            self.cancelled.set()

    async def Export(
        self, request: pb.ExportRequest, context: _Context
    ) -> AsyncIterator[pb.ExportReply]:
        self.capture.calls.append(f"Export {request.format} {request.where}".strip())
        if "nonsense" in request.where:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such column: nonsense")
        yield pb.ExportReply(data=EMPTY_PCAP)
        if self.capture.break_export:
            await context.abort(grpc.StatusCode.INTERNAL, "the store is full")
        yield pb.ExportReply(summary=pb.ExportSummary(packets=self.capture.packets_there, bytes=24))

    async def Explain(self, request: pb.ExplainRequest, context: _Context) -> pb.Explanation:
        capture = self.capture
        settings = Settings(flows=capture.flows, packets=capture.packets, paused=capture.paused)
        rules = [parse_rule(text.split()) for text in capture.rules.values()]
        return explanation(Session(settings, rules), request)

    async def Describe(self, request: pb.DescribeRequest, context: _Context) -> pb.Description:
        self.capture.calls.append("Describe")
        return self.describe()

    def describe(self) -> pb.Description:
        """Tables and columns as they are in the store."""
        described = pb.Description(
            functions=["in_cidr", "ip_name"], interfaces=["eth0", "eth1"], pods=self.capture.pods
        )
        for name in ("flow", "packet", "loss"):
            table = described.tables.add(name=name, summary=f"the {name} table", rows=2)
            for _, column, type_, *_ in self._db.execute(
                f"SELECT * FROM pragma_table_info('{name}')"
            ):
                table.columns.add(name=column, type=type_, summary="")
        return described

    async def Detach(self, request: pb.DetachRequest, context: _Context) -> pb.DetachReply:
        self.capture.calls.append("Detach")
        return pb.DetachReply(ends_ns=time.time_ns() + 3600 * 10**9)

    async def Stop(self, request: pb.StopRequest, context: _Context) -> pb.StopReply:
        self.capture.calls.append("Stop")
        self.stopped.set()
        return pb.StopReply(flow_rows=2, packet_rows=3, lost=self.capture.lost)
