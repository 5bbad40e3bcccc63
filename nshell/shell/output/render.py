"""Turns rows into text: table, json, csv, markdown, vertical.

Rows come and leave in chunks, so a result of any length passes through in the
memory of one chunk. Text layouts escape captured bytes and may write numbers as
people read them; csv and json are exact.
"""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, ClassVar

from tabulate import tabulate

from nshell.shell.escape import escape
from nshell.shell.output.cells import EXACT, Cells, is_numeric, unmarked
from nshell.shell.widths import width_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nshell.shell.values import Cell, Row

FORMATS = ("table", "json", "csv", "markdown", "vertical")
_GAP = 2


class Format:
    """Text of one result: head, any number of chunks, tail."""

    wraps: ClassVar[bool] = True
    """A line longer than the screen may go on in the next; else it is a row, and aligned."""

    def __init__(self, columns: Sequence[str], cells: Cells = EXACT) -> None:
        self._columns = columns
        self._writers = cells.writers(columns)

    def head(self) -> str:
        return ""

    def chunk(self, rows: Sequence[Row]) -> str:
        raise NotImplementedError

    def tail(self) -> str:
        return ""

    def _written(self, row: Row) -> list[str]:
        return [write(cell) for write, cell in zip(self._writers, row, strict=True)]


class TableFormat(Format):
    """Aligned columns; the first chunk settles their widths and sides."""

    wraps = False

    def __init__(self, columns: Sequence[str], cells: Cells = EXACT) -> None:
        super().__init__(columns, cells)
        self._widths: list[int] = []
        self._right: list[bool] = []

    def chunk(self, rows: Sequence[Row]) -> str:
        if not self._widths:
            return self._first(rows)
        return "".join(f"{self._line(row)}\n" for row in rows)

    def tail(self) -> str:
        return "" if self._widths else self._first([])

    def _first(self, rows: Sequence[Row]) -> str:
        self._right = [is_numeric(rows, i) for i in range(len(self._columns))]
        text = tabulate(
            [self._written(row) for row in rows],
            headers=[escape(name) for name in self._columns],
            tablefmt="simple",
            colalign=["right" if right else "left" for right in self._right] if rows else None,
            disable_numparse=True,
        )
        lines = text.split("\n")
        self._widths = [len(dashes) for dashes in lines[1].split("  ")]
        return "".join(f"{line.rstrip()}\n" for line in lines)

    def _line(self, row: Row) -> str:
        cells = []
        for shown, width, right in zip(self._written(row), self._widths, self._right, strict=True):
            space = " " * max(0, width - width_of(unmarked(shown)))
            cells.append(space + shown if right else shown + space)
        return "  ".join(cells).rstrip()


class MarkdownFormat(Format):
    """A pipe table."""

    wraps = False

    def head(self) -> str:
        return self._line([escape(name) for name in self._columns]) + self._line(
            ["---"] * len(self._columns)
        )

    def chunk(self, rows: Sequence[Row]) -> str:
        return "".join(self._line(self._written(row)) for row in rows)

    def _line(self, cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


class VerticalFormat(Format):
    """A row a block: a name and its value, whole, on each line."""

    def __init__(self, columns: Sequence[str], cells: Cells = EXACT) -> None:
        super().__init__(columns, cells)
        self._count = 0
        names = [escape(name) for name in columns]
        widest = max(map(width_of, names), default=0)
        self._names = [name + " " * (widest - width_of(name) + _GAP) for name in names]
        self._rule = widest + _GAP + 16

    def chunk(self, rows: Sequence[Row]) -> str:
        return "".join(self._block(row) for row in rows)

    def _block(self, row: Row) -> str:
        self._count += 1
        lines = [f"-[ {self._count} ]".ljust(self._rule, "-")]
        lines += [
            f"{name}{value}".rstrip()
            for name, value in zip(self._names, self._written(row), strict=True)
        ]
        return "".join(f"{line}\n" for line in lines)


class JsonFormat(Format):
    """An array of objects, one a line; valid without rows too."""

    def __init__(self, columns: Sequence[str], cells: Cells = EXACT) -> None:
        super().__init__(unique(columns), cells)
        self._any = False

    def chunk(self, rows: Sequence[Row]) -> str:
        lines = [
            json.dumps(dict(zip(self._columns, map(_exact, row), strict=True)), ensure_ascii=False)
            for row in rows
        ]
        if not lines:
            return ""
        before = ",\n " if self._any else "[\n "
        self._any = True
        return before + ",\n ".join(lines)

    def tail(self) -> str:
        return "\n]\n" if self._any else "[]\n"


def _exact(cell: Cell) -> str | int | float | None:
    if isinstance(cell, bytes):
        return cell.hex()
    # JSON has no word for infinity.
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def unique(columns: Sequence[str]) -> list[str]:
    """Names told apart: a second `x` becomes `x_2`."""
    names: list[str] = []
    for column in columns:
        name, count = column, 1
        while name in names:
            count += 1
            name = f"{column}_{count}"
        names.append(name)
    return names


_CRLF = "\r\n"


class _Lines:
    """Takes the writer's lines, its line ends made bare.

    The writer quotes what its line end contains, and a lone CR needs quotes.
    """

    def __init__(self) -> None:
        self.text: list[str] = []

    def write(self, line: str) -> None:
        self.text.append(f"{line.removesuffix(_CRLF)}\n")


class CsvFormat(Format):
    """RFC 4180 with bare newlines; NULL is an empty field."""

    def head(self) -> str:
        return self._text([self._columns])

    def chunk(self, rows: Sequence[Row]) -> str:
        return self._text(
            [[cell.hex() if isinstance(cell, bytes) else cell for cell in row] for row in rows]
        )

    def _text(self, rows: Sequence[Sequence[Cell]]) -> str:
        lines = _Lines()
        csv.writer(lines, lineterminator=_CRLF).writerows(rows)
        return "".join(lines.text)


_BY_NAME: dict[str, Callable[[Sequence[str], Cells], Format]] = {
    "table": TableFormat,
    "json": JsonFormat,
    "csv": CsvFormat,
    "markdown": MarkdownFormat,
    "vertical": VerticalFormat,
}


def format_named(name: str, columns: Sequence[str], cells: Cells = EXACT) -> Format:
    """The format of that name for these columns."""
    return _BY_NAME[name](columns, cells)


def render(name: str, columns: Sequence[str], rows: Sequence[Row], cells: Cells = EXACT) -> str:
    """A whole result at once."""
    form = format_named(name, columns, cells)
    return form.head() + form.chunk(rows) + form.tail()


def width(text: str) -> int:
    """Columns of a terminal that its widest line takes."""
    lines = unmarked(text).split("\n")
    return max(map(width_of, lines))
