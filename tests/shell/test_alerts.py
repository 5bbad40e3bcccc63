"""Alerts, and watches where nothing can be drawn, over a real connection."""

from __future__ import annotations

import asyncio
import itertools
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from nshell.shell.errors import Failure
from nshell.shell.output.cells import Cells
from nshell.shell.prompt.look import look
from nshell.shell.runner import Runner
from nshell.shell.watch.alerts import MOST_ALERTS, Alert, Seen, is_nothing, newest_first
from nshell.shell.watch.asking import MOST_ROWS, Ran, ask, unless
from nshell.shell.watch.live import Watch
from nshell.shell.watch.telling import (
    FIRING_SECONDS,
    MOST_LINES,
    SHOWN_ROWS,
    Chorus,
    Firing,
)
from nshell.shell.watch.words import Watching
from nshell.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from nshell.shell.values import Row
    from tests.shell.conftest import Shell

SOON = 40.0


def ran(rows: Sequence[Row], *, more: bool = False, columns: Sequence[str] = ("a", "b")) -> Ran:
    return Ran(tuple(columns), list(rows), more=more, elapsed_ms=1.0, began=0.0, ended=0.0, at=0.0)


# What is new


def test_a_row_is_new_once() -> None:
    seen = Seen()
    assert seen.new_of([(1, "x"), (2, "y")]) == [(1, "x"), (2, "y")]
    assert seen.new_of([(2, "y"), (3, "z"), (1, "x")]) == [(3, "z")]
    assert seen.new_of([(2, "z")]) == [(2, "z")]


def test_rows_that_python_hashes_alike_are_told_apart() -> None:
    seen = Seen()
    assert seen.new_of([(-1, "x"), (-2, "x")]) == [(-1, "x"), (-2, "x")]
    assert seen.new_of([(-2, "x"), (-1, "x"), (-1, None)]) == [(-1, None)]


def test_once_there_is_nothing_the_same_row_is_news_again() -> None:
    seen = Seen()
    seen.new_of([(1,)])
    assert seen.new_of([(0,)]) == []
    assert seen.new_of([(1,)]) == [(1,)]
    assert seen.new_of([]) == []
    assert seen.new_of([(1,)]) == [(1,)]


def test_rows_not_met_for_longest_are_forgotten_first() -> None:
    seen = Seen(most=3)
    seen.new_of([(1,), (2,), (3,)])
    seen.new_of([(1,), (4,)])
    assert seen.new_of([(1,), (3,), (4,)]) == []
    assert seen.new_of([(2,)]) == [(2,)]


@pytest.mark.parametrize(
    ("rows", "nothing"),
    [
        ([], True),
        ([(0,)], True),
        ([(None, 0, "", 0.0, b"")], True),
        ([(0,), (0,)], False),
        ([("0",)], False),
        ([(None, 1)], False),
    ],
)
def test_one_row_that_says_no_is_nothing(rows: list[Row], nothing: bool) -> None:
    assert is_nothing(rows) is nothing


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM packet_drop",
        "select SrcAddr, DstAddr FROM packet_drop WHERE Loss -- now",
        "SELECT (SELECT max(a) FROM t ORDER BY 1) FROM flow f WHERE a IN (SELECT b, c FROM t)",
    ],
)
def test_a_plain_walk_through_a_table_begins_with_the_newest_rows(statement: str) -> None:
    assert newest_first(statement) == f"{statement}\nORDER BY rowid DESC"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1", "SELECT a FROM t ORDER BY a", "SELECT DISTINCT a FROM t", "SELECT a FROM t, u",
        "SELECT a FROM t GROUP BY a", "SELECT a FROM t LIMIT 5", "SELECT a FROM t JOIN u",
        "SELECT a FROM t UNION SELECT a FROM u", "WITH x AS (SELECT 1) SELECT * FROM x",
        "EXPLAIN SELECT a FROM t", "SELECT 'a FROM t",
    ],
)  # fmt: skip
def test_any_other_statement_is_left_alone(statement: str) -> None:
    assert newest_first(statement) == statement


# How it is told


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def alert(clock: Clock, statement: str = "SELECT a, b\nFROM t", query: str = "") -> Alert:
    return Alert(1, statement, 2.0, query or statement, firing=Firing(clock))


def told(made: Alert) -> list[str]:
    lines = made.lines(Cells(human=True))
    assert all(re.match(r"\d\d:\d\d:\d\d alert 1: ", line) for line in lines)
    return [line.split(": ", 1)[1] for line in lines]


def test_a_few_rows_are_told_and_the_rest_counted() -> None:
    made = alert(Clock())
    made.take(ran([(n, "x") for n in range(1, 124)]))
    lines = told(made)
    assert lines == ["a 121  b x", "a 122  b x", "a 123  b x",
                     "and 120 more rows: SELECT a, b FROM t"]  # fmt: skip
    assert len(lines) == SHOWN_ROWS + 1
    assert made.told == 123


