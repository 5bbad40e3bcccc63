"""Rows that are few and change: agents, interfaces, counters, filter log, losses.

Invariant: the newest version of each row is held here until a commit has it,
so a failed transaction costs nothing but a second write.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nshell.collector.decode.rows import Cell, Rows
from nshell.collector.schema import LOSS

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from nshell.collector.relations import Table


@dataclass(frozen=True, slots=True)
class Loss:
    """Something lost at one stage between two times."""

    node: str
    stage: str
    count: int
    bytes: int
    from_ms: int
    to_ms: int

    def cells(self) -> tuple[Cell, ...]:
        """In the order of the loss table."""
        return (self.node, self.stage, self.count, self.bytes, self.from_ms, self.to_ms)


class Catalog:
    """Rows by table and key, and which of them the database lacks."""

    def __init__(self) -> None:
        self._rowids: dict[tuple[str, Hashable], int] = {}
        self._counts: dict[str, int] = {}
        self._dirty: dict[tuple[str, int], tuple[Table, tuple[Cell, ...]]] = {}
        self._flushed: dict[tuple[str, int], tuple[Table, tuple[Cell, ...]]] = {}
        self._mergeable: dict[tuple[str, str], tuple[int, Loss]] = {}
        self.lost = 0
        """Sum of every loss."""

    def know(self, table: str, rowids: Mapping[Hashable, int]) -> None:
        """These rows are in the database already, by key."""
        self._rowids.update({(table, key): rowid for key, rowid in rowids.items()})
        self.know_count(table, max(rowids.values(), default=0))

    def know_count(self, table: str, last_rowid: int) -> None:
        """The next row of a table comes after this one."""
        self._counts[table] = last_rowid

    def put(self, table: Table, key: Hashable, cells: tuple[Cell, ...]) -> None:
        """Insert or replace the row of a key."""
        rowid = self._rowids.get((table.name, key))
        if rowid is None:
            rowid = self._rowids[table.name, key] = self._next_rowid(table)
        self._dirty[table.name, rowid] = (table, cells)

    def add_loss(self, loss: Loss) -> None:
        """Append to the loss table."""
        self.lost += loss.count
        self._dirty[LOSS.name, self._next_rowid(LOSS)] = (LOSS, loss.cells())

    def merge_loss(self, loss: Loss) -> None:
        """Append to the loss table, in one row with others of its kind before a commit."""
        self.lost += loss.count
        rowid, before = self._mergeable.get((loss.node, loss.stage), (0, None))
        if before is None:
            rowid = self._next_rowid(LOSS)
        else:
            loss = replace(
                loss,
                count=before.count + loss.count,
                bytes=before.bytes + loss.bytes,
                from_ms=before.from_ms,
            )
        self._mergeable[loss.node, loss.stage] = (rowid, loss)
        self._dirty[LOSS.name, rowid] = (LOSS, loss.cells())

    def take(self) -> Iterator[Rows]:
        """What the database lacks, as rows that replace those of the same rowid."""
        self._flushed.update(self._dirty)
        by_table: dict[str, list[tuple[Cell, ...]]] = {}
        tables: dict[str, Table] = {}
        for (name, rowid), (table, cells) in self._dirty.items():
            tables[name] = table
            by_table.setdefault(name, []).append((rowid, *cells))
        self._dirty = {}
        for name, rows in by_table.items():
            columns: list[Sequence[Cell]] = list(zip(*rows, strict=True))
            names = ("rowid", *tables[name].names)
            yield Rows(name, len(rows), dict(zip(names, columns, strict=True)), {})

    def committed(self) -> None:
        """What was taken is in the database."""
        self._flushed = {}
        self._mergeable = {}

    def rolled_back(self) -> None:
        """What was taken is not in the database."""
        self._dirty = self._flushed | self._dirty
        self._flushed = {}

    @property
    def waiting(self) -> bool:
        """Whether the database lacks a row."""
        return bool(self._dirty)

    def _next_rowid(self, table: Table) -> int:
        rowid = self._counts[table.name] = self._counts.get(table.name, 0) + 1
        return rowid
