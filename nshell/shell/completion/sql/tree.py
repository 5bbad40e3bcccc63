"""A statement as brackets within brackets, finished or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from nshell.shell.sqltext import Token, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_DEEPEST = 40
"""Brackets within brackets; deeper ones are not told apart."""
QUERIES: Final = frozenset({"SELECT", "WITH", "VALUES"})
_ENDING: Final = frozenset(
    {"FROM", "WHERE", "GROUP", "HAVING", "LIMIT", "UNION", "EXCEPT", "INTERSECT"}
)
"""In a bracket without a query of its own they belong to the query around it: it was
left open."""


@dataclass(slots=True)
class Group:
    """A pair of brackets, or all there is."""

    start: int
    parent: Group | None = None
    before: Item | None = None
    """What stands right before it."""
    items: list[Item] = field(default_factory=list)
    end: int = 1 << 62
    """Where it is closed."""

    @property
    def word(self) -> str:
        """Nothing: it is no word."""
        return ""

    @property
    def text(self) -> str:
        return "("

    @property
    def kind(self) -> str:
        return "group"

    @property
    def is_query(self) -> bool:
        """Whether a query stands in it."""
        first = next((item.word for item in self.items), "")
        return first in QUERIES or (self.parent is None and first == "EXPLAIN")


Item: TypeAlias = Token | Group


def statement_at(sql: str, at: int) -> Group:
    """The statement in which this place is."""
    pieces: list[Token] = []
    for token in tokens(sql):
        if token.text == ";" and token.kind == "operator":
            if token.start >= at:
                break
            pieces.clear()
        elif token.kind not in ("space", "comment"):
            pieces.append(token)
    return read(pieces)


def read(pieces: Iterable[Token]) -> Group:
    """All of it as one group."""
    root = group = Group(-1)
    depth = 0
    for token in pieces:
        while group.parent is not None and _was_left_open(group, token):
            group.end, group = token.start, group.parent
            depth -= 1
        if token.text == "(" and depth < _DEEPEST:
            inner = Group(token.start, group, group.items[-1] if group.items else None)
            group.items.append(inner)
            group = inner
            depth += 1
        elif token.text == ")" and depth:
            if group.parent is not None:
                group.end, group = token.start, group.parent
                depth -= 1
        else:
            group.items.append(token)
    return root


def _was_left_open(group: Group, token: Token) -> bool:
    if token.word not in _ENDING or group.is_query or not group.items:
        return token.word in _ENDING and not group.items and not _may_filter(group, token)
    # IS DISTINCT FROM
    if token.word == "FROM" and group.items[-1].word == "DISTINCT" and len(group.items) > 1:
        return False
    return not _may_filter(group, token)


def _may_filter(group: Group, token: Token) -> bool:
    return token.word == "WHERE" and group.before is not None and group.before.word == "FILTER"


def path_to(root: Group, at: int) -> list[Group]:
    """The groups around a place, the innermost last."""
    path = [root]
    while True:
        inside = [
            item
            for item in path[-1].items
            if isinstance(item, Group) and item.start < at <= item.end
        ]
        if not inside:
            return path
        path.append(inside[-1])


def name_of(item: Item) -> str:
    """The name that a token is, quotes taken off; nothing where it is none."""
    if item.kind == "word":
        return item.text
    if item.kind != "name":
        return ""
    quote = item.text[0]
    body = item.text[1:].removesuffix({"[": "]"}.get(quote, quote))
    return body.replace(quote * 2, quote)


def split_at_commas(items: Sequence[Item]) -> list[list[Item]]:
    """The parts of a list."""
    parts: list[list[Item]] = [[]]
    for item in items:
        if item.text == "," and item.kind == "operator":
            parts.append([])
        else:
            parts[-1].append(item)
    return parts
