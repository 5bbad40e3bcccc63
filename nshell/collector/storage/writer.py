"""Transactions of the capture's database, and the account of what they lost.

Invariant: a row handed in is either committed and counted in the totals, or
counted as lost at stage `store`. A failing disk never ends the capture.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import apsw

from nshell.collector.storage.catalog import Loss

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nshell.collector.decode.rows import Cell, Rows
    from nshell.collector.storage.catalog import Catalog
    from nshell.collector.storage.database import Database

_LOG = logging.getLogger(__name__)
EVENT_TABLES = ("dns", "packet_drop", "tcp_event")
_COMMIT_ROWS = 100_000
_COMMIT_SECONDS = 0.1


def now_ms() -> int:
    """Of the collector's clock."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Totals:
    """Numbers that other threads may read at any moment."""

    committed: Counter[str] = field(default_factory=Counter)
    """Rows by table."""
    evicted_packets: int = 0
    """Removed by the disk budget."""
    store_bytes: int = 0
    """Of rows and packets that are there: what the limits count, not what readers hold up."""
    grown_bytes: int = 0
    """Of rows and packets ever stored, those removed again among them."""
    problem: str = ""
    """Why the disk does not take rows, empty while it does."""

    @property
    def flow_rows(self) -> int:
        """Committed to flow."""
        return self.committed["flow"]

    @property
    def packet_rows(self) -> int:
        """Committed to packet."""
        return self.committed["packet"]

    @property
    def event_rows(self) -> int:
        """Committed to dns, packet_drop and tcp_event."""
        return sum(map(self.committed.__getitem__, EVENT_TABLES))


class Writer:
    """Inserts and commits, in the writer's thread alone."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._pending: Counter[tuple[str, str]] = Counter()
        self._due: float | None = None
        self.commits = 0
        """So far, those that wrote something."""
        self.catalog = catalog
        self.totals = Totals()

    def insert(self, rows: Rows, *, node: str) -> bool:
        """Add rows of a node to the transaction; False when they were lost."""
        if not rows.count:
            return True
        try:
            self._database.insert(rows)
        except (apsw.Error, OverflowError) as error:
            self._pending[node, rows.table] += rows.count
            self.abandon(error)
            return False
        self._pending[node, rows.table] += rows.count
        return True

    def commit(self) -> bool:
        """Make everything so far durable; False when it was lost."""
        self._due = None
        if not self._database.in_transaction and not self.catalog.waiting:
            return True
        try:
            for rows in self.catalog.take():
                self._database.insert(rows)
            self._database.commit()
        except (apsw.Error, OverflowError) as error:
            self.abandon(error)
            return False
        self.commits += 1
        self.catalog.committed()
        for (_, table), count in self._pending.items():
            self.totals.committed[table] += count
        self._pending.clear()
        self.recovered()
        return True

    def revise(self, statements: Iterable[tuple[str, tuple[Cell, ...]]]) -> bool:
        """Change rows that are there; False when the disk failed, and nothing changed."""
        if not self.commit():
            return False
        try:
            self._database.revise(statements)
        except apsw.Error as error:
            self.abandon(error)
            return False
        self.commits += 1
        return True

    def rows(self, sql: str) -> list[tuple[Cell, ...]]:
        """Of a query of ours."""
        return self._database.select(sql)

    @property
    def last_row(self) -> int:
        """Number of the row inserted last."""
        return self._database.last_row

    def commit_if_due(self) -> bool:
        """Commit when enough rows or enough time has gathered."""
        wait = self.seconds_until_due()
        if wait is None or (wait > 0 and self._pending.total() < _COMMIT_ROWS):
            return False
        return self.commit()

    def seconds_until_due(self) -> float | None:
        """None while nothing waits for a commit."""
        if not self._pending and not self.catalog.waiting:
            return None
        now = time.monotonic()
        if self._due is None:
            self._due = now + _COMMIT_SECONDS
        return max(0.0, self._due - now)

    def lose(self, node: str, count: int, stage: str = "store", lost_bytes: int = 0) -> None:
        """Count rows that will never be stored."""
        now = now_ms()
        self.catalog.merge_loss(Loss(node, stage, count, lost_bytes, now, now))

    def disk_failed(self, error: Exception) -> None:
        """Say once that the disk does not take rows."""
        problem = f"the disk does not take rows: {error}"
        if problem != self.totals.problem:
            _LOG.error("%s", problem)
            self.totals.problem = problem

    def recovered(self) -> None:
        """The disk takes rows again."""
        if self.totals.problem:
            _LOG.warning("the disk takes rows again")
            self.totals.problem = ""

    def abandon(self, error: Exception) -> None:
        """Roll back; every row of the transaction counts as lost."""
        self.disk_failed(error)
        try:
            self._database.rollback()
        except apsw.Error as second:
            _LOG.error("rollback: %s", second)
        self.catalog.rolled_back()
        lost: Counter[str] = Counter()
        for (node, _), count in self._pending.items():
            lost[node] += count
        self._pending.clear()
        for node, count in lost.items():
            self.lose(node, count)
