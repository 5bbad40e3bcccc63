"""A collector of its own for every test, on a unix socket."""

from __future__ import annotations

import tempfile
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nshell.collector.options import DEFAULT_LIMIT_BYTES, Options
from nshell.collector.serving import opened, prepare_directory, served
from nshell.collector.session import Session, Settings
from nshell.collector.storage.store import DEFAULT_QUEUE_BYTES
from nshell.filters import parse_rule, split_words
from tests.collector.probe import Agent, Shell, connected_agent, connected_shell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from nshell.collector.capture import Capture


@dataclass(slots=True)
class Collector:
    """A server in this process, and peers for it."""

    capture: Capture
    target: str
    directory: Path
    shell: Shell
    _stack: AsyncExitStack

    async def agent(self, **how: object) -> Agent:
        """One that stays until the end of the test."""
        return await self._stack.enter_async_context(self.passing_agent(**how))

    def passing_agent(self, **how: object) -> AbstractAsyncContextManager[Agent]:
        """One that goes when its block ends."""
        return connected_agent(self.target, **how)  # type: ignore[arg-type]

    async def other_shell(self) -> Shell:
        """One more, on a connection of its own."""
        return await self._stack.enter_async_context(connected_shell(self.target))


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for the name of a socket."""
    with tempfile.TemporaryDirectory(prefix="c-") as directory:
        yield Path(directory)


@asynccontextmanager
async def running(
    directory: Path,
    *,
    filters: Sequence[str] = (),
    settings: Settings | None = None,
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
    queue_bytes: int = DEFAULT_QUEUE_BYTES,
    kubernetes: bool = False,
) -> AsyncIterator[Collector]:
    """A collector in this process, without a lease."""
    options = Options(
        listen=f"unix:{directory / 's'}",
        directory=directory / "data",
        name="test",
        lease_seconds=0,
        store_limit_bytes=limit_bytes,
        kubernetes=kubernetes,
    )
    rules = [parse_rule(split_words(text)) for text in filters]
    session = Session(settings or Settings(packets=True), rules)
    prepare_directory(options.directory)
    async with (
        opened(options, session, queue_bytes=queue_bytes) as capture,
        served(capture, options.listen),
        connected_shell(options.listen) as shell,
        AsyncExitStack() as stack,
    ):
        yield Collector(capture, options.listen, options.directory, shell, stack)


@pytest.fixture
async def collector(short_path: Path) -> AsyncIterator[Collector]:
    """A collector that captures flows and packets, without filters."""
    async with running(short_path) as made:
        yield made
