"""Tasks, notices and the monitor: what goes on behind a prompt."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from nshell.proto import session_pb2 as pb
from nshell.shell.errors import SessionLost
from nshell.shell.notices import Event, Limiter, LossMeter, events
from nshell.shell.prompt.toolbar import toolbar
from nshell.tasks import Tasks, first_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.shell.conftest import Shell


def status(**agents: bool) -> pb.Status:
    made = pb.Status(generation=1)
    for node, connected in agents.items():
        made.agents.add(node=node, connected=connected, generation=1)
    return made


def texts(before: pb.Status, now: pb.Status) -> list[str]:
    return [event.text for event in events(before, now)]


def test_an_agent_that_goes_and_comes_back_is_told() -> None:
    assert texts(status(a=True, b=True), status(a=False, b=True)) == ["agent on a lost"]
    assert texts(status(a=False), status(a=True)) == ["agent on a is back"]
    assert texts(status(), status(a=True)) == []


def test_what_agents_say_is_escaped() -> None:
    now = status(a=False)
    now.agents[0].error = "\x1b[2J"
    assert texts(status(a=True), now) == ["agent on a lost: \\x1b[2J"]


def test_a_new_problem_or_error_of_an_agent_is_told_once() -> None:
    now = status(a=True)
    now.agents[0].problems.append("eth1: no room for a program")
    now.agents[0].error = "map is full"
    assert texts(status(a=True), now) == [
        "agent on a: map is full",
        "agent on a: eth1: no room for a program",
    ]
    assert texts(now, now) == []


def test_of_several_problems_at_once_none_takes_the_others_place() -> None:
    now, limiter = status(a=True), Limiter(lambda: 0.0)
    now.agents[0].problems.extend(["dns: no room", "rtt: not here"])
    now.notices.extend(["one thing", "another"])
    for event in events(status(a=True), now):
        limiter.offer(event)
    assert [event.text for event in limiter.due()] == [
        "agent on a: dns: no room; rtt: not here",
        "one thing; another",
    ]


def test_one_line_of_a_kind_in_five_seconds_and_the_latest_wins() -> None:
    now = 0.0
    limiter = Limiter(lambda: now)
    limiter.offer(Event("loss", "1"))
    assert [e.text for e in limiter.due()] == ["1"]
    limiter.offer(Event("loss", "2"))
    limiter.offer(Event("loss", "3"))
    limiter.offer(Event("agent", "gone"))
    assert [e.text for e in limiter.due()] == ["gone"]
    now = 5.0
    assert [e.text for e in limiter.due()] == ["3"]
    assert limiter.due() == []


def test_loss_is_summed_since_it_was_last_told() -> None:
    meter = LossMeter()
    assert meter.update(0) is None
    assert meter.update(5) == Event("loss", "lost 5 more, 5 in all: `losses` says where")
    meter.told()
    assert meter.update(5) is None
    meter.update(7)
    event = meter.update(1205)
    assert event is not None
    assert event.text == "lost 1,200 more, 1,205 in all: `losses` says where"


async def test_the_monitor_keeps_the_latest_status_and_tells_changes(shell: Shell) -> None:
    async with Tasks("test", on_error=lambda _: None) as tasks:
        tasks.start(shell.monitor.run(), name="monitor")
        assert (await shell.monitor.applied()).generation == 1
        shell.capture.agents = {"node-1": False}
        shell.capture.lost = 3
        while len(shell.seen.told) < 2:
            await asyncio.sleep(0.01)
    assert shell.seen.told == [
        "agent on node-1 lost",
        "lost 3 more, 3 in all: `losses` says where",
    ]


async def test_an_agent_that_cannot_apply_the_first_state_ends_the_wait(shell: Shell) -> None:
    shell.capture.deaf = {"node-1": "no memory for the map"}
    async with Tasks("test", on_error=lambda _: None) as tasks:
        tasks.start(shell.monitor.run(), name="monitor")
        with pytest.raises(SessionLost, match="agent on node-1: no memory for the map"):
            await shell.monitor.applied()


async def test_the_watch_is_opened_again_and_given_up_in_the_end(shell: Shell) -> None:
    ticks: Iterator[float] = iter(range(0, 1000, 6))
    shell.monitor._clock = lambda: next(ticks)
    await shell.server.stop(grace=None)
    with pytest.raises(SessionLost, match="does not answer"):
        await shell.monitor.run()


def test_the_toolbar_says_it_is_connecting_until_it_knows() -> None:
    assert "".join(text for _, text in toolbar(None, width=80)) == " connecting..."


def test_the_toolbar_shows_the_session_and_fits() -> None:
    now = status(a=True, b=False)
    now.flow_rows, now.flow_rate, now.lost = 412_000, 1234.0, 9
    now.rules.add(id=1, text="port 80")
    now.started_ns, now.now_ns = 0, 723_000_000_000
    parts = toolbar(now, width=200)
    text = "".join(part for _, part in parts)
    assert text == (
        " REC  412,000 rows 1.2k/s  0 packets 0/s  lost 9"
        "  1 filter applied 1/2  agents 1/2  00:12:03"
    )
    assert ("class:alarm", "lost 9") in parts
    narrow = "".join(part for _, part in toolbar(now, width=40))
    assert narrow == " REC  lost 9  1 filter applied 1/2"  # alarms go first
    now.features.extend(["dns", "tcp"])
    assert "".join(part for _, part in toolbar(now, width=200)) == f"{text}  dns tcp"


def test_the_hint_stands_above_the_toolbar() -> None:
    hint = "filter del ID... " * 3
    text = "".join(part for _, part in toolbar(None, width=20, hint=hint))
    assert text == f" {hint[:17]}…\n connecting..."


async def test_an_owner_ends_its_tasks_and_hears_of_their_errors() -> None:
    heard: list[str] = []
    ended = asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    async def fails() -> None:
        raise ValueError("broken")

    async with Tasks("test", on_error=lambda error: heard.append(str(error))) as tasks:
        task = tasks.start(forever(), name="forever")
        assert task.get_name() == "test: forever"
        tasks.start(fails(), name="fails")
        while not heard:
            await asyncio.sleep(0)
    assert ended.is_set()
    assert heard == ["broken"]


async def test_work_is_cancelled_when_something_else_fails_first() -> None:
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    cancelled = asyncio.Event()

    async def work() -> int:
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()
        return 1

    asyncio.get_running_loop().call_soon(stop.set_exception, ValueError("stop"))
    with pytest.raises(ValueError, match="stop"):
        await first_of(work(), name="work", unless=[stop])
    assert cancelled.is_set()


async def test_work_that_is_done_first_counts() -> None:
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> int:
        return 7

    assert await first_of(work(), name="work", unless=[stop]) == 7
