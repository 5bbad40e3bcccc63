"""Holds the Watch call open and the latest status at hand.

The collector's lease runs on that call, so exactly one is open while the shell
lives, and it is opened again when it breaks.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from nshell.shell.errors import SessionLost
from nshell.shell.escape import escape
from nshell.shell.notices import Limiter, LossMeter, events

if TYPE_CHECKING:
    from collections.abc import Callable

    from nshell.proto import session_pb2 as pb
    from nshell.shell.client import Client

_GIVE_UP_SECONDS = 10.0


class Monitor:
    """What is known of the session at any moment."""

    def __init__(
        self,
        client: Client,
        *,
        notify: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._notify = notify
        self._clock = clock
        self._limiter = Limiter(clock)
        self._losses = LossMeter()
        self._changed = asyncio.Event()
        self._heard = 0.0
        self.status: pb.Status | None = None
        self.quiet = False
        """Nothing more is news: the session is being closed."""

    async def run(self) -> None:
        """Watch until cancelled; SessionLost when the collector stays away."""
        self._heard = self._clock()
        while True:
            try:
                await self._listen()
            except SessionLost:
                if self._clock() - self._heard > _GIVE_UP_SECONDS:
                    raise
            await asyncio.sleep(0.2)

    async def _listen(self) -> None:
        async with aclosing(self._client.watch()) as statuses:
            async for status in statuses:
                self._heard = self._clock()
                self._take(status)

    async def applied(self) -> pb.Status:
        """The first status in which an agent is there and all have converged.

        SessionLost where one says that it cannot.
        """
        while self.status is None or not has_converged(self.status):
            if self.status is not None:
                _refuse_broken(self.status)
            self._changed.clear()
            await self._changed.wait()
        return self.status

    def _take(self, status: pb.Status) -> None:
        if self.status is not None and not self.quiet:
            for event in events(self.status, status):
                self._limiter.offer(event)
        loss = self._losses.update(status.lost)
        if loss is not None:
            self._limiter.offer(loss)
        for event in self._limiter.due():
            if event.kind == "loss":
                self._losses.told()
            self._notify(event.text)
        self.status = status
        self._changed.set()


def has_converged(status: pb.Status) -> bool:
    """Whether agents are there and each has acknowledged the present generation."""
    connected = [agent for agent in status.agents if agent.connected]
    return bool(connected) and all(a.generation == status.generation for a in connected)


def _refuse_broken(status: pb.Status) -> None:
    for agent in status.agents:
        if agent.connected and agent.error and agent.generation != status.generation:
            raise SessionLost(f"agent on {escape(agent.node)}: {escape(agent.error)}")
