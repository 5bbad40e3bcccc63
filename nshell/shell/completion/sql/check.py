"""Names in a statement that stand for nothing, as far as that is sure: tables, columns, functions.

Where a source is not understood, nothing is said of columns that could be its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from nshell.shell.completion.sql.scopes import Reader, is_source, output_alias, selected
from nshell.shell.completion.sql.tree import Group, Item, name_of, read, split_at_commas
from nshell.shell.completion.sql.words import ASKS, CLAUSES, COMPOUND, JOINING, KEYWORDS
from nshell.shell.sqltext import Token, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nshell.shell.completion.sql.scopes import Columns, Core, Query, Source
    from nshell.shell.kinds import World

_ALWAYS = frozenset({"rowid", "_rowid_", "oid"})
_NAMING = frozenset({"AS", "OVER", "COLLATE", "WINDOW"})
"""Behind these stands a name of something else."""


def unknown_names(sql: str, world: World) -> list[tuple[int, int]]:
    """Where they begin and end; nothing while the tables are not known."""
    if not world.tables:
        return []
    check = _Check(world)
    found: list[Token] = []
    pieces: list[Token] = []
    for token in (*tokens(sql), Token("operator", ";", len(sql))):
        if token.text == ";" and token.kind == "operator":
            found += check.query(read(pieces), {}, ())
            pieces = []
        elif token.kind not in ("space", "comment"):
            pieces.append(token)
    return [(token.start, token.start + len(token.text)) for token in found]


@dataclass(frozen=True, slots=True)
class _Names:
    """What a column may be called at a place."""

    sources: Sequence[Source]
    given: frozenset[str]
    """Names that the query itself gives, in small letters."""


class _Check:
    """Walks over statements with the tables of one world in mind."""

    def __init__(self, world: World) -> None:
        self._reader = Reader(world)
        self._world = world

    @cached_property
    def _any(self) -> frozenset[str]:
        """What a column of some table is called."""
        return frozenset(name.lower() for table in self._world.tables.values() for name in table)

    @cached_property
    def _functions(self) -> frozenset[str]:
        return frozenset(name.lower() for name in self._world.functions)

    def query(
        self, group: Group, named: Mapping[str, Columns | None], around: Sequence[Source]
    ) -> Iterator[Token]:
        """Unknown names of a query and of those within it."""
        query = self._reader.query(group, named)
        yield from self._bodies(group, query)
        given = frozenset(_given(query.cores)) | {
            name.lower() for core in query.cores[:1] for name in _written(core)
        }
        for core in query.cores:
            for source in core.sources:
                if isinstance(source.unknown, Token) and source.unknown.kind == "word":
                    yield source.unknown
            yield from self._core(core, _Names([*core.sources, *around], given), query)

    def _bodies(self, group: Group, query: Query) -> Iterator[Token]:
        """Of what WITH names."""
        first = query.cores[0].items[0].start if query.cores else group.end
        for item in group.items:
            if isinstance(item, Group) and item.is_query and item.start < first:
                yield from self.query(item, query.named, ())

    def _core(self, core: Core, names: _Names, query: Query) -> Iterator[Token]:
        clause, on = "", False
        part: list[Item] = []
        for item in core.items:
            if item.word in CLAUSES or item.word in COMPOUND:
                yield from self._expression(part, names, query)
                part, clause, on = [], item.word, False
            elif clause == "FROM":
                joined = item.word in JOINING or item.text == ","
                on = item.word == "ON" or (on and not joined)
                if on:
                    part.append(item)
                elif isinstance(item, Group):
                    yield from self._source(item, names, query)
            elif clause not in ("", "LIMIT", "WINDOW"):
                part.append(item)
        yield from self._expression(part, names, query)

    def _source(self, group: Group, names: _Names, query: Query) -> Iterator[Token]:
        if group.is_query:
            yield from self.query(group, query.named, ())
        elif group.before is not None and group.before.word in ("FROM", "JOIN", ","):
            for item in group.items:
                if isinstance(item, Group):
                    yield from self._source(item, names, query)

    def _expression(self, items: Sequence[Item], names: _Names, query: Query) -> Iterator[Token]:
        for i, item in enumerate(items):
            before = items[i - 1] if i else None
            if isinstance(item, Group):
                if item.is_query:
                    around = () if is_source(item) else names.sources
                    yield from self.query(item, query.named, around)
                else:
                    yield from self._expression(item.items, names, query)
            elif item.kind == "word" and item.word not in KEYWORDS:
                after = items[i + 1] if i + 1 < len(items) else None
                if before is not None and before.text == ".":
                    if _is_missing_in(items[i - 2] if i > 1 else None, item, names):
                        yield item
                elif after is not None and after.text == ".":
                    if not any(each.name.lower() == item.text.lower() for each in names.sources):
                        yield item
                elif isinstance(after, Group):
                    if self._is_no_function(item, before):
                        yield item
                elif self._is_missing(item, before, names):
                    yield item

    def _is_no_function(self, item: Token, before: Item | None) -> bool:
        if before is not None and not _awaits_operand(before):
            return False
        return bool(self._functions) and item.text.lower() not in self._functions

    def _is_missing(self, item: Token, before: Item | None, names: _Names) -> bool:
        if before is not None and not _awaits_operand(before):
            return False
        folded = item.text.lower()
        if folded in _ALWAYS or folded in names.given:
            return False
        if not names.sources:
            return folded not in self._any
        if any(source.columns is None for source in names.sources):
            return False
        return not any(_has(source, folded) for source in names.sources)


def _awaits_operand(before: Item) -> bool:
    """Otherwise what follows is a name that is given, not one that is used."""
    if before.word in _NAMING:
        return False
    return before.word in ASKS or before.kind == "operator"


def _is_missing_in(qualifier: Item | None, item: Token, names: _Names) -> bool:
    name = name_of(qualifier).lower() if qualifier is not None else ""
    for source in names.sources:
        if source.name.lower() == name:
            folded = item.text.lower()
            return source.columns is not None and not (_has(source, folded) or folded in _ALWAYS)
    return False


def _has(source: Source, folded: str) -> bool:
    return any(name.lower() == folded for name in source.columns or {})


def _given(cores: Sequence[Core]) -> Iterator[str]:
    """Names that its lists give to what they select."""
    for core in cores:
        for part in split_at_commas(selected(core)):
            alias = output_alias(part)
            if alias is not None:
                yield name_of(alias).lower()


def _written(core: Core) -> Iterator[str]:
    """Columns that a list selects; behind UNION, ORDER BY may name them."""
    for part in split_at_commas(selected(core)):
        if part and part[-1].kind == "name":
            yield name_of(part[-1])