def test_an_alert_does_not_speak_again_at_once_but_loses_nothing() -> None:
    clock = Clock()
    made = alert(clock)
    made.take(ran([(1, "x")]))
    assert told(made) == ["a 1  b x"]
    made.take(ran([(2, "x")]))
    assert told(made) == []
    clock.now += FIRING_SECONDS - 0.1
    made.take(ran([(3, "x")]))
    assert told(made) == []
    clock.now += 0.1
    made.take(ran([(3, "x")]))
    assert told(made) == ["a 2  b x", "a 3  b x"]


def test_rows_that_come_newest_first_are_told_in_their_order() -> None:
    made = alert(Clock(), query="SELECT a, b FROM t ORDER BY rowid DESC")
    made.take(ran([(3, "x"), (2, "x"), (1, "x")]))
    assert told(made) == ["a 1  b x", "a 2  b x", "a 3  b x"]


def test_where_not_all_new_rows_could_be_fetched_it_is_said() -> None:
    made = alert(Clock())
    made.take(ran([(n, "x") for n in range(MOST_ROWS)], more=True))
    assert told(made)[-1].startswith("and at least 997 more rows: ")


def test_null_is_left_out_and_a_long_row_is_cut() -> None:
    made = alert(Clock())
    made.take(ran([(None, "x" * 500)]))
    (line,) = told(made)
    assert line.startswith("b xxx")
    assert len(line) <= 200


def test_a_condition_is_told_as_one() -> None:
    made = alert(Clock(), "SELECT count(*) > 5 FROM flow")
    made.take(ran([(1,)], columns=("count(*) > 5",)))
    assert told(made) == ["holds: SELECT count(*) > 5 FROM flow"]


# How much all of them tell


def admitted(chorus: Chorus, *numbers: int, lines: int = 4) -> list[int]:
    """Those that may tell so many lines of 100 rows."""
    return [n for n in numbers if chorus.admit(n, ["..."] * lines, rows=100)]


def test_many_alerts_at_a_time_tell_so_many_lines_and_the_rest_is_counted() -> None:
    clock = Clock()
    chorus = Chorus(clock)
    assert len(admitted(chorus, *range(1, MOST_ALERTS + 1))) == MOST_LINES // 4
    assert chorus.seconds_left == FIRING_SECONDS
    assert chorus.sum_up() == (
        "alerts 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16: 1,300 more rows, held back:"
        " too many lines at a time"
    )
    assert not chorus.holds


def test_lines_of_a_few_alerts_are_all_told() -> None:
    clock = Clock()
    chorus = Chorus(clock)
    for _ in range(5):
        assert admitted(chorus, 1, 2) == [1, 2]
        assert not chorus.holds
        clock.now += FIRING_SECONDS


def test_an_alert_that_seldom_speaks_has_room_beside_those_that_always_do() -> None:
    clock = Clock()
    chorus = Chorus(clock)
    assert admitted(chorus, 1, 2, 3, 4) == [1, 2, 3]
    clock.now += FIRING_SECONDS
    assert chorus.sum_up().startswith("alert 4: 100 more rows")
    assert admitted(chorus, 1, 2, 3) == [1, 2]
    assert admitted(chorus, 9) == [9]


def test_what_is_held_back_is_told_before_there_is_room_again() -> None:
    clock = Clock()
    chorus = Chorus(clock)
    admitted(chorus, 1, 2, 3, 4)
    clock.now += 10 * FIRING_SECONDS
    assert admitted(chorus, 5) == []
    assert chorus.sum_up().startswith("alerts 4, 5: 200 more rows")
    assert admitted(chorus, 5) == [5]


def test_an_alert_that_has_ended_is_not_told_of_any_more() -> None:
    chorus = Chorus(Clock())
    admitted(chorus, 1, 2, 3, 4)
    chorus.forget(4)
    chorus.forget(5)
    assert not chorus.holds


# The commands


@dataclass
class Alerting:
    """A shell that has a background."""

    shell: Shell
    runner: Runner
    news: list[str]
    failed: list[BaseException]

    async def run(self, line: str) -> list[str]:
        """What was told by the command."""
        self.shell.seen.told.clear()
        self.shell.seen.out = ""
        await self.runner.run_text(line)
        return self.shell.seen.told

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON):
            while not holds():
                await asyncio.sleep(0.01)

    def asked(self, statement: str = "") -> int:
        return sum(call.startswith(f"Query {statement}") for call in self.shell.capture.calls)


