"""A session that runs: its processes, the connection to it, what may end it.

Handed to a front end as a whole; nothing in here is global.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nshell.local import LocalSession
    from nshell.shell.client import Client
    from nshell.shell.context import Context
    from nshell.shell.monitor import Monitor
    from nshell.tasks import Tasks


class Ending:
    """The first thing that ends the run from outside."""

    def __init__(self) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, error: BaseException) -> None:
        """End it for this reason, unless it has one."""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # seen, even where nobody waits any more


@dataclass(frozen=True, slots=True)
class Session:
    """A session and what is known of it."""

    local: LocalSession
    client: Client
    monitor: Monitor
    context: Context
    ending: Ending
    tasks: Tasks


async def connect(session: Session) -> None:
    """Connect, then keep the latest status at hand."""
    await session.client.connect(session.local.address)
    await session.monitor.run()
