"""How much alerts may say: each at a pace of its own, all together no more than can be read.

Nothing is lost: what is not told is counted, and the count is told. Pure; clocks are
passed in.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING

from nshell.shell.units import plural
from nshell.shell.watch.asking import MOST_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nshell.shell.values import Row

SHOWN_ROWS = 3
"""Told one by one; the rest is counted."""
FIRING_SECONDS = 5.0
"""An alert speaks no more often."""
MOST_LINES = 12
"""Of all alerts together in that time ..."""
KEPT_LINES = 4
"""... these for alerts that did not speak just before: the seldom ones are worth most."""


class Firing:
    """Gathers what there is to tell, and tells it at a pace that leaves the prompt usable."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = -FIRING_SECONDS
        self._rows: deque[Row] = deque(maxlen=SHOWN_ROWS)
        self._count = 0
        self._capped = False

    def add(self, rows: Sequence[Row], *, capped: bool) -> None:
        """New rows, the latest last; `capped`: there were more than could be fetched."""
        self._rows.extend(rows)
        self._count += len(rows)
        self._capped = self._capped or (capped and len(rows) >= MOST_ROWS)

    def due(self, *, last: bool = False) -> tuple[list[Row], int, bool] | None:
        """The rows to show, how many there were, and whether there were yet more.

        `last`: there will be no other time to tell them.
        """
        now = self._clock()
        if not self._count or (now - self._last < FIRING_SECONDS and not last):
            return None
        told = list(self._rows), self._count, self._capped
        self._last, self._count, self._capped = now, 0, False
        self._rows.clear()
        return told


class Chorus:
    """All alerts of a shell: so many lines in some seconds, then one about the rest."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = -FIRING_SECONDS
        self._lines = 0
        self._speakers: set[int] = set()
        self._before: set[int] = set()
        """Alerts that have spoken in this time, and in the one before."""
        self._held: Counter[int] = Counter()
        """Rows by the number of their alert."""

    @property
    def holds(self) -> bool:
        """Whether something is still to be told."""
        return bool(self._held)

    @property
    def seconds_left(self) -> float:
        """Until there is room again."""
        return max(0.0, self._began + FIRING_SECONDS - self._clock())

    def admit(self, number: int, lines: Sequence[str], *, rows: int) -> Sequence[str]:
        """Those lines of an alert that may be told now: all of them or none."""
        if not lines:
            return ()
        if not self.holds and not self.seconds_left:
            self._begin()
        room = MOST_LINES - (KEPT_LINES if number in self._before else 0)
        if self._lines + len(lines) > room:
            self._held[number] += rows
            return ()
        self._lines += len(lines)
        self._speakers.add(number)
        return lines

    def forget(self, number: int) -> None:
        """An alert that has ended has nothing more to tell."""
        self._held.pop(number, None)

    def sum_up(self) -> str:
        """The line about what was held back; from now on there is room again."""
        noun = "alert" if len(self._held) == 1 else "alerts"
        named = ", ".join(map(str, sorted(self._held)))
        rows = plural(self._held.total(), "more row")
        self._held.clear()
        self._begin()
        return f"{noun} {named}: {rows}, held back: too many lines at a time"

    def _begin(self) -> None:
        self._began, self._lines = self._clock(), 0
        self._before, self._speakers = self._speakers, set()