@pytest_asyncio.fixture
async def alerting(shell: Shell) -> AsyncIterator[Alerting]:
    news: list[str] = []
    failed: list[BaseException] = []
    async with Tasks("test", on_error=failed.append) as tasks:
        context = replace(shell.context, tasks=tasks, notify=news.append)
        yield Alerting(shell, Runner(context, shell.seen), news, failed)
    assert failed == []


PORTS = "SELECT SrcAddr, DstPort FROM flow"


async def test_rows_that_are_there_are_counted_and_new_ones_told(alerting: Alerting) -> None:
    assert await alerting.run(f"alert every 250ms when {PORTS}") == [
        "alert 1 added: every 250ms; 2 rows there already"
    ]
    asked = alerting.asked()
    await alerting.until(lambda: alerting.asked() > asked + 1)
    assert alerting.news == []
    alerting.shell.service.insert("INSERT INTO flow VALUES ('\x1b[2J', 'x', 1, 22, 0)")
    await alerting.until(lambda: bool(alerting.news))
    (line,) = alerting.news
    assert line.endswith("alert 1: SrcAddr \\x1b[2J  DstPort 22")


async def test_more_rows_than_are_fetched_do_not_hide_new_ones(alerting: Alerting) -> None:
    alerting.shell.service.insert(
        "INSERT INTO packet WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        f" WHERE i < {MOST_ROWS * 2}) SELECT i, 'x', i FROM n"
    )
    (line,) = await alerting.run("alert every 250ms when SELECT DstPort FROM packet")
    assert line.endswith("at least 1,000 rows there already")
    alerting.shell.service.insert("INSERT INTO packet VALUES (0, 'x', 77777)")
    await alerting.until(lambda: bool(alerting.news))
    assert [line.split(": ", 1)[1] for line in alerting.news] == ["DstPort 77777"]


async def test_a_condition_is_told_when_it_begins_to_hold(alerting: Alerting) -> None:
    condition = "SELECT count(*) > 2 FROM flow"
    assert await alerting.run(f"alert every 250ms when {condition}") == [
        "alert 1 added: every 250ms"
    ]
    alerting.shell.service.insert("INSERT INTO flow VALUES ('x', 'y', 1, 2, 3)")
    await alerting.until(lambda: bool(alerting.news))
    assert alerting.news[0].endswith(f"alert 1: holds: {condition}")
    (line,) = await alerting.run(f"alert when {condition}")
    assert line == "alert 2 added: every 2s; it holds already"


async def test_alerts_are_listed_and_deleted_and_never_asked_again(alerting: Alerting) -> None:
    await alerting.run(f"alert every 250ms when {PORTS}")
    await alerting.run("alert every 1h when SELECT 7 AS n")
    await alerting.run("alerts")
    assert [line.split() for line in alerting.shell.seen.out.splitlines()[2:]] == [
        ["1", "250ms", "0", "NULL", "NULL", *PORTS.split()],
        ["2", "1h", "0", "NULL", "NULL", "SELECT", "7", "AS", "n"],
    ]
    assert await alerting.run("alert del 1") == ["alert 1 deleted"]
    await alerting.run("alert every 250ms when SELECT 8 AS n")
    alerting.shell.service.insert("INSERT INTO flow VALUES ('x', 'y', 1, 2, 3)")
    asked = alerting.asked(PORTS)
    await alerting.until(lambda: alerting.asked("SELECT 8") > 3)
    assert alerting.asked(PORTS) <= asked + 1, "one may have been on its way"
    assert alerting.news == []
    assert await alerting.run("alert clear") == ["2 alerts deleted"]
    assert await alerting.run("alert") == ["no alerts: `alert when SELECT ...` makes one"]
    assert await alerting.run("alert when SELECT 1") == [
        "alert 4 added: every 2s; it holds already"
    ]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("alert when SELECT nope FROM flow", "alert when: no such column: nope"),
        ("alert del 4", "alert del: no alert 4: there is none"),
        ("alert when run nope", "alert when: no query named 'nope'"),
        ("watch SELECT nope", "watch: no such column: nope"),
        ("watch", "watch: a query must follow: none has been asked yet"),
    ],
)
async def test_what_cannot_be_asked_is_refused_and_nothing_begins(
    alerting: Alerting, line: str, error: str
) -> None:
    with pytest.raises(Failure) as failure:
        await alerting.run(line)
    assert str(failure.value).startswith(error)
    assert await alerting.run("alert") == ["no alerts: `alert when SELECT ...` makes one"]


async def test_there_can_be_so_many_and_no_more(alerting: Alerting) -> None:
    for _ in range(MOST_ALERTS):
        await alerting.run("alert every 1h when SELECT 1")
    with pytest.raises(Failure) as failure:
        await alerting.run("alert every 1h when SELECT 1")
    assert str(failure.value).endswith("16 alerts are the most there can be: `alert del ID`")


