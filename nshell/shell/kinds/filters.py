"""The types of parameters that are about filters: whole rules, and numbers of those there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.filters import PREDICATES, FilterError, is_name, name_in, parse_rule
from nshell.shell.completion.matching import matching
from nshell.shell.completion.seen import of_predicate
from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.kinds import Candidate, Kind
from nshell.shell.units import parse_duration, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nshell.shell.kinds import Fragment, World
    from nshell.shell.words import Cursor

_MOST = 500
"""Values that are offered at once."""
_TAIL = (Candidate("for", "flows or packets only"), Candidate("as", "a name for the filter"))


class FilterWords(Kind["tuple[str, ...]"]):
    """A whole rule, checked before anything is sent."""

    takes_rest = True
    may_hold_sql = False

    def __init__(self, *others: str) -> None:
        self._others = others
        """Words that may stand here instead of a rule: known to be named in errors."""

    shown = "[accept|reject] PRED VALUE[,VALUE...]... [for flows|packets] [as NAME]"

    def take(self, cursor: Cursor) -> tuple[str, ...]:
        words = cursor.rest()
        try:
            return _checked(words)
        except CommandError as error:
            raise CommandError(self._near(words[0]) or str(error)) from None

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
        if before and before[-1] == "as":
            return []
        if before[-2:-1] in (["for"], ["as"]):
            return [each for each in _TAIL if each.text not in before]
        used = {*before, *at.after.lower().split()}
        heads = [] if before else [Candidate("accept"), Candidate("reject")]
        tail = _TAIL if len(before) > 1 else ()
        return (
            *heads,
            *tail,
            *(
                Candidate(name, predicate.summary)
                for name, predicate in PREDICATES.items()
                if name not in used
            ),
        )

    def paint(self, words: Sequence[str], world: World) -> Sequence[str]:  # noqa: ARG002
        styles = []
        for at, word in enumerate(words):
            predicate, _ = _open_list([before.lower() for before in words[:at]])
            styles.append(_value_style(word) if predicate else _head_style(word.lower(), words, at))
        return styles


def _head_style(word: str, words: Sequence[str], at: int) -> str:
    """Of a word that is no value."""
    last = words[at - 1].lower() if at else ""
    if last == "for":
        return "keyword" if word in ("flows", "packets") else "wrong"
    if last == "as":
        return ""
    if word in PREDICATES or word in ("for", "as") or (at == 0 and word in ("accept", "reject")):
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


@dataclass(frozen=True, slots=True)
class Trial:
    """A rule, and for how long it is tried."""

    words: tuple[str, ...]
    seconds: float | None


class TrialWords(Kind[Trial]):
    """A rule, and perhaps a duration behind it, with or without `for`."""

    takes_rest = True
    may_hold_sql = False

    shown = "PRED VALUE[,VALUE...]... [[for] DURATION]"

    def take(self, cursor: Cursor) -> Trial:
        words = cursor.rest()
        seconds = _duration(words[-1])
        if seconds is not None:
            shorter = words[:-2] if words[-2:-1] == ("for",) else words[:-1]
            # What names a thing may look like a duration.
            if not _is_rule(words):
                return Trial(_checked(shorter), seconds)
        return Trial(_checked(words), None)

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        return FilterWords().complete(at, world)

    def paint(self, words: Sequence[str], world: World) -> Sequence[str]:
        timed = len(words) - 1 if words and _duration(words[-1]) is not None else len(words)
        if words[timed - 1 : timed] and words[timed - 1] == "for":
            timed -= 1
        return [*FilterWords().paint(words[:timed], world), *("number" for _ in words[timed:])]


def _checked(words: tuple[str, ...]) -> tuple[str, ...]:
    try:
        parse_rule(words)
    except FilterError as error:
        raise CommandError(str(error)) from None
    return words


def _is_rule(words: tuple[str, ...]) -> bool:
    try:
        parse_rule(words)
    except FilterError:
        return False
    return True


def _duration(word: str) -> float | None:
    try:
        return parse_duration(word)
    except ValueError:
        return None


class FilterId(Kind["int | str"]):
    """One filter, by its number or its name."""

    shown = "ID"

    def take(self, cursor: Cursor) -> int | str:
        word = cursor.next()
        if is_name(word):
            return word
        number = whole_number(word, 1, 2**32 - 1)
        if number is None:
            raise CommandError(f"{word!r} is not the number of a filter: `filter list` shows them")
        return number

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        taken = set(at.before)
        found = [
            (each, text)
            for number, text in world.filters.items()
            for each in (name_in(text), str(number))
        ]
        return [Candidate(each, text) for each, text in found if each and each not in taken]


class FilterIds(Kind["tuple[int | str, ...]"]):
    """One filter or more, by numbers or names."""

    takes_rest = True

    shown = "ID..."

    def take(self, cursor: Cursor) -> tuple[int | str, ...]:
        ids: list[int | str] = []
        while not cursor.at_end:
            ids.append(FilterId().take(cursor))
        return tuple(ids)

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        return FilterId().complete(at, world)
