"""Candidates for a place: columns, tables, functions, keywords, each with what it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.shell.completion.matching import matching
from nshell.shell.completion.sql.functions import AGGREGATES, SIGNATURES
from nshell.shell.completion.sql.scopes import output_alias, selected
from nshell.shell.completion.sql.tree import name_of, split_at_commas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nshell.shell.completion.sql.scopes import Core, Scope, Source
    from nshell.shell.kinds import World

_PLAIN = re.compile(r"[^\W\d]\w*")
_MOST_JOINS = 6
_LEAST_TYPED = 3
"""Letters of a function that is seldom of use, before it is offered."""
_MEASURES = re.compile(r"^(Time|First|Last)|(Bytes|Packets|Hits|Flags|Count|Length|Ns|Ms)$")


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that may stand there."""

    text: str
    meta: str
    key: str = ""
    """What is compared with what was typed; empty: the text."""
    loose: bool = True
    """A part of it is enough; else it is found by its beginning."""

    @property
    def matched(self) -> str:
        return self.key or self.text


def fitting(word: str, offers: Iterable[Offer]) -> list[Offer]:
    """Those that fit what was typed, beginnings first."""
    offers = list(offers)
    loose = matching(word, (o for o in offers if o.loose), key=_matched)
    strict = [o for o in offers if not o.loose and _begins(o, word)]
    begun = [o for o in loose if _begins(o, word)]
    rest = [o for o in loose if not _begins(o, word)]
    return [*begun, *strict, *rest]


def _matched(offer: Offer) -> str:
    return offer.matched


def _begins(offer: Offer, word: str) -> bool:
    return offer.matched.lower().startswith(word.lower())


def quoted(name: str) -> str:
    """A name as it is written in a statement."""
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def keywords(words: Iterable[str], *, small: bool) -> Iterator[Offer]:
    """In the letters that are typed: small ones, or capitals."""
    for word in dict.fromkeys(words):
        yield Offer(word.lower() if small else word, "keyword", loose=False)


def tables(scope: Scope, world: World) -> Iterator[Offer]:
    """Names of WITH, then the tables and views of the store."""
    for name in scope.named:
        yield Offer(quoted(name), "WITH", key=name)
    for name in world.tables:
        sort = "view" if name in world.views else "table"
        note = world.notes.get(name, "")
        yield Offer(name, f"{sort} · {note}" if note else sort)


def columns_of(source: Source, world: World, *, before: str = "") -> Iterator[Offer]:
    """Of one source; `before`: what qualifies them."""
    for name, type_ in (source.columns or {}).items():
        note = world.notes.get(f"{source.table}.{name}", "") if source.table else ""
        what = f"{source.table or source.name} {type_}".rstrip()
        meta = f"{what} · {note.partition(';')[0]}" if note else what
        yield Offer(f"{before}{quoted(name)}", meta, key=name)


def columns(scope: Scope, world: World) -> Iterator[Offer]:
    """Of all that can be named, the nearest first; what several have is qualified."""
    for core in scope.levels:
        yield from _of_core(core, world)
    if not scope.sources:
        yield from _of_all(world)


def _of_core(core: Core, world: World) -> Iterator[Offer]:
    times: dict[str, int] = {}
    for source in core.sources:
        for name in source.columns or {}:
            times[name.lower()] = times.get(name.lower(), 0) + 1
    for source in core.sources:
        for offer in columns_of(source, world):
            shared = times[offer.key.lower()] > 1
            before = f"{quoted(source.name)}." if shared else ""
            yield Offer(f"{before}{offer.text}", offer.meta, key=offer.key)


def _of_all(world: World) -> Iterator[Offer]:
    """No FROM yet: the columns of every table, each once."""
    having: dict[str, list[str]] = {}
    types: dict[str, str] = {}
    for table, known in world.tables.items():
        for name, type_ in known.items():
            having.setdefault(name, []).append(table)
            types.setdefault(name, type_)
    for name, names in having.items():
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        yield Offer(quoted(name), f"{shown} {types[name]}", key=name)


def outputs(scope: Scope) -> Iterator[Offer]:
    """Names that the query gives to what it selects."""
    if scope.core is not None:
        for part in split_at_commas(selected(scope.core)):
            alias = output_alias(part)
            if alias is not None:
                name = name_of(alias)
                yield Offer(quoted(name), "of this query", key=name)


def aliases(scope: Scope) -> Iterator[Offer]:
    """What sources are called here, to put a dot behind."""
    many = len(scope.sources) > 1
    for source in scope.sources:
        if source.name and (many or source.name.lower() != source.table.lower()):
            yield Offer(quoted(source.name), source.table or "subquery", key=source.name,
                        loose=False)  # fmt: skip


def functions(world: World, word: str, *, aggregates: bool) -> Iterator[Offer]:
    """Those of use here; any there is, once enough of it is typed."""
    there = frozenset(world.functions)
    named = [name for name in SIGNATURES if not there or name in there]
    others = world.functions if len(word) >= _LEAST_TYPED else ()
    for name in dict.fromkeys([*named, *others]):
        if name.isidentifier() and (aggregates or name not in AGGREGATES):
            yield Offer(f"{name}(", SIGNATURES.get(name, "function"), loose=False)


def joins(scope: Scope) -> Iterator[Offer]:
    """Equalities of columns of one name, between the last source and those before it."""
    core = scope.core
    if core is None or len(core.sources) < 2:
        return
    *earlier, last = core.sources
    count = 0
    for source in reversed(earlier):
        for name in _common(source, last):
            if count < _MOST_JOINS and not _MEASURES.search(name):
                count += 1
                pair = (f"{quoted(each.name)}.{quoted(name)}" for each in (source, last))
                yield Offer(" = ".join(pair), "in both", key=name)


def common(scope: Scope) -> Iterator[Offer]:
    """Columns that both sides of a join have."""
    core = scope.core
    if core is not None and len(core.sources) > 1:
        for name in _common(core.sources[-2], core.sources[-1]):
            yield Offer(quoted(name), "in both", key=name)


def _common(a: Source, b: Source) -> Sequence[str]:
    there = {name.lower() for name in b.columns or {}}
    return [name for name in a.columns or {} if name.lower() in there]
