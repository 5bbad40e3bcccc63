"""Names that DNS answers gave to addresses: the rows of the dns_name table.

Invariant: bounded; when the table is full, the pair not seen for the longest
time gives its row to the next.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.collector.schema import DNS_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nshell.collector.storage.catalog import Catalog

MAX_PAIRS = 1 << 16


@dataclass(slots=True)
class _Seen:
    row: int
    first_ms: int


class DnsNames:
    """Pairs of address and name, the one seen last at the end."""

    def __init__(self, catalog: Catalog, *, limit: int = MAX_PAIRS) -> None:
        self._catalog = catalog
        self._limit = limit
        self._pairs: OrderedDict[tuple[str, str], _Seen] = OrderedDict()

    def add(self, address: str, name: str, time_ms: int) -> None:
        """An answer for a name held an address."""
        # Letters differ in case for the security of some resolvers, not for a meaning.
        pair = (address, name.lower())
        seen = self._pairs.get(pair)
        if seen is None:
            seen = self._pairs[pair] = _Seen(self._free_row(), time_ms)
        else:
            self._pairs.move_to_end(pair)
        self._catalog.put(DNS_NAME, seen.row, (*pair, seen.first_ms, time_ms))

    def know(self, rows: Iterable[tuple[int, str, str, int]]) -> None:
        """Row, address, name and first time of pairs in the table, the one seen last at the end."""
        for row, address, name, first_ms in rows:
            self._pairs[address, name] = _Seen(row, first_ms)

    def _free_row(self) -> int:
        if len(self._pairs) < self._limit:
            return len(self._pairs)
        _, oldest = self._pairs.popitem(last=False)
        return oldest.row