async def test_sixteen_alerts_that_all_fire_leave_the_prompt_readable(
    alerting: Alerting,
) -> None:
    for _ in range(MOST_ALERTS):
        await alerting.run("alert every 250ms when SELECT SrcAddr FROM flow")
    numbers = itertools.count()

    def held_back() -> bool:
        new = f"INSERT INTO flow VALUES ('new-{next(numbers)}', 'y', 1, 2, 3)"
        alerting.shell.service.insert(new)
        return any("held back" in line for line in alerting.news)

    await alerting.until(held_back)
    await alerting.until(lambda: all(each.told for each in alerting.runner._ctx.alerts))


async def test_an_alert_that_fails_later_says_so_once_and_goes_on(alerting: Alerting) -> None:
    await alerting.run("alert every 250ms when SELECT SrcAddr FROM flow")
    alerting.shell.service.insert("ALTER TABLE flow RENAME TO away")
    await alerting.until(lambda: bool(alerting.news))
    asked = alerting.asked()
    await alerting.until(lambda: alerting.asked() > asked + 1)
    (line,) = alerting.news
    assert line == "alert 1 cannot be asked, trying again: no such table: flow"
    alerting.shell.service.insert("ALTER TABLE away RENAME TO flow")
    alerting.shell.service.insert("INSERT INTO flow VALUES ('new', 'y', 1, 2, 3)")
    await alerting.until(lambda: len(alerting.news) > 1)
    assert alerting.news[1].endswith("alert 1: SrcAddr new")


async def test_a_lost_session_is_not_an_alerts_news(alerting: Alerting) -> None:
    await alerting.run("alert every 250ms when SELECT SrcAddr FROM flow")
    await alerting.shell.server.stop(grace=None)
    (listed,) = alerting.runner._ctx.alerts
    await alerting.until(lambda: "the collector does not answer" in listed.error)
    assert alerting.news == []


async def test_without_a_background_there_is_no_alert(shell: Shell) -> None:
    with pytest.raises(Failure, match="nothing can go on behind this shell"):
        await shell.run("alert when SELECT 1")


# Watches without a screen


async def test_each_result_is_appended_with_its_time_told(alerting: Alerting) -> None:
    told_lines = await alerting.run("watch 250ms count 3 SELECT count(*) AS n FROM flow")
    assert alerting.shell.seen.out == "  n\n---\n  2\n" * 3
    assert [re.sub(r"\d\d:\d\d:\d\d", "T", line) for line in told_lines] == [
        "T  1 row in 3.0 ms"
    ] * 3


async def test_the_settings_format_is_used_and_the_last_query_asked_again(
    alerting: Alerting,
) -> None:
    await alerting.run("set format csv")
    await alerting.run("SELECT count(*) AS n FROM flow")
    await alerting.run("watch 250ms count 2")
    assert alerting.shell.seen.out == "n\n2\nn\n2\n"
    assert alerting.asked() == 3


async def test_an_error_later_is_told_and_it_is_asked_again(alerting: Alerting) -> None:
    work = asyncio.gather(alerting.run("watch 250ms count 4 SELECT SrcAddr FROM flow LIMIT 1"))
    await alerting.until(lambda: alerting.asked() == 1)
    alerting.shell.service.insert("ALTER TABLE flow RENAME TO away")
    await alerting.until(lambda: alerting.asked() == 2)
    alerting.shell.service.insert("ALTER TABLE away RENAME TO flow")
    await work
    assert sum("no such table: flow; trying again" in t for t in alerting.shell.seen.told) == 1
    assert alerting.shell.seen.out.count("10.0.0.1") == 3


async def test_a_watch_says_that_the_collector_does_not_answer_and_goes_on(
    alerting: Alerting,
) -> None:
    context = alerting.runner._ctx
    first = await ask(context.client, "SELECT 7 AS n")
    watch = Watch(context, Watching("SELECT 7 AS n", every=0.25), first)
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        drawing = asyncio.gather(watch.draw(look()))
        await alerting.until(lambda: watch._screen is not None)
        screen = watch._screen
        assert screen is not None
        await alerting.shell.server.stop(grace=None)
        await alerting.until(lambda: "the collector does not answer" in screen.error)
        asked = screen.runs
        await alerting.until(lambda: screen.runs > asked)
        assert "7" in "".join(text for line in screen.lines(80, 10, now=0.0) for _, text in line)
        keys.send_text("q")
        await drawing


async def test_work_is_cancelled_when_it_is_no_longer_wanted() -> None:
    stopped, ended = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return 1

    asyncio.get_running_loop().call_later(0.01, stopped.set)
    assert await unless(stopped, work()) is None
    assert ended.is_set()
    assert await unless(asyncio.Event(), asyncio.sleep(0, 7)) == 7
