"""One capture from its start to its orderly end.

Invariant: it ends once, whoever asks for it and how often; when it has ended,
everything that agents had sent is committed.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nshell.collector.fleet import Fleet
    from nshell.collector.kube.inventory import Inventory
    from nshell.collector.lease import Lease
    from nshell.collector.lifetime import Lifetime
    from nshell.collector.session import Session
    from nshell.collector.status import StatusBoard
    from nshell.collector.storage.store import Store
    from nshell.tasks import Tasks

_LOG = logging.getLogger(__name__)
AGENTS_SECONDS = 3.0
"""Agents have so long to drain and say goodbye."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What the capture came to."""

    flow_rows: int
    packet_rows: int
    lost: int


@dataclass(slots=True)
class Capture:
    """Everything that the services work on."""

    session: Session
    store: Store
    fleet: Fleet
    board: StatusBoard
    lifetime: Lifetime
    tasks: Tasks
    inventory: Inventory | None = None
    """What the API server says there is; None where none is watched."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _end: asyncio.Task[Counts] | None = None

    @property
    def lease(self) -> Lease:
        """What shells hold."""
        return self.lifetime.lease

    @property
    def ending(self) -> bool:
        """Its end has begun."""
        return self._end is not None

    def stop_capturing(self, reason: str) -> None:
        """Capture nothing any more; what was captured is still there to be asked."""
        _LOG.info("capturing ends: %s", reason)
        self.session.end(reason)
        self.fleet.announce()

    async def stop(self, reason: str) -> Counts:
        """End it, or wait for the end that has begun."""
        if self._end is None:
            _LOG.info("stopping: %s", reason)
            self._end = self.tasks.start(self._stop(reason), name="stop")
        # Who asked may go away; the end is not called off.
        return await asyncio.shield(self._end)

    async def _stop(self, reason: str) -> Counts:
        await self.fleet.stop(reason, timeout=AGENTS_SECONDS)
        await self.store.flush()
        totals = self.store.totals
        self.stopping.set()
        return Counts(totals.flow_rows, totals.packet_rows, self.store.lost)
