"""Which tables, and with them which columns, a place in a statement can name.

Sources are what FROM names: tables of the store, subqueries, names of WITH.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nshell.shell.completion.sql.tree import Group, Item, name_of, path_to, split_at_commas
from nshell.shell.completion.sql.words import CLAUSES, COMPOUND, JOINING, KEYWORDS, NO_ALIAS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nshell.shell.kinds import World

Columns = dict[str, str]
"""Name to type."""
_EACH: Columns = dict.fromkeys(("key", "value", "type", "atom", "id", "path", "fullkey"), "")
_TABLE_FUNCTIONS = {"json_each": _EACH, "json_tree": _EACH, "generate_series": {"value": "INTEGER"}}


@dataclass(frozen=True, slots=True)
class Source:
    """What one name behind FROM stands for."""

    name: str
    """What it is called in this query."""
    columns: Columns | None
    """None: not known."""
    table: str = ""
    """Of the store; empty where it is none."""
    unknown: Item | None = None
    """What names it, where there is none of that name."""


@dataclass(frozen=True, slots=True)
class Core:
    """One SELECT of a query, between UNIONs."""

    items: Sequence[Item]
    sources: Sequence[Source]

    def clause(self, name: str) -> Sequence[Item]:
        """What stands in one of its parts."""
        found: list[Item] = []
        inside = False
        for item in self.items:
            if item.word in CLAUSES:
                inside = item.word == name
            elif inside:
                found.append(item)
        return found


@dataclass(frozen=True, slots=True)
class Query:
    """A query: what it defines, and its SELECTs."""

    group: Group
    cores: Sequence[Core]
    named: Mapping[str, Columns | None]
    """Behind WITH, its own and those of the queries around it, by folded name."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What can be named at one place."""

    levels: Sequence[Core] = ()
    """The SELECT that it is in, then those around that may be named too."""
    named: Mapping[str, Columns | None] = field(default_factory=dict)
    """Names of WITH."""
    path: Sequence[Group] = ()
    query: Group | None = None
    """The innermost group that is a query."""

    @property
    def core(self) -> Core | None:
        return self.levels[0] if self.levels else None

    @property
    def sources(self) -> Sequence[Source]:
        """The nearest first."""
        return [source for core in self.levels for source in core.sources]

    def source(self, name: str) -> Source | None:
        """The nearest of this name."""
        folded = name.lower()
        return next((each for each in self.sources if each.name.lower() == folded), None)


class Reader:
    """Reads queries with the tables of one world in mind."""

    def __init__(self, world: World) -> None:
        self._tables = {name.lower(): name for name in world.tables}
        self._world = world

    def scope(self, root: Group, at: int) -> Scope:
        """Of a place."""
        path = path_to(root, at)
        levels: list[Core] = []
        named: Mapping[str, Columns | None] = {}
        innermost = None
        for group in path:
            if group.parent is not None and not group.is_query:
                continue
            if is_source(group):
                levels.clear()
            query = self.query(group, named, at=at)
            named, innermost = query.named, group
            levels[:0] = [core for core in query.cores if _holds(core, at)][-1:]
        return Scope(levels, named, path, innermost)

    def query(
        self, group: Group, outer: Mapping[str, Columns | None], *, at: int | None = None
    ) -> Query:
        """A group that is one; `at`: names behind WITH only as far as they hold there."""
        named = dict(outer)
        rest = self._with(group.items, named, at)
        cores = [Core(part, self._sources(part, named)) for part in _parts(rest)]
        return Query(group, cores, named)

    def _with(
        self, items: Sequence[Item], named: dict[str, Columns | None], at: int | None
    ) -> Sequence[Item]:
        """What follows it; the names it gives are added."""
        i = 0
        while i < len(items) and items[i].word in ("EXPLAIN", "QUERY", "PLAN"):
            i += 1
        if i == len(items) or items[i].word != "WITH":
            return items[i:]
        i += 1
        while i < len(items) and items[i].word not in CLAUSES:
            if not name_of(items[i]) or items[i].word == "RECURSIVE":
                i += 1
                continue
            i = self._one_of_with(items, i, named, at)
        return items[i:]

    def _one_of_with(
        self, items: Sequence[Item], i: int, named: dict[str, Columns | None], at: int | None
    ) -> int:
        name, given, i = name_of(items[i]), None, i + 1
        if i < len(items) and isinstance(items[i], Group):
            given, i = items[i], i + 1
        while i < len(items) and items[i].word in ("AS", "NOT", "MATERIALIZED"):
            i += 1
        body = items[i] if i < len(items) else None
        if not isinstance(body, Group):
            return i
        columns = self.outputs(body, named)
        if isinstance(given, Group):
            names = [name_of(part[0]) for part in split_at_commas(given.items) if part]
            columns = dict.fromkeys(names, "")
        # In its own body only a recursive one can be named.
        recursive = any(item.word == "RECURSIVE" for item in items[:2])
        if at is None or at > (body.start if recursive else body.end):
            named[name.lower()] = columns
        return i + 1

    def _sources(
        self, core: Sequence[Item], named: Mapping[str, Columns | None]
    ) -> Sequence[Source]:
        inside, part = False, []
        for item in core:
            if item.word in CLAUSES:
                inside = item.word == "FROM"
            elif inside:
                part.append(item)
        return list(self._joined(part, named))

    def _joined(
        self, items: Sequence[Item], named: Mapping[str, Columns | None]
    ) -> Iterator[Source]:
        awaited, i = True, 0
        while i < len(items):
            item = items[i]
            i += 1
            if item.word in JOINING or item.text == ",":
                awaited = True
            elif awaited and isinstance(item, Group):
                alias, i = _alias(items, i)
                awaited = False
                if item.is_query:
                    yield Source(alias, self.outputs(item, named))
                else:
                    yield from self._joined(item.items, named)
            elif awaited and name_of(item) and item.word not in NO_ALIAS:
                while i + 1 < len(items) and items[i].text == ".":
                    item, i = items[i + 1], i + 2
                called = i < len(items) and isinstance(items[i], Group)
                alias, i = _alias(items, i + called)
                awaited = False
                source = self._source(name_of(item), alias, named, called=called)
                unknown = (
                    source.columns is None and not called and name_of(item).lower() not in named
                )
                yield replace(source, unknown=item) if unknown else source

    def _source(
        self, name: str, alias: str, named: Mapping[str, Columns | None], *, called: bool
    ) -> Source:
        folded = name.lower()
        if called:
            return Source(alias or name, _TABLE_FUNCTIONS.get(folded))
        if folded in named:
            return Source(alias or name, named[folded])
        table = self._tables.get(folded)
        if table is None:
            return Source(alias or name, None)
        return Source(alias or table, dict(self._world.tables[table]), table)

    def outputs(self, group: Group, outer: Mapping[str, Columns | None]) -> Columns | None:
        """The columns that a query has; None where they are not known."""
        if not group.is_query:
            return None
        cores = self.query(group, outer).cores
        if not cores:
            return None
        first = cores[0]
        if first.items and first.items[0].word == "VALUES":
            row = next((item for item in first.items if isinstance(item, Group)), None)
            count = len(split_at_commas(row.items)) if row else 0
            return {f"column{n}": "" for n in range(1, count + 1)}
        found: Columns = {}
        for part in split_at_commas(selected(first)):
            given = _output(part, first.sources)
            if given is None:
                return None
            found |= given
        return found


