"""Holds the Watch call open and the latest status at hand.

The collector's lease runs on that call, so exactly one is open while the shell
lives, and it is opened again when it breaks.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from nshell.shell.errors import SessionLost, Unconnected
from nshell.shell.escape import escape
from nshell.shell.notices import Limiter, LossMeter, events

if TYPE_CHECKING:
    from collections.abc import Callable

    from nshell.proto import session_pb2 as pb
    from nshell.shell.client import Client
    from nshell.shell.live import Host

_GIVE_UP_SECONDS = 10.0
"""Without a connection to a collector on this host."""
_GIVE_UP_ENDLESS_SECONDS = 600.0
"""To one that would wait for ever."""
_TELL_SECONDS = 1.5
"""A connection that is back by then was never away."""
_LOOK_SECONDS = 3.0


class Monitor:
    """What is known of the session at any moment."""

    def __init__(
        self,
        client: Client,
        *,
        notify: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        host: Host | None = None,
    ) -> None:
        self._client = client
        self._notify = notify
        self._clock = clock
        self._limiter = Limiter(clock)
        self._losses = LossMeter()
        self._changed = asyncio.Event()
        self._host = host if host is not None and host.return_by else None
        """A session that outlives a broken connection."""
        self._heard = 0.0
        self._away = False
        self.status: pb.Status | None = None
        self.quiet = False
        """Nothing more is news: the session is being closed."""

    async def run(self) -> None:
        """Watch until cancelled; SessionLost when the collector stays away."""
        self._heard = looked = self._clock()
        while True:
            try:
                await self._listen()
            except (SessionLost, Unconnected) as error:
                await self._without(str(error))
            if self._host is not None and self._clock() - max(self._heard, looked) > _LOOK_SECONDS:
                looked = self._clock()
                if reason := await self._host.ended():
                    raise SessionLost(reason)
            await asyncio.sleep(0.2)

    async def _without(self, error: str) -> None:
        """There is no connection: wait, or give up."""
        silent = self._clock() - self._heard
        if self._host is None:
            if silent > _GIVE_UP_SECONDS:
                raise SessionLost(error)
            return
        why = self._host.trouble() or error
        if silent > self._patience():
            self._host.lose()
            raise SessionLost(
                f"{why}: given up after {silent:.0f} s; where the session still runs,"
                f" {self._host.return_by} leads back to it"
            )
        if silent > _TELL_SECONDS and not self._away and not self.quiet:
            self._away = True
            self._notify(f"no connection to the collector, trying again: {why}")

    def _patience(self) -> float:
        lease = self.status.lease_seconds if self.status is not None else 0
        return lease or _GIVE_UP_ENDLESS_SECONDS

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
        if self._away:
            self._away = False
            self._notify("connected to the collector again")
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
