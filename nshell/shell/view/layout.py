"""Columns into the width of a terminal: measured, squeezed, at last left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from nshell.shell.widths import head, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.shell.view.columns import Column

Fragment: TypeAlias = tuple[str, str]
Line: TypeAlias = list[Fragment]
"""Styled pieces of one line of the screen."""

_MOST = 60
"""Columns that one cell may take, however much room there is."""


def cut(text: str, width: int) -> str:
    """At most so many columns of it; what is cut is said by an ellipsis."""
    if width_of(text) <= width:
        return text
    if width < 4:
        return head(text, width)
    return head(text, width - 3) + "..."


def padded(text: str, width: int, *, right: bool) -> str:
    """Cut and filled to exactly that width."""
    shown = cut(text, width)
    blank = " " * (width - width_of(shown))
    return blank + shown if right else shown + blank


def fit(
    columns: Sequence[Column], natural: Sequence[int], width: int, *, gap: int, keep: int
) -> tuple[list[int], int]:
    """Widths of as many of the columns as fit, from the left, and how many do not.

    Those that can be are squeezed, but not below what reads well only to have room
    for more than the first `keep`; these are left out where squeezing does not do.
    """
    widths = [
        min(each, max(_MOST, column.least)) for each, column in zip(natural, columns, strict=True)
    ]
    count = len(columns)
    while count > 1:
        room = width - gap * (count - 1)
        least = [
            min(wide, max(column.least, column.well if count > keep else 0))
            if column.least
            else wide
            for wide, column in zip(widths[:count], columns, strict=False)
        ]
        if sum(least) <= room:
            return _squeezed(widths[:count], least, room), len(columns) - count
        count -= 1
    return [min(widths[0], width)] if columns else [], max(0, len(columns) - 1)


def _squeezed(widths: list[int], least: Sequence[int], room: int) -> list[int]:
    """The widest gives way first."""
    while sum(widths) > room:
        able = [n for n, wide in enumerate(widths) if wide > least[n]]
        widths[max(able, key=widths.__getitem__)] -= 1
    return widths
