"""Parameters of the commands for named queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.shell.kinds import Candidate, Fragment, Kind, Sql, World

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nshell.shell.words import Cursor


class QueryName(Kind[str]):
    """A named query."""

    shown = "NAME"

    def take(self, cursor: Cursor) -> str:
        return cursor.next()

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:  # noqa: ARG002
        return [Candidate(name, summary) for name, summary in world.queries.items()]


class NewName(QueryName):
    """The name of a query to be saved."""


class Saved(Sql):
    """A query, or nothing: the last one."""

    shown = "[SELECT ...]"


class RunWords(Kind[tuple[str, ...]]):
    """A named query and the values of its parameters."""

    takes_rest = True

    shown = "NAME [PARAMETER=VALUE ...]"

    def take(self, cursor: Cursor) -> tuple[str, ...]:
        return cursor.rest()

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        return QueryName().complete(at, world) if not at.before else ()
