"""A session that outlives its shell's connection: told of, waited for, given up, left."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import grpc.aio
import pytest
import pytest_asyncio

from nshell.proto.session_pb2_grpc import add_SessionServicer_to_server
from nshell.shell.client import Client
from nshell.shell.commands import build_registry
from nshell.shell.context import Context
from nshell.shell.errors import CommandError, SessionLost, Unconnected
from nshell.shell.monitor import Monitor
from nshell.tasks import Tasks
from tests.shell.fake_session import FakeSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nshell.shell.live import Host

RETURN_BY = "netobserv attach capture"


class Elsewhere:
    """As much of a host as a broken connection asks."""

    return_by = RETURN_BY
    why_ended = ""
    lost = False

    def trouble(self) -> str:
        return "no answer from the API server"

    async def ended(self) -> str:
        return self.why_ended

    def lose(self) -> None:
        self.lost = True


class Far:
    """A collector that can go away and come back."""

    def __init__(self, directory: Path) -> None:
        self.address = f"unix:{directory / 's'}"
        self.host = Elsewhere()
        self.told: list[str] = []
        self.now = 0.0
        self.client = Client(patient=True)
        self.monitor = Monitor(
            self.client,
            notify=self.told.append,
            clock=lambda: self.now,
            host=cast("Host", self.host),
        )
        self._server: grpc.aio.Server | None = None
        self._service: FakeSession | None = None

    async def come(self) -> None:
        self._service, self._server = FakeSession(), grpc.aio.server()
        add_SessionServicer_to_server(self._service, self._server)
        self._server.add_insecure_port(self.address)
        await self._server.start()

    async def go(self) -> None:
        if self._server is not None and self._service is not None:
            await self._server.stop(grace=None)
            self._service.close()
            self._server = self._service = None


@pytest_asyncio.fixture
async def far() -> AsyncIterator[Far]:
    with TemporaryDirectory(prefix="ns-test-") as directory:
        made = Far(Path(directory))
        await made.come()
        await made.client.connect(made.address)
        yield made
        await made.client.close()
        await made.go()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_broken_connection_is_told_once_and_waited_for(far: Far) -> None:
    async with Tasks("test", on_error=lambda _: None) as tasks:
        tasks.start(far.monitor.run(), name="monitor")
        await until(lambda: far.monitor.status is not None)
        await far.go()
        with pytest.raises(Unconnected, match="the collector does not answer"):
            await far.client.describe()
        await asyncio.sleep(0.5)
        assert far.told == []  # it may be back at once
        far.now = 2.0
        await until(lambda: bool(far.told))
        far.now = 5.0
        await asyncio.sleep(0.5)
        assert far.told == [
            "no connection to the collector, trying again: no answer from the API server"
        ]
        await far.come()
        await until(lambda: far.told[-1] == "connected to the collector again")
        await far.client.describe()


async def test_what_stays_away_is_given_up_with_the_way_back(far: Far) -> None:
    running = asyncio.get_running_loop().create_future()
    async with Tasks("test", on_error=running.set_exception) as tasks:
        tasks.start(far.monitor.run(), name="monitor")
        await until(lambda: far.monitor.status is not None)
        await far.go()
        far.now = 3600.0
        with pytest.raises(SessionLost, match=f"given up after 3600 s; .*{RETURN_BY} leads back"):
            await running
    assert far.host.lost


async def test_a_session_that_was_removed_is_not_waited_for(far: Far) -> None:
    running = asyncio.get_running_loop().create_future()
    async with Tasks("test", on_error=running.set_exception) as tasks:
        tasks.start(far.monitor.run(), name="monitor")
        await until(lambda: far.monitor.status is not None)
        await far.go()
        far.host.why_ended = "session capture has ended"
        far.now = 4.0
        with pytest.raises(SessionLost, match="session capture has ended"):
            await running


def context(far: Far, told: list[str], *, host: Any) -> Context:
    return Context(
        client=far.client, monitor=far.monitor, registry=build_registry(), interactive=False,
        narrate=told.append, host=host,
    )  # fmt: skip


async def test_a_session_is_left_with_the_way_back(far: Far) -> None:
    told: list[str] = []
    call = build_registry().parse("detach")
    await call.command.function(context(far, told, host=far.host))
    assert far.client.detached is not None
    assert len(told) == 1
    assert told[0].startswith("the session goes on, until ")
    assert told[0].endswith(f" at the latest: {RETURN_BY} comes back to it")


async def test_a_session_on_this_host_cannot_be_left(far: Far) -> None:
    call = build_registry().parse("detach")
    with pytest.raises(CommandError, match="a session on this host ends with its shell"):
        await call.command.function(context(far, [], host=None))
    assert far.client.detached is None
