"""The types of command parameters. Each owns how it is read, completed and shown
in a usage line, so a signature is all a command has to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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


@dataclass(frozen=True, slots=True)
class World:
    """What completion knows of the session; empty until it is connected."""

    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Table to column to type."""
    functions: Sequence[str] = ()
    interfaces: Sequence[str] = ()
    selectable: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What a filter on pods may name, by predicate; pods and services with their namespace."""
    filters: Mapping[int, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    """Name to summary."""
    queries: Mapping[str, str] = field(default_factory=dict)
    """Named queries: name to summary."""
    alerts: Mapping[int, str] = field(default_factory=dict)
    """Number to statement."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """The part of a line that belongs to one parameter, up to the cursor."""

    before: Sequence[str]
    """Its words that are complete."""
    word: str
    """The one being typed, perhaps empty."""
    raw: str
    """All of it as typed."""


class Kind(Generic[T]):
    """A type of parameter."""

    takes_rest: ClassVar[bool] = False
    """Takes every word that is left."""

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


class Number(Kind[int]):
    """A whole number between two bounds."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def take(self, cursor: Cursor) -> int:
        word = cursor.next()
        if not word.isdecimal() or not self._low <= int(word) <= self._high:
            raise CommandError(f"{word!r} is not a number from {self._low} to {self._high:,}")
        return int(word)


class Choice(Kind[str]):
    """One of a few words."""

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


class File(Kind[str]):
    """The name of a file, ~ expanded."""

    shown = "FILE"

    def accepts(self, word: str) -> bool:
        return word.lower() != "where"

    def take(self, cursor: Cursor) -> str:
        name = cursor.next()
        return str(Path(name).expanduser()) if name.startswith("~") else name

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:  # noqa: ARG002
        directory, slash, start = at.word.rpartition("/")
        folder = Path(directory + slash).expanduser()
        try:
            found = sorted(path for path in folder.iterdir() if path.name.startswith(start))
        except OSError:
            return
        for path in found[:200]:
            if " " not in path.name and (start or not path.name.startswith(".")):
                yield Candidate(path.name + "/" * path.is_dir(), replaces=len(start))


class Sql(Kind[str]):
    """A statement: the rest of the line, as it stands."""

    takes_rest = True

    shown = "SELECT ..."

    def take(self, cursor: Cursor) -> str:
        return cursor.rest_raw()

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        from nshell.shell.sqlcomplete import complete_sql  # noqa: PLC0415 - imports this module

        return complete_sql(at.raw, world)


class UntilSql(Sql):
    """A statement, and perhaps `timeout` and a duration behind it."""

    shown = "SELECT ... [timeout DURATION]"


class Where(Kind[str]):
    """`where` and an expression over the packet table."""

    takes_rest = True

    shown = "where EXPR"

    def take(self, cursor: Cursor) -> str:
        word = cursor.next()
        if word.lower() != "where":
            raise CommandError(f"unexpected {word!r}: `where EXPR` may follow here")
        if cursor.at_end:
            raise CommandError("an expression must follow `where`")
        return cursor.rest_raw()

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        from nshell.shell.sqlcomplete import complete_sql  # noqa: PLC0415 - imports this module

        if not at.before:
            return [Candidate("where", "only packets for which this holds")]
        return complete_sql(f"SELECT 1 FROM packet {at.raw}", world)  # noqa: S608 - never run


class TableName(Kind[str]):
    """A table of the store."""

    shown = "TABLE"

    def take(self, cursor: Cursor) -> str:
        return cursor.next()

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:  # noqa: ARG002
        return [Candidate(name, "table") for name in world.tables]


class CommandName(Kind[str]):
    """A command, of one word or two."""

    takes_rest = True

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

    shown = "TEXT"

    def take(self, cursor: Cursor) -> str:
        return cursor.rest_raw()
