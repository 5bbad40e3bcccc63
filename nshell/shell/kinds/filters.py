"""The types of parameters that are about filters: whole rules, and numbers of those there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.filters import PREDICATES, FilterError, parse_rule
from nshell.shell.completion.matching import matching
from nshell.shell.completion.seen import of_predicate
from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.kinds import Candidate, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nshell.shell.kinds import Fragment, World
    from nshell.shell.words import Cursor

_MOST = 500
"""Values that are offered at once."""


class FilterWords(Kind["tuple[str, ...]"]):
    """A whole rule, checked before anything is sent."""

    takes_rest = True
    may_hold_sql = False

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
        predicate, taken = _open_list(before)
        if predicate:
            return _values(predicate, at.word, taken, world)
        if before and before[-1] == "for":
            return [Candidate("flows"), Candidate("packets")]
        if before[-2:-1] == ["for"]:
            return []
        used = {*before, *at.after.lower().split()}
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

    def paint(self, words: Sequence[str], world: World) -> Sequence[str]:  # noqa: ARG002
        styles = []
        for at, word in enumerate(words):
            predicate, _ = _open_list([before.lower() for before in words[:at]])
            styles.append(_value_style(word) if predicate else _head_style(word.lower(), words, at))
        return styles


def _head_style(word: str, words: Sequence[str], at: int) -> str:
    """Of a word that is no value."""
    if at and words[at - 1].lower() == "for":
        return "keyword" if word in ("flows", "packets") else "wrong"
    if word in PREDICATES or word == "for" or (at == 0 and word in ("accept", "reject")):
        return "keyword"
    return "wrong"


def _value_style(word: str) -> str:
    return "number" if word.replace(",", "").replace("-", "").isdecimal() else ""


def _open_list(before: Sequence[str]) -> tuple[str, set[str]]:
    """The predicate whose values go on, if any do, and those that it has."""
    at = len(before)
    while at and before[at - 1].endswith(","):
        at -= 1
    if not at or before[at - 1] not in PREDICATES:
        return "", set()
    taken = {value for word in before[at:] for value in word.split(",")}
    # The value of one predicate may be called like another.
    earlier, _ = _open_list(before[: at - 1])
    return ("", set()) if earlier else (before[at - 1], taken)


def _values(predicate: str, word: str, taken: set[str], world: World) -> Iterable[Candidate]:
    """Those seen, the most bytes first, then those known beforehand."""
    first, _, last = word.rpartition(",")
    taken = {*taken, *first.split(",")}
    seen = {value.text: value.meta for value in of_predicate(predicate, world)}
    if predicate in world.selectable:
        known = _selectable(predicate, last, seen, world)
    elif predicate == "interface":
        known = [*seen, *world.interfaces]
    else:
        known = [*seen, *PREDICATES[predicate].values]
    free = (value for value in dict.fromkeys(known) if value not in taken)
    return [
        Candidate(value, seen.get(value) or predicate, replaces=len(last), fitted=True)
        for value in matching(last, free, key=str, most=_MOST)
    ]


def _selectable(predicate: str, word: str, seen: Mapping[str, str], world: World) -> Iterable[str]:
    """Names for a selector; of what is in namespaces first the namespaces, then it."""
    there = world.selectable[predicate]
    alive = frozenset(there)
    names = dict.fromkeys([*(name for name in seen if name in alive), *there])
    if predicate not in ("pod", "service"):
        return names
    if "/" in word:
        return [name for name in names if name.startswith(word.rpartition("/")[0] + "/")]
    namespaces = dict.fromkeys(name.partition("/")[0] + "/" for name in names)
    if not word:
        return [*namespaces, *names]
    folded = word.lower()
    bare = dict.fromkeys(name.partition("/")[2] for name in names)
    bare = {name: None for name in bare if name.lower().startswith(folded)}
    whole = (name for name in names if name.partition("/")[2] not in bare
             or name.lower().startswith(folded))  # fmt: skip
    return [*namespaces, *bare, *whole]


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
