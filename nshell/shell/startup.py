"""The commands that the configuration has run first, where a reader sits."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from nshell.shell.errors import CommandError
from nshell.shell.interactive import on_interrupt
from nshell.tasks import first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nshell.shell.live import Session

_SILENT_SECONDS = 1.0
_MOST_SECONDS = 30.0
_WAITING = "the commands of startup wait for an agent; Ctrl-C: they do without"


class Startup:
    """Hands them out, once there is an agent that they can reach."""

    def __init__(self, lines: Sequence[str] = ()) -> None:
        self._lines = deque(lines)

    def __bool__(self) -> bool:
        return bool(self._lines)

    def next(self) -> str:
        """The next one."""
        return self._lines.popleft()

    async def ready(self, session: Session, *, tell: Callable[[str], object]) -> None:
        """Return when they may be run; soon where there are none."""
        if not self._lines:
            return
        without: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def go_on() -> None:
            if not without.done():
                without.set_exception(CommandError("not waited for"))
                without.exception()  # seen, even if nobody waits any more

        with on_interrupt(go_on):
            for seconds, then in ((_SILENT_SECONDS, _WAITING), (_MOST_SECONDS, "")):
                try:
                    async with asyncio.timeout(seconds):
                        await first_of(
                            session.monitor.applied(),
                            name="agents",
                            unless=[session.ending.future, without],
                        )
                except TimeoutError:
                    if then:
                        tell(then)
                except CommandError:
                    return
                else:
                    return
