"""Session: what shells ask for.

Invariant: a request that is wrong fails with INVALID_ARGUMENT and one line, and
changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, NoReturn, TypeVar

import grpc

from nshell.collector import schema
from nshell.collector.changes import change
from nshell.collector.explain import explanation
from nshell.collector.kube import describe as kube
from nshell.collector.query.export import (
    FORMATS,
    DatabaseExport,
    MixedLinkTypesError,
    PacketExport,
)
from nshell.collector.query.sql import LockedReader, Query
from nshell.collector.query.sqlerrors import QueryError
from nshell.collector.relations import Table
from nshell.collector.session import ChangeError
from nshell.collector.streams import call
from nshell.filters import FilterError, parse_rule
from nshell.proto import session_pb2 as pb
from nshell.proto.session_pb2_grpc import SessionServicer
from nshell.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Sequence
    from concurrent.futures import Executor

    from nshell.collector.capture import Capture
    from nshell.collector.query.functions import Functions
    from nshell.collector.relations import Relation

    Context = grpc.aio.ServicerContext[object, object]
    FileExport = PacketExport | DatabaseExport

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

_WATCH_MS = 500
_CHANGE_MS = 5000
_OVERLAY_SECONDS = 20.0
"""For agents to apply one: what a feature needs may still be compiling."""
_DELIVERY_SECONDS = 3.0
_SETTLE_SECONDS = 0.25


class SessionService(SessionServicer):
    """Serves every shell."""

    def __init__(self, capture: Capture, *, executor: Executor, functions: Functions) -> None:
        self._capture = capture
        self._executor = executor
        self._functions = functions

    async def Watch(  # noqa: N802  the names in the protocol
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[pb.Status]:
        """The status again and again; as long as it runs, a shell is there."""
        del context
        capture = self._capture
        seconds = (request.interval_ms or _WATCH_MS) / 1000
        with nullcontext() if request.observe else capture.lease.held():
            while not capture.stopping.is_set():
                yield capture.board.status()
                try:
                    async with asyncio.timeout(seconds):
                        await capture.stopping.wait()
                except TimeoutError:
                    continue
            yield capture.board.status()

    async def Change(self, request: pb.ChangeRequest, context: Context) -> pb.ChangeReply:  # noqa: N802
        """Change the session and wait for the agents."""
        started, session = time.monotonic(), self._capture.session
        pausing = request.WhichOneof("change") == "paused" and request.paused
        try:
            # A session that has ended is as good as paused.
            ids = () if pausing and session.ended else change(session, request)
        except (ChangeError, FilterError) as error:
            await _refuse(context, str(error))
        number = session.present.number
        nodes = await self._applied(number, timeout=(request.timeout_ms or _CHANGE_MS) / 1000)
        if pausing:
            # What was captured before is there when it is said to be paused.
            await self._capture.fleet.delivered(number, nodes, timeout=_DELIVERY_SECONDS)
        return pb.ChangeReply(
            generation=number,
            filter_ids=ids,
            nodes=[self._node_ack(name, number) for name in nodes],
            elapsed_ms=(time.monotonic() - started) * 1000,
            warnings=session.notes(ids),
        )

    async def Overlay(  # type: ignore[override]  # noqa: N802  writes through the context
        self, request_iterator: AsyncIterator[pb.OverlayRequest], context: Context
    ) -> None:
        """Lay something over the session until the client has had enough or is gone."""
        request = await anext(request_iterator, pb.OverlayRequest())
        session = self._capture.session
        try:
            rules = [parse_rule(list(each.words)) for each in request.rules]
            overlay = session.lay(
                request.label or "overlay",
                rules,
                list(request.features),
                counts=request.counts,
            )
        except (ChangeError, FilterError) as error:
            await _refuse(context, str(error))
        ids = [each.id for each in overlay.rules]
        try:
            number = session.present.number
            nodes = await self._applied(number, timeout=_OVERLAY_SECONDS)
            notes = [note for each in overlay.rules for note in each.notes]
            await context.write(self._overlay_reply(number, ids, nodes, warnings=notes))
            await self._until_ended(request_iterator)
        finally:
            # Nothing is awaited here: the call may have been called off.
            session.lift(overlay)
            self._capture.fleet.announce()
        if self._capture.stopping.is_set():
            return
        number = session.present.number
        nodes = await self._applied(number, timeout=_OVERLAY_SECONDS)
        await self._capture.fleet.delivered(number, nodes, timeout=_DELIVERY_SECONDS)
        await context.write(self._overlay_reply(number, ids, nodes))

    async def Explain(  # noqa: N802
        self, request: pb.ExplainRequest, context: Context
    ) -> pb.Explanation:
        """What the rules in force say of a packet."""
        try:
            return explanation(self._capture.session, request)
        except ValueError as error:
            await _refuse(context, str(error))

    async def Query(  # noqa: N802
        self, request: pb.QueryRequest, context: Context
    ) -> AsyncIterator[pb.QueryReply]:
        """Rows of a query, in pieces."""
        started = time.monotonic()
        await self._settle()
        try:
            query = await self._call(
                partial(
                    Query,
                    self._capture.store.path,
                    request.sql,
                    limit=request.limit,
                    functions=self._functions,
                )
            )
        except QueryError as error:
            await _refuse(context, str(error))
        try:
            columns = await call(self._executor, query.start, interrupting=query)
            yield pb.QueryReply(columns=columns)
            last = False
            while not last:
                chunk = await call(self._executor, query.chunk, interrupting=query)
                last = chunk.last
                reply = pb.QueryReply(rows=chunk.rows if chunk.count else b"")
                if last:
                    reply.truncated = chunk.truncated
                    reply.elapsed_ms = (time.monotonic() - started) * 1000
                yield reply
        except QueryError as error:
            await _refuse(context, str(error))
        finally:
            query.close()

    async def Export(  # noqa: N802
        self, request: pb.ExportRequest, context: Context
    ) -> AsyncIterator[pb.ExportReply]:
        """Bytes of a file, in pieces."""
        if request.format not in FORMATS:
            await _refuse(
                context, f"unknown format {request.format!r}: there are {', '.join(FORMATS)}"
            )
        await self._settle()
        try:
            export = await self._call(partial(self._export, request))
        except QueryError as error:
            await _refuse(context, str(error))
        try:
            async for data in self._pieces(export):
                yield pb.ExportReply(data=data)
            summary = pb.ExportSummary(
                packets=export.packets,
                bytes=export.bytes,
                evicted=self._capture.store.totals.evicted_packets,
            )
            yield pb.ExportReply(summary=summary)
        except QueryError as error:
            await _refuse(context, str(error))
        except MixedLinkTypesError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except OSError as error:
            await context.abort(grpc.StatusCode.INTERNAL, str(error))
        finally:
            export.close()

    async def Describe(  # noqa: N802
        self, request: pb.DescribeRequest, context: Context
    ) -> pb.Description:
        """Tables, functions and interfaces, for completion."""
        del request, context
        description = await self._call(self._describe)
        description.interfaces.extend(
            sorted(
                {
                    each.name
                    for node in self._capture.fleet.nodes.values()
                    for each in node.interfaces.values()
                }
            )
        )
        if self._capture.inventory is not None:
            kube.describe(self._capture.inventory, description)
        return description

    async def Stop(self, request: pb.StopRequest, context: Context) -> pb.StopReply:  # noqa: N802
        """End the session; what it came to."""
        del request, context
        counts = await self._capture.stop("a shell asked for it")
        return pb.StopReply(
            flow_rows=counts.flow_rows, packet_rows=counts.packet_rows, lost=counts.lost
        )

    async def Detach(self, request: pb.DetachRequest, context: Context) -> pb.DetachReply:  # noqa: N802
        """Go on without a shell; until when."""
        del request
        capture = self._capture
        if capture.stopping.is_set():
            await _refuse(context, "the session is ending: nothing is left to be detached from")
        capture.lifetime.detach()
        life = capture.lifetime
        return pb.DetachReply(
            ends_ns=0 if life.ended else life.ends_ns, kept_until_ns=life.kept_until_ns
        )

    async def _applied(self, number: int, *, timeout: float) -> list[str]:
        """Send what is new to the agents and await their answers; names of those asked."""
        fleet = self._capture.fleet
        fleet.announce()
        nodes = await fleet.arrived(timeout=min(timeout, _CHANGE_MS / 1000))
        await fleet.answered(number, nodes, timeout=timeout)
        return nodes

    def _overlay_reply(
        self,
        number: int,
        ids: Sequence[int],
        nodes: Sequence[str],
        *,
        warnings: Sequence[str] = (),
    ) -> pb.OverlayReply:
        return pb.OverlayReply(
            generation=number,
            filter_ids=ids,
            nodes=[self._node_ack(name, number) for name in nodes],
            since_ns=time.time_ns(),
            warnings=warnings,
        )

    async def _until_ended(self, requests: AsyncIterator[pb.OverlayRequest]) -> None:
        """Return when no request can follow, or at the end of the capture."""
        async with Tasks("overlay", on_error=_log_overlay_error) as tasks:
            ends = (
                tasks.start(_drained(requests), name="client"),
                tasks.start(self._capture.stopping.wait(), name="capture"),
            )
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)

    def _node_ack(self, name: str, number: int) -> pb.NodeAck:
        node = self._capture.fleet.nodes[name]
        answer = node.answer
        if not node.connected:
            return pb.NodeAck(node=name, error=node.error)
        if answer.generation < number:
            return pb.NodeAck(node=name)
        return pb.NodeAck(
            node=name,
            applied=answer.ok,
            error=answer.error,
            apply_ms=answer.apply_ms,
            problems=answer.problems if answer.ok else (),
        )

    def _export(self, request: pb.ExportRequest) -> FileExport:
        store = self._capture.store
        if request.format == "db":
            return DatabaseExport(store.path, request.where)
        return PacketExport(
            store.path,
            request.where,
            classic=request.format == "pcap",
            functions=self._functions,
            interfaces=store.described_interfaces,
        )

    async def _pieces(self, export: FileExport) -> AsyncIterator[bytes]:
        chunks: Generator[bytes] = export.chunks()
        try:
            while data := await call(
                self._executor, lambda: next(chunks, b""), interrupting=export
            ):
                yield data
        finally:
            chunks.close()

    def _describe(self) -> pb.Description:
        with LockedReader(self._capture.store.path, self._functions) as reader:
            own = self._functions.names()
            others = (name for name in reader.names.functions if name not in own)
            return pb.Description(
                tables=[_table(reader, each) for each in schema.RELATIONS],
                functions=(*own, *others),
            )

    async def _settle(self) -> None:
        """What was acknowledged before a question is there when it is answered."""
        await self._capture.store.settle(timeout=_SETTLE_SECONDS)

    async def _call(self, work: Callable[[], T]) -> T:
        return await call(self._executor, work)


def _table(reader: LockedReader, relation: Relation) -> pb.Table:
    return pb.Table(
        name=relation.name,
        summary=relation.summary,
        columns=[
            pb.Column(name=each.name, type=each.type, summary=each.summary)
            for each in relation.columns
        ],
        rows=_highest_rowid(reader, relation) if isinstance(relation, Table) else 0,
        view=not isinstance(relation, Table),
    )


def _highest_rowid(reader: LockedReader, table: Table) -> int:
    sql = f"SELECT max(rowid) FROM {table.name}"  # noqa: S608  a name of ours
    ((highest,),) = reader.rows(reader.execute(sql))
    return int(str(highest or 0))


async def _drained(requests: AsyncIterator[pb.OverlayRequest]) -> None:
    async for _ in requests:
        pass


def _log_overlay_error(error: BaseException) -> None:
    _LOG.info("an overlay's client: %s", error)


async def _refuse(context: Context, line: str) -> NoReturn:
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, line)
    raise AssertionError("abort raises")
