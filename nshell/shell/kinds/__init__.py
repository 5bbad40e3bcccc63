"""The types of command parameters. Each owns how it is read, completed and shown
in a usage line, so a signature is all a command has to say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.sqltext import STARTERS
from nshell.shell.units import parse_duration, whole_number
from nshell.shell.words import split

if TYPE_CHECKING:
    from nshell.shell.queries import Query
    from nshell.shell.words import Cursor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that could stand at the cursor."""

    text: str
    meta: str = ""
    """What it is, shown beside it."""
    replaces: int | None = None
    """Characters before the cursor that it takes the place of; None: the word so far."""
    display: str = ""
    """How the menu shows it; empty: as it is."""
    fitted: bool = False
    """It has been found to fit what was typed, if not by its beginning."""


Row = Sequence[Any]


def _nothing_seen(_: object) -> Sequence[Row]:
    return ()


@dataclass(frozen=True, slots=True)
class World:
    """What completion knows of the session; empty until it is connected."""

    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Table to column to type."""
    views: Collection[str] = frozenset()
    """Those of the tables that have no rows of their own."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What is in a table, and in TABLE.COLUMN."""
    functions: Sequence[str] = ()
    interfaces: Sequence[str] = ()
    selectable: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What a filter on pods may name, by predicate; pods and services with their namespace."""
    filters: Mapping[int, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    """Name to summary."""
    queries: Mapping[str, Query] = field(default_factory=dict)
    """Those with a name."""
    alerts: Mapping[int, str] = field(default_factory=dict)
    """Number to statement."""
    seen: Callable[[Any], Sequence[Row]] = _nothing_seen
    """The rows there are for a question of completion.seen; it is asked again meanwhile."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """The part of a line that belongs to one parameter, up to the cursor."""

    before: Sequence[str]
    """Its words that are complete."""
    word: str
    """The one being typed, perhaps empty."""
    raw: str
    """All of it as typed."""
    after: str = ""
    """What stands behind the cursor."""
    earlier: Sequence[str] = ()
    """The words of the command's parameters before this one."""

    def tail(self, count: int) -> Fragment:
        """Without so many of its words."""
        words = split(self.raw)
        whole = count < len(self.before) and count < len(words)
        raw = self.raw[words[count].start :] if whole else self.word
        return replace(self, before=self.before[count:], raw=raw)


class Kind(Generic[T]):
    """A type of parameter."""

    takes_rest: ClassVar[bool] = False
    """Takes every word that is left."""
    closed: ClassVar[bool] = False
    """What it completes with is all there is: another word is wrong."""
    statement: ClassVar[str | None] = None
    """Its words are SQL, which stands behind this; None: they are not from the first on."""
    may_hold_sql: ClassVar[bool] = True
    """SQL may begin with one of its words, if it takes all that are left."""

    shown: str = ""
    """How it looks in a usage line; empty: the parameter's name."""

    def accepts(self, word: str) -> bool:  # noqa: ARG002 - most take any word
        """Whether the next word is for this parameter, when it may be left out."""
        return True

    def take(self, cursor: Cursor) -> T:
        """Read it; the cursor stands on its first word."""
        raise NotImplementedError

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:  # noqa: ARG002
        """What could stand there; the caller keeps what fits the word so far."""
        return ()

    def paint(self, words: Sequence[str], world: World) -> Sequence[str]:
        """A style for each of its words: keyword, number, wrong, or none."""
        return [self._style(words[:at], word, world) for at, word in enumerate(words)]

    def _style(self, before: Sequence[str], word: str, world: World) -> str:
        raw = "".join(f"{word} " for word in before)
        known = {found.text for found in self.complete(Fragment(before, "", raw), world)}
        if word in known:
            return "keyword"
        if known and self.closed:
            return "wrong"
        return "number" if word.isdecimal() else ""


