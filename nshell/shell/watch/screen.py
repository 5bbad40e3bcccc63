"""What a watch shows: the state of it, and the lines that this makes.

Pure: results, keys and clocks in, styled text out; it draws nothing.
"""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nshell.shell.escape import escape
from nshell.shell.units import clock, human_ms, plural
from nshell.shell.watch.grid import Grid, Line, cut
from nshell.shell.watch.words import next_interval, show_interval

if TYPE_CHECKING:
    from nshell.shell.output.cells import Cells
    from nshell.shell.watch.asking import Ran
    from nshell.shell.watch.follow import Frame
    from nshell.shell.watch.spark import Marks

_NOTICES = 2
"""Shown at a time."""
_KEPT_NOTICES = 20
_TIMED = re.compile(r"\d\d:\d\d:\d\d ")
_ROOMY = 8
"""Lines of a terminal that has room for more than what matters."""
_ASKING_SECONDS = 1.0
"""A query under way for longer is said to be."""
_HINTS = ("any key stops", "space pauses", "+ - interval", "arrows move")
_PAUSED_HINTS = ("any key stops", "space goes on", "+ - interval", "arrows move")


@dataclass(slots=True)
class Screen:
    """Of one watch."""

    statement: str
    every: float
    cells: Cells
    marks: Marks
    frame: Frame | None = None
    ran: Ran | None = None
    runs: int = 0
    asked: float | None = None
    """When the query under way began, by the clock that never goes back."""
    paused: bool = False
    error: str = ""
    """Why the last run failed."""
    top: int = 0
    """Rows that have been moved out above."""
    left: int = 0
    """Columns that have been moved out on the left."""
    page: int = 1
    """Rows that fitted when it was last drawn."""
    notices: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_NOTICES))
    forgotten: int = 0
    """Notices before those that are kept."""
    _grid: Grid = field(default_factory=Grid)
    _body: tuple[Frame, tuple[int, ...], list[Line]] | None = None
    """The rows as they were last laid out, and where: most drawings change the clock alone."""

    def take(self, frame: Frame, ran: Ran) -> None:
        """Show this result from now on."""
        self.frame, self.ran, self.error = frame, ran, ""
        self.runs += 1

    def fail(self, error: str) -> None:
        """The result stays; it is said that it is an old one."""
        self.error = error
        self.runs += 1

    def notify(self, text: str) -> None:
        """A line at the bottom."""
        self.forgotten += len(self.notices) == _KEPT_NOTICES
        # An alert says itself when it was.
        self.notices.append(text if _TIMED.match(text) else f"{clock(time.time())} {text}")

    def step(self, *, longer: bool) -> None:
        """The next interval there is."""
        self.every = next_interval(self.every, longer=longer)

    def move(self, rows: int) -> None:
        """Up or down, as far as there are rows."""
        last = max(0, (len(self.frame.rows) if self.frame else 0) - self.page)
        self.top = min(max(0, self.top + rows), last)

    def shift(self, columns: int) -> None:
        """To the left or right, as far as there are columns."""
        last = max(0, (len(self.frame.columns) if self.frame else 0) - 1)
        self.left = min(max(0, self.left + columns), last)

    def lines(self, width: int, height: int, *, now: float) -> list[Line]:
        """The whole screen; `now` by the clock that never goes back."""
        head = [self._state(width, now)]
        if height >= _ROOMY:
            head.append(self._line("class:dim", _one_line(self.statement), width))
        if self.error or height >= _ROOMY:
            head.append(self._line("class:error", self._trouble(), width))
        tail = [
            self._line("class:notice", escape(text), width)
            for text in list(self.notices)[-_NOTICES:]
        ]
        room = max(1, height - len(head) - len(tail))
        body = self._rows(width, room)
        blank: list[Line] = [[("", "")]] * (room - len(body) if tail else 0)
        return [*head, *body, *blank, *tail][: max(1, height)]

    def last(self, width: int, height: int) -> list[Line]:
        """What stays when it has ended: the result, and what was told meanwhile."""
        ended = f"every {show_interval(self.every)}, {plural(self.runs, 'run')}"
        facts = "  ".join([*self._facts(), ended])
        self.top = self.left = 0
        rows = self._rows(width, max(2, height - 1))
        told = [[("class:notice", escape(text))] for text in self.notices]
        if self.forgotten:
            earlier = f"{self.marks.more} {plural(self.forgotten, 'notice')} before these"
            told.insert(0, [("class:notice", earlier)])
        return [*rows, [("class:narration", cut(facts, width, self.marks.more))], *told]

    def _line(self, style: str, text: str, width: int) -> Line:
        return [(style, cut(f" {text}", width, self.marks.more))]

    def _state(self, width: int, now: float) -> Line:
        """The first line: what is going on, and what keys do as far as there is room."""
        state = [("class:title", f" every {show_interval(self.every)}")]
        if self.paused:
            state += [("", "  "), ("class:paused", " PAUSED ")]
        state += [("", f"  {fact}") for fact in self._facts()]
        if self.asked is not None and now - self.asked > _ASKING_SECONDS:
            state.append(("class:dim", f"  asking for {now - self.asked:.0f} s"))
        elif self.ran is not None and self.ran.took > self.every:
            state.append(("class:alarm", "  longer than the interval"))
        used = sum(len(text) for _, text in state)
        if used > width:
            return self._line("class:title", "".join(text for _, text in state).strip(), width)
        hints = list(_PAUSED_HINTS if self.paused else _HINTS)
        while hints and used + len("  ".join(hints)) + 3 > width:
            hints.pop()
        text = "  ".join(hints)
        gap = " " * max(0, width - used - len(text) - 1)
        return [*state, ("", gap), ("class:dim", text)]

    def _facts(self) -> list[str]:
        if self.ran is None:
            return []
        rows = plural(len(self.ran.rows), "row")
        return [
            f"{clock(self.ran.at)} in {human_ms(self.ran.elapsed_ms)}",
            f"first {rows}" if self.ran.more else rows,
        ]

    def _trouble(self) -> str:
        return f"{escape(self.error)}; trying again" if self.error else ""

    def _rows(self, width: int, room: int) -> list[Line]:
        if self.frame is None:
            return []
        self.page = max(1, room - 2)
        self.move(0)
        place = (width, room, self.top, self.left)
        if self._body is not None and self._body[0] is self.frame and self._body[1] == place:
            return self._body[2]
        lines = self._grid.lines(
            self.frame, self.cells, width=width, room=room, top=self.top, left=self.left,
            marks=self.marks,
        )  # fmt: skip
        self._body = self.frame, place, lines
        return lines


def _one_line(statement: str) -> str:
    return escape(" ".join(statement.split()))
