"""Commands of startup wait for an agent, and for no longer than their reader wants."""

from __future__ import annotations

import asyncio
import os
import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from nshell.shell import startup
from nshell.shell.errors import SessionLost
from nshell.shell.live import Ending
from nshell.shell.startup import Startup

if TYPE_CHECKING:
    from nshell.shell.live import Session


def session(agents: asyncio.Event, ending: Ending) -> Session:
    """One whose agents are there when this is set."""
    return cast(
        "Session", SimpleNamespace(monitor=SimpleNamespace(applied=agents.wait), ending=ending)
    )


async def test_without_commands_nobody_waits() -> None:
    told: list[str] = []
    await Startup().ready(session(asyncio.Event(), Ending()), tell=told.append)
    assert not told
    assert not Startup()


async def test_an_agent_that_is_there_is_not_waited_for() -> None:
    told: list[str] = []
    agents = asyncio.Event()
    agents.set()
    commands = Startup(["status", "set"])
    await commands.ready(session(agents, Ending()), tell=told.append)
    assert not told
    assert [commands.next(), commands.next()] == ["status", "set"]
    assert not commands


async def test_control_c_goes_on_without_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "_SILENT_SECONDS", 0.01)
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        os.kill(os.getpid(), signal.SIGINT)

    await Startup(["status"]).ready(session(asyncio.Event(), Ending()), tell=tell)
    assert told == ["the commands of startup wait for an agent; Ctrl-C: they do without"]


async def test_no_agent_at_all_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "_SILENT_SECONDS", 0.01)
    monkeypatch.setattr(startup, "_MOST_SECONDS", 0.01)
    told: list[str] = []
    await Startup(["status"]).ready(session(asyncio.Event(), Ending()), tell=told.append)
    assert len(told) == 1


async def test_the_end_of_the_session_ends_the_waiting() -> None:
    ending = Ending()
    ending.fail(SessionLost("the collector ended"))
    with pytest.raises(SessionLost):
        await Startup(["status"]).ready(session(asyncio.Event(), ending), tell=lambda _: None)
