"""What a wrong filter says to its author: always one line, which names the word
at fault and, where there is one, the nearest right word."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_SHOWN = 60
_LIKENESS = 0.6


class FilterError(ValueError):
    """A filter that can't be used; ``str()`` of it is the line for the user."""


def shown(word: str) -> str:
    """The word in quotes, control and bidi characters escaped, cut when long."""
    if len(word) > _LONGEST_SHOWN:
        word = word[: _LONGEST_SHOWN - 3] + "..."
    return repr(word)


def nearest(word: str, choices: Iterable[str]) -> tuple[str, ...]:
    """At most two of the choices that resemble the word, in the order given."""
    word = word.lower()
    known = tuple(choices)
    by_score = sorted(known, key=lambda choice: _likeness(word, choice), reverse=True)
    best = [choice for choice in by_score[:2] if _likeness(word, choice) >= _LIKENESS]
    return tuple(choice for choice in known if choice in best)


def suggestion(word: str, choices: Iterable[str]) -> str:
    """A tail for a message: the nearest choices, or all of them when none is near."""
    known = tuple(choices)
    near = nearest(word, known)
    if near:
        return "did you mean " + " or ".join(repr(choice) for choice in near) + "?"
    return "one of " + ", ".join(known)


def _likeness(word: str, choice: str) -> float:
    if len(word) >= 2 and choice.startswith(word):
        return 1.0
    return SequenceMatcher(None, word, choice.lower()).ratio()
