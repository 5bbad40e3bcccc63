"""What kind of thing can stand at a place: a table, an operand, a keyword, nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from nshell.shell.completion.sql import words
from nshell.shell.completion.sql.expression import column_at, ends_operand, in_expression
from nshell.shell.completion.sql.tree import Group, Item, name_of
from nshell.shell.completion.sql.wanted import NOTHING, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nshell.shell.completion.sql.scopes import Scope


@dataclass(frozen=True, slots=True)
class _Here:
    """What stands before a place, as far as it belongs to the same brackets."""

    before: Sequence[Item]
    group: Group
    scope: Scope

    @property
    def last(self) -> Item:
        return self.before[-1]

    @property
    def opener(self) -> str:
        """The word before the brackets."""
        return self.group.before.word if self.group.before is not None else ""


def place_in(scope: Scope, at: int) -> Place:
    """What may stand at a place that is in no quotes: the first rule that knows says it."""
    group = scope.path[-1]
    here = _Here([item for item in group.items if item.start < at], group, scope)
    in_query = group is scope.query or group.parent is None
    for rule in _IN_QUERY if in_query else _IN_BRACKETS:
        found = rule(here)
        if found is not None:
            return found
    return in_expression(here.before, _clause(here.before) if in_query else "")


def _qualified(here: _Here) -> Place | None:
    if not here.before or here.last.text != ".":
        return None
    return Place(qualifier=name_of(here.before[-2]) if len(here.before) > 1 else "")


def _beginning(here: _Here) -> Place | None:
    if here.before:
        return None
    return Place(keywords=words.STARTERS if here.group.parent is None else _QUERY)


def _naming_queries(here: _Here) -> Place | None:
    """Behind WITH, before the query itself."""
    if here.before[0].word != "WITH" or _main_part(here.before):
        return None
    last = here.last
    if last.word in ("WITH", "RECURSIVE") or last.text == ",":
        return Place(keywords=("RECURSIVE",) if last.word == "WITH" else ())
    if last.word == "AS":
        return Place(keywords=("(SELECT", "MATERIALIZED (SELECT"))
    behind = here.before[-2].word if isinstance(last, Group) else ""
    return Place(keywords=("SELECT",) if behind in ("AS", "MATERIALIZED") else ("AS",))


def _naming_tables(here: _Here) -> Place | None:
    listing = here.last.text == "," and _clause(here.before) == "FROM"
    return Place(tables=True) if listing or here.last.word in ("FROM", "JOIN") else None


def _half_a_keyword(here: _Here) -> Place | None:
    if here.last.word == "ALL" and here.before[-2:-1] and here.before[-2].word == "UNION":
        return Place(keywords=("SELECT",))
    if here.last.word in words.FOLLOWS:
        return Place(keywords=words.FOLLOWS[here.last.word])
    return None


def _new_name(here: _Here) -> Place | None:
    if here.last.word != "AS":
        return None
    return Place(keywords=words.TYPES if here.opener == "CAST" else ())


def _behind_table(here: _Here) -> Place | None:
    if _clause(here.before) != "FROM" or not ends_operand(here.before):
        return None
    joined = next((i.word for i in reversed(here.before) if i.word in ("FROM", "JOIN")), "")
    on = ("ON", "USING") if joined == "JOIN" else ()
    return Place(keywords=(*on, *words.FROM_WORDS))


def _numbers(here: _Here) -> Place | None:
    counted = _clause(here.before) in ("LIMIT", "VALUES")
    return NOTHING if counted and not ends_operand(here.before) else None


def _joining(here: _Here) -> Place | None:
    if here.last.word != "ON":
        return None
    return Place(operand=True, joining=True, keywords=words.OPERANDS, aggregates=False)


def _in_list(here: _Here) -> Place | None:
    """The values behind IN."""
    if here.opener != "IN":
        return None
    group = here.group
    if here.before and here.last.text != ",":
        return NOTHING
    around = group.parent.items if group.parent is not None else []
    i = next((n for n, item in enumerate(around) if item is group), 0) - 2
    if i > 0 and around[i].word == "NOT":
        i -= 1
    taken = tuple(item.text for item in group.items if item.kind in ("string", "number"))
    first = () if here.before else ("SELECT",)
    return Place(compared=column_at(around, i, taken=taken), keywords=first)


def _subquery(here: _Here) -> Place | None:
    if here.before:
        return None
    if here.opener in ("FROM", "JOIN"):
        return Place(tables=True, keywords=_QUERY)
    return Place(keywords=_QUERY) if here.opener in ("AS", "MATERIALIZED", "EXISTS") else None


def _using(here: _Here) -> Place | None:
    if here.opener != "USING":
        return None
    return Place(common=not here.before or here.last.text == ",")


def _window(here: _Here) -> Place | None:
    if here.opener == "FILTER" and not here.before:
        return Place(keywords=("WHERE",))
    if here.opener != "OVER":
        return None
    if not here.before:
        return Place(keywords=("PARTITION BY", "ORDER BY"))
    if here.last.word in words.FOLLOWS:
        return Place(keywords=words.FOLLOWS[here.last.word])
    if not ends_operand(here.before):
        return Place(operand=True, keywords=words.OPERANDS)
    ordered = any(item.word == "ORDER" for item in here.before)
    return Place(keywords=("DESC", "ASC") if ordered else ("ORDER BY",))


def _names_of_columns(here: _Here) -> Place | None:
    """The list behind a name of WITH."""
    around = here.group.parent
    if around is None or around is not here.scope.query or around.items[0].word != "WITH":
        return None
    earlier = [item for item in around.items if item.start < here.group.start]
    return NOTHING if name_of(earlier[-1]) and not _main_part(earlier) else None


def _first_in_brackets(here: _Here) -> Place | None:
    opener = here.group.before
    if here.before:
        return None
    called = opener is not None and name_of(opener) and here.opener not in words.KEYWORDS
    first = "DISTINCT" if called else "SELECT"
    return Place(operand=True, keywords=(first, *words.OPERANDS))


def _cast(here: _Here) -> Place | None:
    return Place(keywords=("AS",)) if here.opener == "CAST" and ends_operand(here.before) else None


_Rule: TypeAlias = "Callable[[_Here], Place | None]"
_QUERY: Final = ("SELECT", "WITH", "VALUES")
_IN_QUERY: Final[tuple[_Rule, ...]] = (
    _beginning, _qualified, _naming_queries, _naming_tables, _half_a_keyword, _new_name,
    _behind_table, _numbers, _joining,
)  # fmt: skip
_IN_BRACKETS: Final[tuple[_Rule, ...]] = (
    _qualified, _in_list, _subquery, _using, _window, _names_of_columns, _first_in_brackets,
    _half_a_keyword, _new_name, _cast,
)  # fmt: skip


def _main_part(before: Sequence[Item]) -> bool:
    """Whether what WITH stands before has begun."""
    return any(item.word in ("SELECT", "VALUES") for item in before)


def _clause(before: Sequence[Item]) -> str:
    """The part of a query that goes on."""
    for item in reversed(before):
        if item.word in words.COMPOUND:
            return ""
        if item.word in ("ON", "USING"):
            return item.word
        if item.word in words.CLAUSES:
            return item.word
        if item.word in words.JOINING:
            return "FROM"
    return ""
