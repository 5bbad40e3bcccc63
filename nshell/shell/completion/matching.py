"""What fits a word half typed: beginnings first, then what somebody may have meant.

`lat` also finds DnsLatencyMs, `sa` SrcAddr, `.48` 10.129.0.48; one letter finds
beginnings only, or everything would be on offer.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

_HUMPS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\w\s]")
_LEAST = 2
"""Letters, before anything but a beginning is looked for."""
_LEAST_INSIDE = 3
"""And before it is looked for in the middle of words."""


def matching(
    word: str, found: Iterable[T], *, key: Callable[[T], str], most: int | None = None
) -> list[T]:
    """Those that fit, in their order: first those that begin so, then the rest."""
    if not word:
        return _first(found, most)
    ranked: dict[int, list[T]] = {}
    folded = word.lower()
    for each in found:
        rank = fit(folded, key(each))
        if rank is not None:
            ranked.setdefault(rank, []).append(each)
    return _first((each for rank in sorted(ranked) for each in ranked[rank]), most)


def _first(found: Iterable[T], most: int | None) -> list[T]:
    return list(found)[:most]


def fit(word: str, text: str) -> int | None:
    """How well; 0 is best, None: not at all. The word is in small letters."""
    folded = text.lower()
    if folded.startswith(word):
        return 0
    if len(word) < _LEAST:
        return None
    at = folded.find(word)
    if at < 0:
        initials = word.isalpha() and folded[:1] == word[0] and _initials(word, _humps(text))
        return 2 if initials else None
    while at >= 0:
        if _begins_hump(text, at):
            return 1
        at = folded.find(word, at + 1)
    return 3 if len(word) >= _LEAST_INSIDE or not word.isalpha() else None


def _begins_hump(text: str, at: int) -> bool:
    before, here = text[at - 1 : at], text[at : at + 1]
    if not here.isalnum() or not before.isalnum():
        return not before.isalnum()
    return here.isupper() and not before.isupper()


@lru_cache(1 << 14)
def _humps(text: str) -> tuple[str, ...]:
    return tuple(hump.lower() for hump in _HUMPS.findall(text))


def _initials(word: str, humps: tuple[str, ...]) -> bool:
    """Whether it is beginnings of the parts in turn, from the first one on: sa, srad."""
    left = word
    for hump in humps:
        length = _common(left, hump)
        left = left[length:]
        if not left:
            return True
    return False


def _common(a: str, b: str) -> int:
    length = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        length += 1
    return length
