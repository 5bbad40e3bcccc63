"""Parameters of commands that take a query: as SQL, or one that has a name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.shell.completion.matching import matching
from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.kinds import Candidate, Fragment, Kind, Sql, World
from nshell.shell.queries import parameters
from nshell.shell.sqltext import STARTERS, is_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nshell.shell.queries import Query
    from nshell.shell.words import Cursor

RUN = "run"
_NAMED = Candidate(RUN, "a named query")
BEGINNINGS = (Candidate("SELECT", "SQL"), Candidate("WITH", "SQL"), _NAMED)
_NEEDS_QUOTES = re.compile(r"[\s'\"]")


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as it was typed."""

    statement: str
    """Empty: it has a name."""
    run: tuple[str, ...] = ()
    """That name, and `parameter=value` words."""


class QueryName(Kind[str]):
    """A named query."""

    shown = "NAME"

    def take(self, cursor: Cursor) -> str:
        return cursor.next()

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:  # noqa: ARG002
        return [
            Candidate(name, f"{query.summary} {query.takes}".rstrip())
            for name, query in world.queries.items()
        ]


class NewName(QueryName):
    """The name of a query to be saved."""


class Saved(Sql):
    """A query, or nothing: the last one."""

    shown = "[SELECT ...]"


class RunWords(Kind[Asked]):
    """A named query and the values of its parameters."""

    takes_rest = True
    may_hold_sql = False

    shown = "NAME [PARAMETER=VALUE ...]"

    def take(self, cursor: Cursor) -> Asked:
        if cursor.at_end:
            raise CommandError("run what? `queries` lists them")
        return Asked("", cursor.rest())

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        if not at.before:
            return QueryName().complete(at, world)
        query = world.queries.get(at.before[0])
        if query is None:
            return ()
        name, equals, value = at.word.partition("=")
        return _values(query, name, value, at, world) if equals else _parameters(query, at)


class QueryWords(Kind[Asked]):
    """A statement of SQL, or `run` and what stands behind it."""

    takes_rest = True

    shown = "SELECT ...|run NAME"

    def take(self, cursor: Cursor) -> Asked:
        word = cursor.peek() or ""
        if not begins_query(word) and (near := did_you_mean(word, (RUN, *STARTERS))):
            raise CommandError(f"unknown word {word!r}{near}")
        return take_query(cursor)

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        if at.before:
            return complete_query(at, 0, world)
        return [*Sql().complete(at, world), _NAMED]


def begins_query(word: str) -> bool:
    """Whether a query begins with it."""
    return is_sql(word) or word.lower() == RUN


def take_query(cursor: Cursor) -> Asked:
    """All that is left; the cursor stands on the first word of a query."""
    if (cursor.peek() or "").lower() != RUN:
        return Asked(cursor.rest_raw().rstrip("; \n"))
    cursor.next()
    return RunWords().take(cursor)


def complete_query(at: Fragment, begins: int, world: World) -> Iterable[Candidate]:
    """Behind the word with which a query begins, the first of them being 0."""
    if at.before[begins].lower() == RUN:
        return RunWords().complete(at.tail(begins + 1), world)
    return Sql().complete(at.tail(begins), world)


def _parameters(query: Query, at: Fragment) -> Iterator[Candidate]:
    """Those that have no value yet."""
    given = {word.partition("=")[0] for word in (*at.before[1:], *at.after.split())}
    for name, otherwise in query.parameters.items():
        if name not in given:
            meta = "must be given" if otherwise is None else f"{otherwise} when not given"
            yield Candidate(f"{name}=", meta)


def _values(query: Query, name: str, value: str, at: Fragment, world: World) -> Iterable[Candidate]:
    """What is compared with a parameter has had these values."""
    from nshell.shell.completion.sql import values_at  # noqa: PLC0415 - imports kinds

    if not at.raw.endswith(value):  # a quote closes it
        return []
    found: dict[str, str] = {}
    for begin, end in parameters.places(query.text, name):
        for text, meta in values_at(query.text, begin, end, world):
            found.setdefault(text, meta)
    otherwise = query.parameters.get(name)
    if otherwise is not None:
        found.setdefault(otherwise, "when not given")
    quote = at.raw[: len(at.raw) - len(value)][-1:]
    return [
        Candidate(text, found[known], replaces=len(value), fitted=True)
        for known in matching(value, found, key=str)
        if (text := _as_word(known, quote))
    ]


def _as_word(value: str, quote: str) -> str:
    """As it is typed behind this character; nothing where it cannot be."""
    if quote in ("'", '"'):
        return "" if quote in value else f"{value}{quote}"
    if not _NEEDS_QUOTES.search(value):
        return value
    return "" if '"' in value else f'"{value}"'
