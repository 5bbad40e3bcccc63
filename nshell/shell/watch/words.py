"""How `watch` and `alert` are written: how often, how many times, and the query."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nshell.shell import sqltext
from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.kinds import Candidate, Fragment, Kind
from nshell.shell.kinds.queries import (
    BEGINNINGS,
    Asked,
    begins_query,
    complete_query,
    take_query,
)
from nshell.shell.units import parse_duration, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nshell.shell.kinds import World
    from nshell.shell.words import Cursor

SECONDS = 2.0
"""Between two runs, unless told else."""
LEAST, MOST = 0.25, 3600.0
STEPS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""That a key goes through."""
_MOST_TIMES = 1_000_000
_STARTERS = tuple(sorted(sqltext.STARTERS))


@dataclass(frozen=True, slots=True)
class Watching(Asked):
    """What to ask again and again; without a query it is the last one that was asked."""

    every: float = SECONDS
    times: int | None = None
    """None: until it is ended."""


class WatchWords(Kind[Watching]):
    """Perhaps an interval and a count, then a query."""

    takes_rest = True

    shown = "[2s] [count N] [SELECT ...|run NAME]"

    def accepts(self, word: str) -> bool:  # noqa: ARG002 - it says itself what is wrong
        return True

    def take(self, cursor: Cursor) -> Watching:
        every, times = SECONDS, None
        while (word := cursor.peek()) is not None and not begins_query(word):
            if word[:1].isdecimal():
                every = take_interval(cursor.next())
            elif word.lower() == "count":
                cursor.next()
                times = _take_times(cursor)
            else:
                near = did_you_mean(word, ("count", "run", *_STARTERS))
                raise CommandError(f"unknown word {word!r}{near or f': watch {self.shown}'}")
        asked = take_query(cursor)
        return Watching(asked.statement, asked.run, every=every, times=times)

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        begins = _query_at(at.before)
        if begins is not None:
            return complete_query(at, begins, world)
        if at.before and at.before[-1].lower() == "count":
            return []
        some = [Candidate("2s", "between two runs")] if not at.before else []
        if "count" not in at.before:
            some.append(Candidate("count", "how many times, then it ends"))
        return [*some, *BEGINNINGS]


class EveryWhen(Kind[Watching]):
    """An interval, the word `when` and a query."""

    takes_rest = True

    shown = "5s when SELECT ...|run NAME"

    def take(self, cursor: Cursor) -> Watching:
        every = take_interval(cursor.next())
        word = cursor.peek()
        if word is None or word.lower() != "when":
            found = f"unexpected {word!r}: " if word else ""
            raise CommandError(f"{found}`when` and a query must follow: alert every {self.shown}")
        cursor.next()
        return replace(WhenQuery().take(cursor), every=every)

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        if len(at.before) < 2:
            return [Candidate("when" if at.before else "5s")]
        if len(at.before) == 2:
            return list(BEGINNINGS)
        return complete_query(at, 2, world)


class WhenQuery(Kind[Watching]):
    """The query of an alert."""

    takes_rest = True

    shown = "SELECT ...|run NAME"

    def take(self, cursor: Cursor) -> Watching:
        word = cursor.peek() or ""
        if not begins_query(word):
            near = did_you_mean(word, ("run", *_STARTERS)) or f", not {word!r}"
            raise CommandError(f"a query must follow `when`{near if word else ''}")
        asked = take_query(cursor)
        return Watching(asked.statement, asked.run)

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        return complete_query(at, 0, world) if at.before else list(BEGINNINGS)


class AlertIds(Kind["tuple[int, ...]"]):
    """The numbers of one alert or more."""

    takes_rest = True

    shown = "ID..."

    def take(self, cursor: Cursor) -> tuple[int, ...]:
        found = []
        for word in cursor.rest():
            number = whole_number(word, 0, 1 << 63)
            if number is None:
                raise CommandError(f"{word!r} is not the number of an alert: `alerts` shows them")
            found.append(number)
        return tuple(found)

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        return [
            Candidate(str(number), statement)
            for number, statement in world.alerts.items()
            if str(number) not in at.before
        ]


class NothingMore(Kind[None]):
    """Nothing: what stands there is a word of the command that is not known."""

    takes_rest = True

    shown = "[when SELECT ...]"

    def __init__(self, *known: str) -> None:
        self._known = known

    def take(self, cursor: Cursor) -> None:
        word = cursor.next()
        near = did_you_mean(word, self._known) or f": {', '.join(self._known)}"
        raise CommandError(f"unknown word {word!r} after 'alert'{near}")


def take_interval(word: str) -> float:
    """Seconds; CommandError where it is none, too short or too long."""
    try:
        seconds = parse_duration(word)
    except ValueError as error:
        raise CommandError(str(error)) from None
    if not LEAST <= seconds <= MOST:
        least, most = show_interval(LEAST), show_interval(MOST)
        raise CommandError(f"{word} is not between {least} and {most}")
    return seconds


def show_interval(seconds: float) -> str:
    """ "250ms", "2s", "1m30s", "1h"."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:g}s"
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count)


def next_interval(seconds: float, *, longer: bool) -> float:
    """The step above or below."""
    steps = [s for s in STEPS if (s > seconds if longer else s < seconds)]
    return seconds if not steps else steps[0] if longer else steps[-1]


def _take_times(cursor: Cursor) -> int:
    word = "" if cursor.at_end else cursor.next()
    times = whole_number(word, 1, _MOST_TIMES)
    if times is None:
        raise CommandError(f"count takes a number from 1 on, not {word!r}")
    return times


def _query_at(words: Sequence[str]) -> int | None:
    return next((i for i, word in enumerate(words) if begins_query(word)), None)
