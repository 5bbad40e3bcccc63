"""The store: one thread that decodes, writes and evicts, in the order of arrival.

Invariant: nothing else writes the database or the packet files. What the loop
hands in is dealt with in order; batches wait for room, nothing is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from nshell.collector import schema
from nshell.collector.storage.budget import Budget, segment_bytes
from nshell.collector.storage.catalog import Catalog
from nshell.collector.storage.database import DATABASE_NAME, Database
from nshell.collector.storage.inbox import Inbox
from nshell.collector.storage.ingest import Ingest
from nshell.collector.storage.resume import PROGRESS, Found, go_on, open_again
from nshell.collector.storage.segments import InterfaceNotes, Segments
from nshell.collector.storage.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    from agent.proto import agentlink_pb2
    from nshell.collector.decode.rows import Cell, GenerationKey
    from nshell.collector.interfaces import Interface
    from nshell.collector.kube.inventory import Change
    from nshell.collector.relations import Table
    from nshell.collector.storage.catalog import Loss
    from nshell.collector.storage.segments import DescribedInterface
    from nshell.collector.storage.writer import Totals

_LOG = logging.getLogger(__name__)

DEFAULT_QUEUE_BYTES = 64 << 20

T = TypeVar("T")
Work = Callable[[], None]


class Store:
    """What the loop sees of the writer's thread."""

    def __init__(
        self,
        directory: Path,
        *,
        limit_bytes: int,
        queue_bytes: int = DEFAULT_QUEUE_BYTES,
        resume: bool = False,
    ) -> None:
        """Make the files and start the thread.

        resume: go on with what an earlier process left, and leave what a later one
        needs; else FileExistsError if a session is there.
        """
        self.directory = directory
        self.path = directory / DATABASE_NAME
        found = open_again(directory) if resume else Found()
        self.remains = found.remains
        """What an earlier process left; None if there was none."""
        self.notice = found.notice
        """What became of it, where that is to be told."""
        if found.database is None:
            self.path.touch(mode=0o600, exist_ok=False)
            schema.create(self.path)
        self._database = found.database or Database(self.path)
        self._segments = Segments(
            directory,
            segment_bytes=segment_bytes(limit_bytes),
            notes=InterfaceNotes(directory) if resume else None,
        )
        self._catalog = Catalog()
        self._writer = Writer(self._database, self._catalog)
        if self.remains is not None:
            go_on(self._writer, self._database, self._segments, self.remains)
        elif resume:
            self._database.complete_with(PROGRESS)
        self._budget = Budget(
            self._database, self._segments, writer=self._writer, limit_bytes=limit_bytes
        )
        self._ingest = Ingest(self._writer, self._segments)
        if resume:
            self._ingest.resume(self.remains)
        self._inbox: Inbox[Work] = Inbox(limit_bytes=queue_bytes)
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Done when the thread has ended, with its exception if it failed."""
        self._thread.start()

    @property
    def totals(self) -> Totals:
        """Live numbers."""
        return self._writer.totals

    @property
    def lost(self) -> int:
        """Sum of the loss table."""
        return self._catalog.lost

    @property
    def queued_bytes(self) -> int:
        """Batches that wait for the thread."""
        return self._inbox.held_bytes

    def described_interfaces(self) -> tuple[DescribedInterface, ...]:
        """Interfaces that the packet files describe, by number."""
        return self._segments.interfaces.described()

    async def flows(self, node: str, batch: agentlink_pb2.FlowBatch, *, received_s: int) -> None:
        """Hand in a batch when there is room for it."""
        extras = len(batch.extra_keys) + len(batch.extra_values)
        size = len(batch.keys) + len(batch.values) + extras
        await self._inbox.put(partial(self._ingest.flows, node, batch, received_s), size)

    async def packets(self, node: str, batch: agentlink_pb2.PacketBatch) -> None:
        """Hand in a batch when there is room for it."""
        await self._inbox.put(partial(self._ingest.packets, node, batch), len(batch.records))

    async def events(self, node: str, batch: agentlink_pb2.EventBatch) -> None:
        """Hand in a batch when there is room for it."""
        await self._inbox.put(partial(self._ingest.events, node, batch), len(batch.records))

    def names(self, node: str, message: agentlink_pb2.Names) -> None:
        """What numbers in the node's events mean, beside what they already do."""
        self._inbox.put_now(partial(self._ingest.names, node, message))

    def generation(self, number: int, key: GenerationKey) -> None:
        """A filter set that batches may name from now on."""
        self._inbox.put_now(partial(self._ingest.generation, number, key))

    def node(self, node: str, agent_ip: str, run: str = "") -> None:
        """An agent said hello."""
        self._inbox.put_now(partial(self._ingest.node, node, agent_ip, run))

    def accounted(self, node: str, rows: int) -> None:
        """So many rows of the present run of a node's agent are known to be lost."""
        self._inbox.put_now(partial(self._ingest.accounted, node, rows))

    def interfaces(self, node: str, listed: tuple[Interface, ...]) -> None:
        """The node's interfaces from now on."""
        self._inbox.put_now(partial(self._ingest.interfaces, node, listed))

    def owners(self, changes: Sequence[Change]) -> None:
        """What there is in the cluster changed; from the first call on, rows say who had
        their addresses."""
        self._inbox.put_now(partial(self._ingest.owners, changes))

    def put(self, table: Table, key: Hashable, cells: tuple[Cell, ...]) -> None:
        """Insert or replace a row of a small table."""
        self._inbox.put_now(partial(self._catalog.put, table, key, cells))

    def loss(self, loss: Loss) -> None:
        """Append to the loss table."""
        self._inbox.put_now(partial(self._catalog.add_loss, loss))

    async def run(self, work: Callable[[], T]) -> T:
        """The result of a call in the thread, after everything before it is committed."""
        done: asyncio.Future[T] = self._loop.create_future()

        def call() -> None:
            self._writer.commit()
            result = work()
            self._loop.call_soon_threadsafe(_resolve, done, result)

        # In its turn, behind batches that wait for room.
        await self._inbox.put(call, 0)
        await asyncio.wait((done, self.ended), return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise RuntimeError("the store has ended")
        return done.result()

    async def flush(self) -> None:
        """Return when everything handed in so far is committed."""
        await self.run(lambda: None)

    async def settle(self, *, timeout: float) -> None:
        """As flush, but for so long at most: under load, rows are always on their way."""
        if not self.ended.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self.flush()

    async def close(self) -> None:
        """Commit everything, close the files, end the thread."""
        self._inbox.put_now(self._close)
        await asyncio.wait((self.ended,))
        self._thread.join()

    def _close(self) -> None:
        self._closing = True

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            self._serve()
        except Exception as unexpected:  # noqa: BLE001  handed to who waits for `ended`
            _LOG.exception("the store failed")
            error = unexpected
        finally:
            self._segments.close()
            self._database.close()
            self._loop.call_soon_threadsafe(_end, self.ended, error)

    def _serve(self) -> None:
        enforced = 0
        while not self._closing:
            taken = self._inbox.take(self._seconds_until_due())
            if taken is not None:
                work, size = taken
                work()
                self._inbox.done(size)
            self._ingest.tick()
            self._writer.commit_if_due()
            if self._writer.commits > enforced:
                self._budget.enforce()
                enforced = self._writer.commits
        self._ingest.end()
        self._writer.commit()

    def _seconds_until_due(self) -> float | None:
        """None: nothing is to be done before something comes."""
        due = (self._writer.seconds_until_due(), self._ingest.seconds_until_due())
        return min((seconds for seconds in due if seconds is not None), default=None)


def _resolve(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _end(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
