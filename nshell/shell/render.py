"""Turns rows into text: table, json, csv, markdown.

Rows come and leave in chunks, so a result of any length passes through in the
memory of one chunk. Text layouts escape captured bytes; csv and json are exact.
"""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING

from tabulate import tabulate
from wcwidth import wcswidth

from nshell.shell.escape import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nshell.shell.values import Cell, Row

FORMATS = ("table", "json", "csv", "markdown")


class Format:
    """Text of one result: head, any number of chunks, tail."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    def head(self) -> str:
        return ""

    def chunk(self, rows: Sequence[Row]) -> str:
        raise NotImplementedError

    def tail(self) -> str:
        return ""


class TableFormat(Format):
    """Aligned columns; the first chunk settles their widths and sides."""

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(columns)
        self._widths: list[int] = []
        self._right: list[bool] = []

    def chunk(self, rows: Sequence[Row]) -> str:
        if not self._widths:
            return self._first(rows)
        return "".join(f"{self._line(row)}\n" for row in rows)

    def tail(self) -> str:
        return "" if self._widths else self._first([])

    def _first(self, rows: Sequence[Row]) -> str:
        self._right = [_is_numeric(rows, i) for i in range(len(self._columns))]
        text = tabulate(
            [[_shown(cell) for cell in row] for row in rows],
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
        for cell, width, right in zip(row, self._widths, self._right, strict=True):
            shown = _shown(cell)
            space = " " * max(0, width - max(0, wcswidth(shown)))
            cells.append(space + shown if right else shown + space)
        return "  ".join(cells).rstrip()


def _is_numeric(rows: Sequence[Row], column: int) -> bool:
    cells = [row[column] for row in rows if row[column] is not None]
    return bool(cells) and all(isinstance(cell, int | float) for cell in cells)


def _shown(cell: Cell) -> str:
    if cell is None:
        return "NULL"
    if isinstance(cell, bytes):
        return cell.hex()
    return escape(cell) if isinstance(cell, str) else str(cell)


class MarkdownFormat(Format):
    """A pipe table."""

    def head(self) -> str:
        return self._line([escape(name) for name in self._columns]) + self._line(
            ["---"] * len(self._columns)
        )

    def chunk(self, rows: Sequence[Row]) -> str:
        return "".join(self._line([_shown(cell) for cell in row]) for row in rows)

    def _line(self, cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


class JsonFormat(Format):
    """An array of objects, one a line; valid without rows too."""

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(unique(columns))
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


_BY_NAME: dict[str, Callable[[Sequence[str]], Format]] = {
    "table": TableFormat,
    "json": JsonFormat,
    "csv": CsvFormat,
    "markdown": MarkdownFormat,
}


def format_named(name: str, columns: Sequence[str]) -> Format:
    """The format of that name for these columns."""
    return _BY_NAME[name](columns)


def render(name: str, columns: Sequence[str], rows: Sequence[Row]) -> str:
    """A whole result at once."""
    form = format_named(name, columns)
    return form.head() + form.chunk(rows) + form.tail()
