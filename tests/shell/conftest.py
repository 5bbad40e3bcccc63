"""A made-up session on a real socket, and a shell's core connected to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import grpc.aio
import pytest
import pytest_asyncio

from nshell.proto.session_pb2_grpc import add_SessionServicer_to_server
from nshell.shell.client import Client
from nshell.shell.commands import build_registry
from nshell.shell.context import Context, Settings
from nshell.shell.monitor import Monitor
from nshell.shell.runner import Runner
from tests.shell.fake_session import Capture, FakeSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from nshell.shell.takeover import Takeover


@dataclass(slots=True)
class Recorded:
    """An Output that remembers."""

    out: str = ""
    told: list[str] = field(default_factory=list)

    async def data(self, text: str) -> None:
        self.out += text

    def narrate(self, text: str) -> None:
        self.told.append(text)

    async def take_over(self, live: Takeover) -> None:
        await live.follow(self)


@dataclass(frozen=True, slots=True)
class Shell:
    """Everything behind a front end."""

    service: FakeSession
    server: grpc.aio.Server
    client: Client
    monitor: Monitor
    context: Context
    runner: Runner
    seen: Recorded

    @property
    def capture(self) -> Capture:
        return self.service.capture

    async def run(self, text: str) -> str:
        """Run this and return what it printed as data since the last time."""
        self.seen.out = ""
        self.seen.told.clear()
        await self.runner.run_text(text)
        return self.seen.out


async def _shell(*, interactive: bool) -> AsyncIterator[Shell]:
    # A short name: the path of a unix socket has little room.
    with TemporaryDirectory(prefix="ns-test-") as directory:
        address = f"unix:{Path(directory) / 's'}"
        service, server = FakeSession(), grpc.aio.server()
        add_SessionServicer_to_server(service, server)
        server.add_insecure_port(address)
        await server.start()
        client = Client()
        await client.connect(address)
        seen = Recorded()
        monitor = Monitor(client, notify=seen.narrate)
        context = Context(
            client=client,
            monitor=monitor,
            registry=build_registry(),
            interactive=interactive,
            settings=Settings(),
            narrate=seen.narrate,
            history=lambda: ["status", "filter port 80"],
        )
        yield Shell(service, server, client, monitor, context, Runner(context, seen), seen)
        await client.close()
        await server.stop(grace=None)
        service.close()


@pytest_asyncio.fixture
async def shell() -> AsyncIterator[Shell]:
    """As a script has it."""
    async for made in _shell(interactive=False):
        yield made


@pytest_asyncio.fixture
async def prompt_shell() -> AsyncIterator[Shell]:
    """As somebody at a prompt has it."""
    async for made in _shell(interactive=True):
        yield made


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Where session directories go; a short name, for the path of a socket has little room."""
    with TemporaryDirectory(prefix="ns-run-") as directory:
        yield Path(directory)
