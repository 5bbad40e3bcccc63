"""Queries that are asked behind the prompt, and told of when they return something new.

A row is new when it has not been seen since the query last returned nothing.
One row of nothing but 0, NULL and empty text is nothing, so that a condition
is a query too.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nshell.shell import sqltext
from nshell.shell.errors import CommandError, SessionLost, Unconnected
from nshell.shell.escape import escape
from nshell.shell.output.cells import Cells
from nshell.shell.units import brief, clock, plural
from nshell.shell.watch.asking import ask
from nshell.shell.watch.telling import Chorus, Firing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nshell.shell.context import Context
    from nshell.shell.values import Row
    from nshell.shell.watch.asking import Asks, Ran
    from nshell.tasks import Tasks

MOST_ALERTS = 16
MOST_SEEN = 10_000
"""Rows remembered of an alert; the ones not met for longest are forgotten first."""
_BUSY_PART = 5
"""An alert may keep the collector busy one part in so many of the time."""
_MOST_TEXT = 200
_MOST_STATEMENT = 100
_ENDS_PLAIN = frozenset(
    ("DISTINCT", "GROUP", "ORDER", "LIMIT", "HAVING", "UNION", "EXCEPT", "INTERSECT", "WINDOW",
     "JOIN", "WITH", "VALUES", "EXPLAIN")
)  # fmt: skip


class Seen:
    """Which rows have been met, as hashes; no more than so many."""

    def __init__(self, most: int = MOST_SEEN) -> None:
        self._most = most
        self._known: OrderedDict[int, None] = OrderedDict()

    def new_of(self, rows: Sequence[Row]) -> list[Row]:
        """Those not met before, in their order; all have been met from now on."""
        if is_nothing(rows):
            self._known.clear()
            return []
        found = []
        for row in rows:
            # hash(-1) is hash(-2): where it stands tells them apart.
            key = hash((*row, *(at for at, cell in enumerate(row) if cell == -1)))
            if key not in self._known:
                found.append(row)
            self._known[key] = None
            self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return found


def is_nothing(rows: Sequence[Row]) -> bool:
    """No row, or one that says no."""
    return not rows or (len(rows) == 1 and not any(rows[0]))


def holds(rows: Sequence[Row]) -> bool:
    """Whether it is the answer of a condition: yes."""
    return len(rows) == 1 and list(rows[0]) == [1]


@dataclass(slots=True)
class Alert:
    """One of them."""

    number: int
    statement: str
    """As it was typed."""
    every: float
    query: str
    """As it is asked: the newest rows first, where that can be."""
    seen: Seen = field(default_factory=Seen)
    firing: Firing = field(default_factory=Firing)
    told: int = 0
    """Rows so far."""
    told_at: float | None = None
    error: str = ""
    """Why it could not be asked the last time."""
    columns: tuple[str, ...] = ()
    task: asyncio.Task[None] | None = None

    @property
    def newest_first(self) -> bool:
        return self.query != self.statement

    def take(self, ran: Ran) -> None:
        """A result: what is new in it is to be told."""
        self.columns, self.error = ran.columns, ""
        rows = list(reversed(ran.rows)) if self.newest_first else ran.rows
        self.firing.add(self.seen.new_of(rows), capped=ran.more)

    def lines(self, cells: Cells, *, last: bool = False) -> list[str]:
        """What is to be told now."""
        due = self.firing.due(last=last)
        if due is None:
            return []
        rows, count, capped = due
        self.told += count
        self.told_at = time.time()
        head = f"{clock(self.told_at)} alert {self.number}: "
        lines = [head + self._shown(row, cells) for row in rows]
        if count > len(rows):
            more = plural(count - len(rows), "more row")
            least = "at least " if capped else ""
            lines.append(f"{head}and {least}{more}: {escape(short(self.statement))}")
        return lines

    def _shown(self, row: Row, cells: Cells) -> str:
        if holds([row]):
            return f"holds: {escape(short(self.statement))}"
        writers = cells.writers(self.columns)
        named = zip(self.columns, writers, row, strict=True)
        parts = [f"{escape(name)} {write(cell)}" for name, write, cell in named if cell is not None]
        return brief("  ".join(parts), most=_MOST_TEXT)


class Alerts:
    """Those of one shell; they end with it."""

    def __init__(self) -> None:
        self._alerts: dict[int, Alert] = {}
        self._next = 1
        self._chorus = Chorus()
        self._summary: asyncio.Task[None] | None = None

    def __iter__(self) -> Iterator[Alert]:
        return iter(self._alerts.values())

    def __len__(self) -> int:
        return len(self._alerts)

    async def add(self, ctx: Context, statement: str, every: float) -> tuple[Alert, Ran]:
        """Begin one; also what its query returns now, which is not news.

        CommandError where it cannot be asked: nothing has begun then.
        """
        tasks = ctx.tasks
        if tasks is None:
            raise CommandError("nothing can go on behind this shell")
        self._room()
        query, ran = await first_run(ctx.client, statement)
        self._room()
        alert = Alert(self._next, statement, every, query)
        self._next += 1
        alert.seen.new_of(ran.rows)
        self._alerts[alert.number] = alert
        self._start(ctx, alert, tasks, after=ran)
        return alert, ran

    def _room(self) -> None:
        if len(self._alerts) >= MOST_ALERTS:
            raise CommandError(f"{MOST_ALERTS} alerts are the most there can be: `alert del ID`")

    def _start(self, ctx: Context, alert: Alert, tasks: Tasks, *, after: Ran) -> None:
        work = _keep_asking(ctx, alert, after)
        alert.task = tasks.start(work, name=f"alert {alert.number}")

    def tell(self, ctx: Context, alert: Alert, *, last: bool = False) -> None:
        """What there is to tell of one, as far as there is room beside the others.

        `last`: there will be no other time.
        """
        before = alert.told
        lines: Sequence[str] = alert.lines(Cells(human=ctx.settings.human), last=last)
        if not last:
            lines = self._chorus.admit(alert.number, lines, rows=alert.told - before)
        for line in lines:
            ctx.notify(line)
        if last:
            self._sum_up(ctx)
        elif self._chorus.holds and ctx.tasks and _is_over(self._summary):
            self._summary = ctx.tasks.start(self._sum_up_later(ctx), name="alerts held back")

    async def _sum_up_later(self, ctx: Context) -> None:
        await asyncio.sleep(self._chorus.seconds_left)
        self._sum_up(ctx)

    def _sum_up(self, ctx: Context) -> None:
        if self._chorus.holds:
            ctx.notify(f"{clock(time.time())} {self._chorus.sum_up()}")

    def remove(self, numbers: Sequence[int]) -> list[int]:
        """End these; CommandError, and none is ended, where there is no such one."""
        for number in numbers:
            if number not in self._alerts:
                known = ", ".join(map(str, self._alerts)) or "there is none"
                raise CommandError(f"no alert {number}: {known}")
        removed = list(dict.fromkeys(numbers))
        for number in removed:
            self._chorus.forget(number)
            task = self._alerts.pop(number).task
            if task is not None:
                task.cancel()
        return removed


def _is_over(task: asyncio.Task[None] | None) -> bool:
    return task is None or task.done()


async def first_run(client: Asks, statement: str) -> tuple[str, Ran]:
    """The query that gives the newest rows first where there can be one, and its result."""
    newest = newest_first(statement)
    if newest != statement:
        try:
            return newest, await ask(client, newest)
        except Unconnected:
            raise
        except CommandError:
            pass  # a view has no rowid: the statement itself says what is wrong, if anything is
    return statement, await ask(client, statement)


def newest_first(statement: str) -> str:
    """The same rows from the other end, for a statement that simply goes through a table.

    Else one that matches more rows than are fetched would never give a new one.
    """
    depth, words = 0, []
    for token in sqltext.tokens(statement):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and (token.word or token.text in (",", ";")):
            words.append(token.word or token.text)
        if token.open:
            return statement
    if words[:1] != ["SELECT"] or words.count("FROM") != 1 or _ENDS_PLAIN.intersection(words):
        return statement
    if "," in words[words.index("FROM") :] or ";" in words:
        return statement
    return f"{statement}\nORDER BY rowid DESC"


def short(statement: str, *, most: int = _MOST_STATEMENT) -> str:
    """A statement on one line, cut where it is long."""
    return brief(" ".join(statement.split()), most=most)


async def _keep_asking(ctx: Context, alert: Alert, ran: Ran) -> None:
    try:
        await _ask_for_ever(ctx, alert, ran)
    finally:
        if not ctx.interactive:  # a script's reader has no next time
            ctx.alerts.tell(ctx, alert, last=True)


async def _ask_for_ever(ctx: Context, alert: Alert, ran: Ran) -> None:
    began, ended = ran.began, ran.ended
    while True:
        pause = max(began + alert.every, ended + (_BUSY_PART - 1) * (ended - began))
        await asyncio.sleep(pause - time.monotonic())
        began = time.monotonic()
        error = ""
        try:
            alert.take(await ask(ctx.client, alert.query))
        except (SessionLost, Unconnected) as gone:
            alert.error = str(gone)  # others tell of that
        except CommandError as failed:
            error = str(failed)
        if error and error != alert.error:
            alert.error = error
            ctx.notify(f"alert {alert.number} cannot be asked, trying again: {escape(error)}")
        ctx.alerts.tell(ctx, alert)
        ended = time.monotonic()
