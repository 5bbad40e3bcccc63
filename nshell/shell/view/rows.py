"""Rows in memory and which of them are shown: the newest few thousand, keywords, an order.

Plain data, no terminal and no session: every key is answered from here.
"""

from __future__ import annotations

import operator
import re
from collections import deque
from typing import TYPE_CHECKING

from nshell.shell.view.words import flag_names, protocol_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nshell.shell.values import Cell

KEPT = 5000
"""Rows of one table: a keyword has more than a screenful to look through."""
_COMPARE = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}
_FIELD = re.compile(r"(?P<name>\w+)(?P<sign>>=|<=|[=:<>])(?P<value>.*)", re.DOTALL)
_ADDRESSES = ("SrcAddr", "DstAddr", "ClientAddr", "ServerAddr")


class Row:
    """One row of the store; its first cell is its rowid."""

    __slots__ = ("_at", "cells", "text")

    def __init__(self, cells: Sequence[Cell], at: Mapping[str, int], text: str) -> None:
        self.cells = cells
        self._at = at
        self.text = text
        """All that a keyword can find in it, in lower case."""

    def __getitem__(self, column: str) -> Cell:
        """None as well where the table has no such column."""
        at = self._at.get(column)
        return None if at is None else self.cells[at]

    @property
    def id(self) -> int:
        return self.number(self.cells[0])

    def whole(self, column: str) -> int:
        """The number in this column, 0 for NULL."""
        return self.number(self[column])

    @staticmethod
    def number(cell: Cell) -> int:
        return int(cell) if isinstance(cell, int | float) else 0

    def items(self) -> Iterable[tuple[str, Cell]]:
        """Columns and what is in them."""
        return ((name, self.cells[at]) for name, at in self._at.items() if at)


def make_rows(
    columns: Sequence[str], found: Iterable[Sequence[Cell]], names: Mapping[str, str]
) -> list[Row]:
    """Rows of an answer, ready to be searched; `names` are those of addresses."""
    at = {name: number for number, name in enumerate(columns)}
    proto, flags = at.get("Proto", -1), at.get("Flags", -1)
    ends = [at[name] for name in _ADDRESSES if name in at]
    made = []
    for cells in found:
        words = [str(cell) for cell in cells[1:] if cell is not None]
        if proto > 0:
            words.append(protocol_name(cells[proto]))
        if flags > 0 and cells[flags]:
            words.append(flag_names(cells[flags]))
        if names:
            words += [names[end] for each in ends if (end := str(cells[each])) in names]
        made.append(Row(cells, at, "\n".join(words).lower()))
    return made


class Rows:
    """The newest rows that have arrived."""

    def __init__(self, most: int = KEPT) -> None:
        self.kept: deque[Row] = deque(maxlen=most)
        self.arrived = 0
        self.skipped = 0
        """That came too fast to be fetched."""

    def add(self, rows: Sequence[Row], *, skipped: int = 0) -> None:
        """Oldest first."""
        self.kept.extend(rows)
        self.arrived += len(rows)
        self.skipped += skipped


def matches(text: str, columns: Iterable[str]) -> Callable[[Row], bool] | None:
    """What a keyword means; None: it says nothing yet.

    "10.0." anywhere in the row; "!dns" nowhere in it; "DstPort=443" or
    "DstPort:443" exactly that; "Bytes>1000".
    """
    if text.startswith("!"):
        holds = matches(text[1:], columns)
        return None if holds is None else lambda row: not holds(row)
    if not text:
        return None
    match = _FIELD.fullmatch(text)
    column = column_named(match["name"], columns) if match else None
    if match is None or column is None:
        folded = text.lower()
        return lambda row: folded in row.text
    return _field(column, match["sign"], match["value"].strip().lower())


def column_named(name: str, columns: Iterable[str]) -> str | None:
    """The column of that name in any case, if there is one."""
    folded = name.lower()
    return next((column for column in columns if column.lower() == folded), None)


def _field(column: str, sign: str, value: str) -> Callable[[Row], bool] | None:
    if not value:
        return None
    if sign in "=:":
        return lambda row: value in _spellings(column, row[column])
    try:
        bound = float(value)
    except ValueError:
        return None
    compare = _COMPARE[sign]

    def holds(row: Row) -> bool:
        cell = row[column]
        return isinstance(cell, int | float) and bool(compare(cell, bound))

    return holds


def _spellings(column: str, cell: Cell) -> tuple[str, ...]:
    """Ways to write what is in a cell."""
    if cell is None:
        return ("null",)
    if column == "Proto":
        return str(cell), protocol_name(cell).lower()
    if column.endswith("Flags"):
        return str(cell), flag_names(cell).lower()
    return (str(cell).lower(),)


def select(rows: Iterable[Row], keywords: Iterable[str], columns: Iterable[str]) -> list[Row]:
    """Those that every keyword holds for."""
    known = tuple(columns)
    chosen = list(rows)
    for keyword in keywords:
        holds = matches(keyword, known)
        if holds is not None:
            chosen = [row for row in chosen if holds(row)]
    return chosen


def order(rows: list[Row], column: str, *, descending: bool) -> list[Row]:
    """By a column, rows without a value in it last, the newest of equals first."""
    if column == "":
        return rows[::-1] if descending else rows
    # This is done for thousands of rows at every key: no objects are made of them.
    cells = [row[column] for row in rows]
    newest_first = range(len(rows) - 1, -1, -1)
    known = [n for n in newest_first if cells[n] is not None]
    try:
        known.sort(key=cells.__getitem__, reverse=descending)  # type: ignore[arg-type]
    except TypeError:  # SQLite keeps what it is given, whatever the column's type
        known.sort(key=lambda n: str(cells[n]), reverse=descending)
    return [rows[n] for n in known] + [rows[n] for n in newest_first if cells[n] is None]