def selected(core: Core) -> Sequence[Item]:
    """The list behind SELECT."""
    items = core.clause("SELECT")
    return items[1:] if items and items[0].word in ("DISTINCT", "ALL") else items


def _output(part: Sequence[Item], sources: Sequence[Source]) -> Columns | None:
    """The columns that one expression of a list gives; None: not known."""
    if not part:
        return {}
    if part[-1].text == "*" and (len(part) == 1 or part[-2].text == "."):
        wanted = name_of(part[0]).lower() if len(part) > 1 else ""
        all_of: Columns = {}
        for source in sources:
            if not wanted or source.name.lower() == wanted:
                if source.columns is None:
                    return None
                all_of |= source.columns
        return all_of
    name = name_of(part[-1])
    if not name or part[-1].word in KEYWORDS:
        return {}
    plain = len(part) == 1 or part[-2].text == "."
    return {name: _type(name, sources) if plain else ""}


def output_alias(part: Sequence[Item]) -> Item | None:
    """The name that an expression is given, if it is."""
    if len(part) < 2 or not name_of(part[-1]) or part[-1].word in KEYWORDS:
        return None
    before = part[-2]
    named = before.word == "AS" or before.kind in ("group", "number", "string", "name")
    named = named or (before.kind == "word" and before.word not in KEYWORDS - {"END", "NULL"})
    return part[-1] if named else None


def _type(column: str, sources: Sequence[Source]) -> str:
    folded = column.lower()
    for source in sources:
        for name, type_ in (source.columns or {}).items():
            if name.lower() == folded:
                return type_
    return ""


def _alias(items: Sequence[Item], i: int) -> tuple[str, int]:
    """What a source is called, and where what follows begins."""
    if i < len(items) and items[i].word == "AS":
        i += 1
    if i < len(items) and name_of(items[i]) and items[i].word not in NO_ALIAS:
        return name_of(items[i]), i + 1
    return "", i


def _parts(items: Sequence[Item]) -> list[Sequence[Item]]:
    """Cut at each UNION, EXCEPT and INTERSECT."""
    parts: list[list[Item]] = [[]]
    for item in items:
        if item.word in COMPOUND:
            parts.append([])
        parts[-1].append(item)
    return [part for part in parts if part]


def _holds(core: Core, at: int) -> bool:
    """Whether it begins before a place; the last that does is the one."""
    return core.items[0].start < at


def is_source(group: Group) -> bool:
    """Whether it stands behind FROM or is named by WITH: it sees nothing of what is around."""
    if group.parent is None or group.before is None:
        return False
    if group.before.word in ("FROM", "JOIN", "AS", "MATERIALIZED"):
        return True
    if group.before.text != ",":
        return False
    clause = [i.word for i in group.parent.items if i.start < group.start and i.word in CLAUSES]
    return clause[-1:] == ["FROM"]
