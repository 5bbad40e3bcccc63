"""One cell as text, for layouts that people read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.shell.escape import escape
from nshell.shell.output.meaning import readable, reader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nshell.shell.values import Cell, Row

MARK = "\x00"
"""Stands before and behind what is to be shown faint. No cell has one: it is escaped there."""


@dataclass(frozen=True, slots=True)
class Cells:
    """How the cells of a result are written."""

    human: bool = False
    """Bytes, durations and times as people read them, by the column's name."""
    marked: bool = False
    """NULL stands between marks: who shows it makes it faint."""

    def writers(self, columns: Sequence[str]) -> list[Callable[[Cell], str]]:
        """What makes text of each column's cells."""
        return [self._writer(name) for name in columns]

    def _writer(self, column: str) -> Callable[[Cell], str]:
        null = f"{MARK}NULL{MARK}" if self.marked else "NULL"
        read = reader(column) if self.human else None

        def write(cell: Cell) -> str:
            if cell is None:
                return null
            if read is not None and isinstance(cell, int | float) and readable(cell):
                return read(cell)
            return _plain(cell)

        return write


EXACT = Cells()


def is_numeric(rows: Sequence[Row], column: int) -> bool:
    """Whether it has numbers alone, as far as it has anything."""
    cells = [row[column] for row in rows if row[column] is not None]
    return bool(cells) and all(isinstance(cell, int | float) for cell in cells)


def unmarked(text: str) -> str:
    """For where nothing can be faint."""
    return text.replace(MARK, "")


def faint(text: str) -> str:
    """What stands between marks, for a terminal: faint."""
    parts = text.split(MARK)
    return "".join(f"\x1b[2m{part}\x1b[22m" if n % 2 else part for n, part in enumerate(parts))


def _plain(cell: Cell) -> str:
    if isinstance(cell, bytes):
        return cell.hex()
    return escape(cell) if isinstance(cell, str) else str(cell)
