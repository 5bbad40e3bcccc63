"""The types of parameters that are about filters: whole rules, and numbers of those there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.filters import PREDICATES, FilterError, parse_rule
from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.kinds import Candidate, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nshell.shell.kinds import Fragment, World
    from nshell.shell.words import Cursor


class FilterWords(Kind["tuple[str, ...]"]):
    """A whole rule, checked before anything is sent."""

    takes_rest = True

    def __init__(self, *others: str) -> None:
        self._others = others
        """Words that may stand here instead of a rule: known to be named in errors."""

    shown = "[accept|reject] PRED VALUE[,VALUE...]... [for flows|packets]"

    def take(self, cursor: Cursor) -> tuple[str, ...]:
        words = cursor.rest()
        try:
            parse_rule(words)
        except FilterError as error:
            raise CommandError(self._near(words[0]) or str(error)) from None
        return words

    def _near(self, word: str) -> str:
        near = did_you_mean(word, [*self._others, *PREDICATES, "accept", "reject"])
        meant = any(repr(other) in near for other in self._others)
        return f"unknown word {word!r} after 'filter'{near}" if meant else ""

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        before = [word.lower() for word in at.before]
        if before and before[-1] in PREDICATES:
            return _values(before[-1], at.word, world)
        if before and before[-1] == "for":
            return [Candidate("flows"), Candidate("packets")]
        used = set(before)
        heads = [] if before else [Candidate("accept"), Candidate("reject")]
        tail = [Candidate("for", "flows or packets only")] if len(before) > 1 else []
        return (
            heads
            + tail
            + [
                Candidate(name, predicate.summary)
                for name, predicate in PREDICATES.items()
                if name not in used
            ]
        )


def _values(predicate: str, word: str, world: World) -> Iterable[Candidate]:
    known = world.interfaces if predicate == "interface" else PREDICATES[predicate].values
    first, _, last = word.rpartition(",")
    if predicate in world.selectable:
        taken = set(first.split(","))
        known = [name for name in _selectable(predicate, last, world) if name not in taken]
    return [Candidate(value, predicate, replaces=len(last)) for value in known]


def _selectable(predicate: str, word: str, world: World) -> Iterable[str]:
    """Names for a selector; of what is in namespaces first the namespaces, then it."""
    names = world.selectable[predicate]
    if predicate not in ("pod", "service"):
        return names
    if "/" in word:
        return [name for name in names if name.startswith(word.rpartition("/")[0] + "/")]
    namespaces = dict.fromkeys(name.partition("/")[0] + "/" for name in names)
    bare = dict.fromkeys(name.partition("/")[2] for name in names) if word else ()
    return [*namespaces, *bare, *names]


class FilterId(Kind[int]):
    """The number of one filter."""

    shown = "ID"

    def take(self, cursor: Cursor) -> int:
        word = cursor.next()
        if not word.isdecimal() or not 0 < int(word) < 2**32:
            raise CommandError(f"{word!r} is not the number of a filter: `filter list` shows them")
        return int(word)

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        taken = set(at.before)
        return [
            Candidate(str(number), text)
            for number, text in world.filters.items()
            if str(number) not in taken
        ]


class FilterIds(Kind["tuple[int, ...]"]):
    """The numbers of one filter or more."""

    takes_rest = True

    shown = "ID..."

    def take(self, cursor: Cursor) -> tuple[int, ...]:
        ids = []
        while not cursor.at_end:
            ids.append(FilterId().take(cursor))
        return tuple(ids)

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        return FilterId().complete(at, world)
