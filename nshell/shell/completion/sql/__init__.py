"""What can stand at the cursor of a statement: tables, columns, values, functions, keywords.

Pure: text, schema and values seen in, candidates out. It reads on both sides of
the cursor, and no grammar: what is half written has none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nshell.shell.completion.sql import literals, offers
from nshell.shell.completion.sql.place import place_in
from nshell.shell.completion.sql.scopes import Reader, Scope
from nshell.shell.completion.sql.tree import statement_at
from nshell.shell.kinds import Candidate
from nshell.shell.sqltext import tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nshell.shell.completion.sql.offers import Offer
    from nshell.shell.completion.sql.wanted import Place
    from nshell.shell.kinds import World

_WORD_BEFORE = re.compile(r"[^\W\d]\w*\Z")
_WORD_AFTER = re.compile(r"\w*")


def complete_sql(text: str, world: World, *, after: str = "") -> list[Candidate]:
    """Candidates for the word at the end of text; `after` stands behind the cursor."""
    *_, last = (None, *tokens(text))
    if last is not None and last.kind == "comment" and (last.open or last.text[:2] == "--"):
        return []
    if last is not None and last.open:
        return _in_string(text, last.start, after, world) if last.kind == "string" else []
    if last is not None and last.kind == "number":
        return []
    match = _WORD_BEFORE.search(text)
    word = match[0] if match else ""
    rest = _WORD_AFTER.match(after)
    rest_of_word = rest[0] if rest else ""
    scope, at = _scope(text[: len(text) - len(word)], after[len(rest_of_word) :], world)
    small = (word or text.lstrip())[:1].islower()
    found = _at(place_in(scope, at), word, scope, world, small=small)
    return [
        Candidate(offer.text, offer.meta, replaces=len(word), fitted=True)
        for offer in found
        if offer.text != word
    ]


def _scope(before: str, after: str, world: World) -> tuple[Scope, int]:
    at = len(before)
    root = statement_at(f"{before} {after}", at)
    return Reader(world).scope(root, at), at


def _at(place: Place, word: str, scope: Scope, world: World, *, small: bool) -> list[Offer]:
    if place.qualifier is not None:
        source = scope.source(place.qualifier)
        return offers.fitting(word, offers.columns_of(source, world)) if source else []
    values = literals.literals(place.compared, scope, world) if place.compared else []
    found: list[Iterable[Offer]] = [values if not word else ()]
    if place.joining:
        found.append(offers.joins(scope))
    if place.common:
        found.append(offers.common(scope))
    if place.tables:
        found.append(offers.tables(scope, world))
    if place.outputs:
        found.append(offers.outputs(scope))
    if place.operand:
        found += [offers.columns(scope, world), offers.aliases(scope)]
        found.append(offers.functions(world, word, aggregates=place.aggregates))
    more = place.more if word else ()
    found.append(offers.keywords((*place.keywords, *more), small=small))
    return offers.fitting(word, (offer for some in found for offer in some))


def _in_string(text: str, start: int, after: str, world: World) -> list[Candidate]:
    """Within the quotes of a text that is being typed."""
    typed = text[start:]
    if not typed.startswith("'"):
        return []
    ends = after.find("'")
    scope, at = _scope(text[:start], after[ends + 1 :] if ends >= 0 else after, world)
    compared = place_in(scope, at).compared
    if compared is None:
        return []
    known = literals.literals(compared, scope, world)
    return [
        Candidate(offer.text, offer.meta, replaces=len(typed), fitted=True)
        for offer in literals.within(typed[1:], known)
    ]


def values_at(sql: str, begin: int, end: int, world: World) -> list[tuple[str, str]]:
    """The values, without quotes, that could stand in this part's place; with what they are."""
    scope, at = _scope(sql[:begin], sql[end:], world)
    compared = place_in(scope, at).compared
    if compared is None:
        return []
    return [(literals.bare(o), o.meta) for o in literals.literals(compared, scope, world)]


__all__ = ["complete_sql", "values_at"]
