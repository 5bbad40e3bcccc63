"""The limit on disk space: what is oldest goes first.

Invariant: everything evicted is counted as loss at stage `disk_budget`, and
nothing is counted that a failed transaction kept.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import apsw

from nshell.collector.storage.segments import DEFAULT_SEGMENT_BYTES

if TYPE_CHECKING:
    from nshell.collector.storage.database import Database
    from nshell.collector.storage.segments import Segments
    from nshell.collector.storage.writer import Writer

_LOG = logging.getLogger(__name__)

_PARTS = 8
"""One eviction removes about this fraction of what there is ..."""
_ROWS = 50_000
"""... and at most so many rows, lest it hold up the writer."""
_BYTES = {"flow": "Bytes", "dns": "Length", "packet_drop": "Length", "tcp_event": "0"}
"""Tables that are evicted from by themselves, and the bytes that their rows tell of."""


def segment_bytes(limit_bytes: int) -> int:
    """Size of a packet file, small enough that evicting one leaves most."""
    return min(DEFAULT_SEGMENT_BYTES, limit_bytes // _PARTS)


class Budget:
    """Evicts after a commit, one piece at a time, in the writer's thread."""

    def __init__(
        self, database: Database, segments: Segments, *, writer: Writer, limit_bytes: int
    ) -> None:
        self._database = database
        self._segments = segments
        self._writer = writer
        self._limit_bytes = limit_bytes
        self._used = database.bytes_at_start + segments.total_bytes

    def enforce(self) -> None:
        """Evict what is oldest while the store is too large; note how large it is."""
        try:
            used = self._used_bytes()
            self._writer.totals.grown_bytes += max(0, used - self._used)
            for _ in range(_PARTS):
                if used <= self._limit_bytes:
                    break
                self._evict()
                used = self._used_bytes()
            self._used = self._writer.totals.store_bytes = used
            if self._database.file_bytes() + self._segments.total_bytes > self._limit_bytes:
                self._database.give_back_space()
        except (apsw.Error, OSError) as error:
            self._writer.abandon(error)

    def _used_bytes(self) -> int:
        # What every limit is about, and what the status tells. Free pages are filled
        # again; readers, not rows, make the log grow.
        return self._database.used_bytes() + self._segments.total_bytes

    def _evict(self) -> None:
        """Remove the oldest part of what takes most space."""
        rowids = {table: self._rowids(table) for table in ("packet", *_BYTES)}
        rows = {table: last - first + 1 for table, (first, last) in rowids.items()}
        # Rows of all tables are about as long as each other.
        row_bytes = self._database.used_bytes() / (sum(rows.values()) or 1)
        packet_bytes = rows["packet"] * row_bytes + self._segments.total_bytes
        largest = max(_BYTES, key=rows.__getitem__)
        if packet_bytes > rows[largest] * row_bytes and self._segments.sizes:
            self._evict_segment(next(iter(self._segments.sizes)))
        elif rows[largest]:
            first, _ = rowids[largest]
            last = first + min(rows[largest] // _PARTS, _ROWS)
            self._delete(largest, last, size=_BYTES[largest])

    def _evict_segment(self, number: int) -> None:
        # Rows stand in the order of the files, so the search ends with the file.
        ends = self._database.select(
            "SELECT rowid - 1 FROM packet WHERE Segment > ? ORDER BY rowid LIMIT 1", (number,)
        )
        last = int(str(ends[0][0])) if ends else self._rowids("packet")[1]
        gone = self._delete("packet", last, size="CapLen")
        if gone is not None:
            self._writer.totals.evicted_packets += gone
            self._segments.remove(number)
            _LOG.warning("disk budget: removed %d packets of segment %d", gone, number)

    def _delete(self, table: str, last: int, *, size: str) -> int | None:
        """Delete rows up to a rowid and count them as lost; how many, None if it failed."""
        found = self._database.select(
            f"SELECT Node, count(*), sum({size}) FROM {table} WHERE rowid <= ? GROUP BY Node",  # noqa: S608
            (last,),
        )
        self._database.delete_up_to(table, last)
        if not self._writer.commit():
            return None
        gone = 0
        for node, count, lost_bytes in found:
            assert isinstance(count, int)
            assert isinstance(lost_bytes, int)
            self._writer.lose(str(node), count, "disk_budget", lost_bytes)
            gone += count
        return gone

    def _rowids(self, table: str) -> tuple[int, int]:
        """First and last, (1, 0) when the table is empty."""
        # Two subqueries: min and max together would walk the whole table.
        ((first, last),) = self._database.select(
            f"SELECT (SELECT min(rowid) FROM {table}), (SELECT max(rowid) FROM {table})"  # noqa: S608
        )
        return (int(first), int(last)) if first is not None and last is not None else (1, 0)
