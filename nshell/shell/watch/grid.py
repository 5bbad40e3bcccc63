"""Lays the rows of a watch out: which columns fit, how wide, with how much of their history.

Pure: a frame and the room there is in, styled lines out. A column that was wide
once stays so, that nothing jumps about from one result to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from nshell.shell.escape import escape
from nshell.shell.units import plural
from nshell.shell.watch.spark import sparkline
from nshell.shell.widths import head, width_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nshell.shell.output.cells import Cells
    from nshell.shell.watch.follow import Followed, Frame
    from nshell.shell.watch.spark import Marks

Line: TypeAlias = "list[tuple[str, str]]"
"""Style and text of each piece."""

_GAP = 2
_GUTTER = 2
"""Columns on the left, for what is new."""
_SPARKS = (20, 12, 8)
"""Widths that a sparkline may have, the best first."""
_SQUEEZED = 12
"""What a column of text keeps at least."""
_LONG = 30
"""What it keeps of a long text where not all columns fit."""
_TITLE = 4
"""What a title keeps at least."""


@dataclass(slots=True)
class _Column:
    """One column of the result, placed."""

    at: int
    title: str
    right: bool
    width: int
    least: int
    """It can be squeezed to this."""
    spark: int = 0
    """Width of its history; 0: not shown."""


class Grid:
    """Remembers how wide each column was."""

    def __init__(self) -> None:
        self._columns: tuple[str, ...] = ()
        self._widest: dict[int, int] = {}

    def lines(
        self, frame: Frame, cells: Cells, *, width: int, room: int, top: int, left: int,
        marks: Marks,
    ) -> list[Line]:  # fmt: skip
        """A heading and as many rows as there is room for; what is left out is said."""
        if not frame.rows:
            return [[("class:dim", "  (no rows)")]]
        behind = len(frame.rows) - top
        count = behind if behind <= room - 1 else max(1, room - 2)
        rows = frame.rows[top : top + count]
        writers = cells.writers(frame.columns)
        texts = [[write(c) for write, c in zip(writers, f.row, strict=True)] for f in rows]
        columns = self._placed(frame, texts, width=width, left=left)
        made = [_heading(columns, marks)]
        made += [_row(f, text, columns, marks) for f, text in zip(rows, texts, strict=True)]
        if behind > count or top:
            made.append([("class:dim", f"  {_left_out(behind - count, top, marks)}")])
        return [_cropped(line, width, marks.more) for line in made][: max(1, room)]

    def _placed(
        self, frame: Frame, texts: Sequence[Sequence[str]], *, width: int, left: int
    ) -> list[_Column]:
        if frame.columns != self._columns:
            self._columns, self._widest = frame.columns, {}
        columns = [
            self._column(frame, at, [text[at] for text in texts])
            for at in range(left, len(frame.columns))
        ]
        _squeeze(columns, width - _GUTTER - _GAP * (len(columns) - 1))
        _add_sparks([c for c in columns if c.at in frame.varied], _free(columns, width))
        return columns

    def _column(self, frame: Frame, at: int, texts: Iterable[str]) -> _Column:
        wide = max([self._widest.get(at, 0), *map(width_of, texts)])
        self._widest[at] = wide
        title = escape(frame.columns[at])
        right = at in frame.numeric
        natural = max(wide, width_of(title))
        least = max(wide, _TITLE) if right else _SQUEEZED
        return _Column(at, title, right, natural, min(natural, least))


def _free(columns: Sequence[_Column], width: int) -> int:
    return width - _GUTTER - sum(c.width for c in columns) - _GAP * (len(columns) - 1)


def _squeeze(columns: Sequence[_Column], width: int) -> None:
    """Make the widest as narrow as it takes for all to fit."""
    if sum(c.least for c in columns) > width:
        # Not all fit: those that do are better whole, but for very long texts.
        for column in columns:
            column.width = max(column.least, min(column.width, _LONG))
        return
    low, high = 0, max((c.width for c in columns), default=0)
    while low < high:
        middle = (low + high + 1) // 2
        fits = sum(max(c.least, min(c.width, middle)) for c in columns) <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    for column in columns:
        column.width = max(column.least, min(column.width, low))


def _add_sparks(columns: Sequence[_Column], free: int) -> None:
    """As many histories as fit, from the left, then as much of each as fits."""
    for count in range(len(columns), 0, -1):
        for spark in _SPARKS:
            if count * (spark + _GAP) <= free:
                for column in columns[:count]:
                    column.spark = spark
                return


def _heading(columns: Sequence[_Column], marks: Marks) -> Line:
    line: Line = [("", " " * _GUTTER)]
    for column in columns:
        line.append(("class:header", _aligned(column.title, column, marks)))
        line.append(("", " " * (_GAP + (column.spark + _GAP if column.spark else 0))))
    return line[:-1]


def _row(
    followed: Followed, texts: Sequence[str], columns: Sequence[_Column], marks: Marks
) -> Line:
    plain = "class:new" if followed.new else ""
    line: Line = [(plain, "+ " if followed.new else " " * _GUTTER)]
    for column in columns:
        style = "class:changed" if column.at in followed.changed else plain
        if followed.row[column.at] is None:
            style = "class:null"
        text = _aligned(texts[column.at], column, marks)
        bare = text.strip()
        before, _, after = text.partition(bare) if bare else (text, "", "")
        line += [("", before), (style, bare), ("", after + " " * _GAP)]
        if column.spark:
            past = followed.past.get(column.at, ())
            drawn = sparkline(past, width=column.spark, marks=marks.levels)
            line += [("class:spark", drawn), ("", " " * _GAP)]
    return line


def _aligned(text: str, column: _Column, marks: Marks) -> str:
    kept = cut(text, column.width, marks.more)
    space = " " * (column.width - width_of(kept))
    return space + kept if column.right else kept + space


def _left_out(below: int, above: int, marks: Marks) -> str:
    parts = [f"{plural(above, 'row')} above"] if above else []
    if below > 0:
        parts.append(plural(below, "more row"))
    return f"{marks.more} {', '.join(parts)}"


def _cropped(line: Line, width: int, more: str) -> Line:
    """As far as it fits; a mark at the right end says that there is more of it."""
    line = _stripped(line)
    if sum(width_of(text) for _, text in line) <= width:
        return line
    kept: Line = []
    room = width - width_of(more)
    for style, text in line:
        part = head(text, room)
        kept.append((style, part))
        room -= width_of(part)
        if part != text:
            break
    return [*kept, ("", " " * max(0, room)), ("class:dim", more)]


def _stripped(line: Line) -> Line:
    """Without the blanks at its end, which would wrap."""
    end = len(line)
    while end and not line[end - 1][1].strip():
        end -= 1
    return [*line[: end - 1], (line[end - 1][0], line[end - 1][1].rstrip())] if end else []


def cut(text: str, width: int, more: str) -> str:
    """A text of at most so many columns, with a mark where some of it is missing."""
    if width_of(text) <= width:
        return text
    return head(text, max(0, width - width_of(more))) + more
