"""A session that runs: where it runs, the connection to it, what may end it.

Handed to a front end as a whole; nothing in here is global.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from nshell.shell.client import Client
    from nshell.shell.context import Context
    from nshell.shell.monitor import Monitor
    from nshell.tasks import Tasks


class Host(Protocol):
    """Where collector and agents run: this host, or a cluster."""

    @property
    def address(self) -> str:
        """Of the collector, for gRPC; there once start() has returned."""

    @property
    def tls(self) -> Path | None:
        """Directory with the shell's certificate; None: a socket of our own is enough."""

    @property
    def return_by(self) -> str:
        """What to type to come back to the session; empty: it ends with its shell."""

    async def start(self) -> None:
        """Make what must be there before anything is shown; takes no time."""

    async def ready(self, session: Session, *, alone: bool) -> None:
        """Return when commands may be given; `alone`: nobody sits there who could wait."""

    def trouble(self) -> str:
        """Why there is no connection at the moment, as far as that is known here."""

    async def ended(self) -> str:
        """Why there will be no connection any more; empty: that is not known."""

    def lose(self) -> None:
        """The connection is given up; what may still run there is left as it is."""

    def expect_end(self) -> None:
        """From now on an end of what runs is no failure."""

    def leave(self) -> None:
        """Let the session go on without this shell."""

    async def stop(self, *, orderly: bool) -> None:
        """Return when nothing is left, but what is to stay; orderly: the collector agreed."""

    def kill(self) -> None:
        """Leave nobody any time."""

    def open_log(self, name: str) -> int:
        """Descriptor of a file for what programs say besides their rows."""


class Ending:
    """The first thing that ends the run from outside."""

    def __init__(self) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, error: BaseException) -> None:
        """End it for this reason, unless it has one."""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # seen, even where nobody waits any more


@dataclass(slots=True)
class Session:
    """A session and what is known of it."""

    host: Host
    client: Client
    monitor: Monitor
    context: Context
    ending: Ending
    tasks: Tasks
    begun: bool = False
    """Somebody connects already."""

    def begin(self) -> None:
        """Connect behind whatever else goes on, then keep the latest status at hand."""
        if not self.begun:
            self.begun = True
            self.tasks.start(self._connect(), name="connect")

    async def _connect(self) -> None:
        await self.client.connect(self.host.address, tls=self.host.tls)
        await self.monitor.run()
