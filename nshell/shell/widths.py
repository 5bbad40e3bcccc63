"""Columns that text takes on a terminal; it has been escaped."""

from __future__ import annotations

from wcwidth import wcswidth, wcwidth


def width_of(text: str) -> int:
    """Of one line."""
    return len(text) if text.isascii() else max(0, wcswidth(text))


def head(text: str, width: int) -> str:
    """The beginning of it that fits into so many columns."""
    if text.isascii():
        return text[: max(0, width)]
    used = 0
    for at, character in enumerate(text):
        used += max(0, wcwidth(character))
        if used > width:
            return text[:at]
    return text