class Number(Kind[int]):
    """A whole number between two bounds."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def take(self, cursor: Cursor) -> int:
        word = cursor.next()
        number = whole_number(word, self._low, self._high)
        if number is None:
            raise CommandError(f"{word!r} is not a number from {self._low} to {self._high:,}")
        return number


class Choice(Kind[str]):
    """One of a few words."""

    closed = True

    def __init__(self, *words: str) -> None:
        self._words = words
        self.shown = "|".join(words)

    def take(self, cursor: Cursor) -> str:
        word = cursor.next()
        if word not in self._words:
            near = did_you_mean(word, self._words) or f": one of {', '.join(self._words)}"
            raise CommandError(f"unknown word {word!r}{near}")
        return word

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:  # noqa: ARG002
        return [Candidate(word) for word in self._words]


class OnOff(Kind[bool]):
    """on or off."""

    closed = True

    shown = "on|off"

    def take(self, cursor: Cursor) -> bool:
        return Choice("on", "off").take(cursor) == "on"

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        return Choice("on", "off").complete(at, world)


class Duration(Kind[float]):
    """Seconds, written 2s, 250ms or 1h30m."""

    def take(self, cursor: Cursor) -> float:
        try:
            return parse_duration(cursor.next())
        except ValueError as error:
            raise CommandError(str(error)) from None


class Sql(Kind[str]):
    """A statement: the rest of the line, as it stands."""

    takes_rest = True
    statement = ""

    shown = "SELECT ..."

    def take(self, cursor: Cursor) -> str:
        first = cursor.peek() or ""
        if first.upper() not in STARTERS and (near := did_you_mean(first, STARTERS)):
            raise CommandError(f"unknown word {first!r}{near}")
        return cursor.rest_raw()

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        from nshell.shell.completion.sql import complete_sql  # noqa: PLC0415 - imports this module

        return complete_sql(at.raw, world, after=at.after)


class UntilSql(Sql):
    """A statement, and perhaps `timeout` and a duration behind it."""

    shown = "SELECT ... [timeout DURATION]"

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        yield from super().complete(at, world)
        if len(at.before) > 1 and at.word:
            yield Candidate("timeout", "and a duration, such as 30s")


PACKETS = "SELECT 1 FROM packet"
"""What an expression over the packet table stands behind."""


class Where(Kind[str]):
    """`where` and an expression over the packet table."""

    takes_rest = True
    statement = PACKETS

    shown = "where EXPR"

    def take(self, cursor: Cursor) -> str:
        word = cursor.next()
        if word.lower() != "where":
            raise CommandError(f"unexpected {word!r}: `where EXPR` may follow here")
        if cursor.at_end:
            raise CommandError("an expression must follow `where`")
        return cursor.rest_raw()

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        from nshell.shell.completion.sql import complete_sql  # noqa: PLC0415 - imports this module

        if not at.before:
            return [Candidate("where", "only packets for which this holds")]
        return complete_sql(f"{PACKETS} {at.raw}", world, after=at.after)


class TableName(Kind[str]):
    """A table of the store."""

    closed = True

    shown = "TABLE"

    def take(self, cursor: Cursor) -> str:
        return cursor.next()

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:  # noqa: ARG002
        return [Candidate(name, world.notes.get(name, "table")) for name in world.tables]

    def _style(self, before: Sequence[str], word: str, world: World) -> str:
        return super()._style(before, word.lower(), world)


class CommandName(Kind[str]):
    """A command, of one word or two."""

    takes_rest = True
    may_hold_sql = False

    shown = "COMMAND"

    def take(self, cursor: Cursor) -> str:
        return " ".join(cursor.rest()).lower()

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        done = "".join(f"{word} " for word in at.before)
        return [
            Candidate(name.removeprefix(done), summary)
            for name, summary in world.commands.items()
            if name.startswith(done)
        ]


class Pattern(Kind[str]):
    """Text to look for: the rest of the line."""

    takes_rest = True
    may_hold_sql = False

    shown = "TEXT"

    def take(self, cursor: Cursor) -> str:
        return cursor.rest_raw()
