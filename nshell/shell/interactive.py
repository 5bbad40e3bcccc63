"""What the two front ends with a reader share: the loop, Ctrl-C, errors.

Ctrl-C cancels the command that runs, unless it takes the first one for itself,
and never the capture. A command that fails
is one line, and the next may be typed.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from nshell.shell.batch import failure_line
from nshell.shell.errors import CommandError, Failure
from nshell.tasks import first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nshell.shell.runner import Runner


class Reader(Protocol):
    """Where lines come from."""

    async def read(self) -> str | None:
        """What was submitted; None at the end."""

    def complain(self, text: str) -> None:
        """One line about something that failed."""


async def converse(
    reader: Reader, runner: Runner, *, unless: Sequence[asyncio.Future[None]]
) -> None:
    """Read and run until `quit` or the end of input."""
    while True:
        text = await first_of(reader.read(), name="read", unless=unless)
        if text is None:
            return
        try:
            if await _run(runner, text, unless):
                return
        except Failure as failure:
            reader.complain(failure_line(failure))
        except CommandError as error:
            reader.complain(str(error))


async def _run(runner: Runner, text: str, unless: Sequence[asyncio.Future[None]]) -> bool:
    cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def cancel() -> None:
        if not runner.interrupts.offer() and not cancelled.done():
            cancelled.set_exception(CommandError("cancelled"))
            cancelled.exception()  # seen, even if the command ended first

    with on_interrupt(cancel):
        return await first_of(runner.run_text(text), name="command", unless=[*unless, cancelled])


@contextmanager
def on_interrupt(action: Callable[[], None]) -> Iterator[None]:
    """SIGINT means this, for as long as the block runs; nothing after it."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, action)
    try:
        yield
    finally:
        # Between two commands nobody is there to be interrupted.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
