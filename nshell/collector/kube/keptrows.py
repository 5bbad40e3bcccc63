"""Rows of a table of what comes and goes: which row each thing has.

Invariant: what is there has a row; of what is gone as many are kept as the table
may hold, the newest, and rows that were given to others are counted.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from nshell.collector.decode.rows import Cell
    from nshell.collector.relations import Table
    from nshell.collector.storage.catalog import Catalog

GONE_KEPT = 1 << 16


class KeptRows:
    """Writes through the catalog; the last column tells when a thing was gone."""

    def __init__(self, catalog: Catalog, table: Table, *, gone_kept: int = GONE_KEPT) -> None:
        self._catalog = catalog
        self._table = table
        self._gone_kept = gone_kept
        self._rows: dict[Hashable, int] = {}
        self._gone: OrderedDict[Hashable, None] = OrderedDict()
        self._unconfirmed: dict[Hashable, tuple[Cell, ...]] = {}
        self._count = 0
        self.forgotten = 0
        """Rows of gone things that others have."""

    def put(self, key: Hashable, cells: tuple[Cell, ...], *, gone: bool) -> None:
        """Insert or replace the row of a thing."""
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = self._free_row()
        self._unconfirmed.pop(key, None)
        if gone:
            self._gone[key] = None
        else:
            self._gone.pop(key, None)
        self._catalog.put(self._table, row, cells)

    def know(self, rows: Iterable[tuple[Cell, Hashable, tuple[Cell, ...]]]) -> None:
        """Rows of an earlier process: number, key and cells."""
        numbers: dict[Hashable, int] = {}
        for number, key, cells in rows:
            assert isinstance(number, int)
            self._rows[key] = numbers[number] = number
            if cells[-1] is None:
                self._unconfirmed[key] = cells
            else:
                self._gone[key] = None
        self._count = max(numbers.values(), default=0)
        self._catalog.know(self._table.name, numbers)

    def end_unconfirmed(self, time_ms: int) -> None:
        """What an earlier process had and nobody has told of since is gone."""
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        for key, cells in unconfirmed.items():
            self.put(key, (*cells[:-1], time_ms), gone=True)

    def _free_row(self) -> int:
        if len(self._gone) < self._gone_kept:
            self._count += 1
            return self._count
        oldest, _ = self._gone.popitem(last=False)
        self.forgotten += 1
        return self._rows.pop(oldest)
