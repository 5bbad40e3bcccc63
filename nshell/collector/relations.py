"""What a table or view of a capture is declared with.

Invariant: plain data; nothing here knows a database.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One column; NULL means that the value was not observed."""

    name: str
    type: str
    """TEXT, INTEGER or REAL."""
    summary: str


@dataclass(frozen=True, slots=True)
class Relation:
    """Something that stands behind FROM."""

    name: str
    summary: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, in order."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True, slots=True)
class Table(Relation):
    """One table and the columns that it is indexed by."""

    indexes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View(Relation):
    """One view; its query yields the columns in their order."""

    sql: str


def columns(*lines: str) -> tuple[Column, ...]:
    """Columns from lines of `Name TYPE what it means`."""
    return tuple(Column(*line.split(maxsplit=2)) for line in lines)
