"""Who had the addresses of rows: what the writer's thread does for a cluster.

Invariant: rows go through here on their way to the database and lose nothing; a
capture that watches no cluster has none of this.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nshell.collector import schema
from nshell.collector.kube.columns import NAMED, with_names
from nshell.collector.kube.fill import LateFill
from nshell.collector.kube.register import TABLES, Register

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.collector.decode.rows import Rows
    from nshell.collector.kube.inventory import Change
    from nshell.collector.storage.writer import Writer

_END_SECONDS = 2.0
NOT_REMEMBERED = "nameless_addresses_not_remembered"


class Naming:
    """Names rows as they come, and those that came before their names."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._register = Register(writer.catalog)
        self._fill = LateFill(writer)
        self._overflows = 0
        self._go_on()

    def changes(self, changes: Sequence[Change]) -> None:
        """The inventory changed."""
        self._fill.later(self._register.take(changes))

    def insert(self, rows: Rows, *, node: str) -> None:
        """Insert rows with the names that are known."""
        if not rows.count or rows.table not in NAMED:
            self._writer.insert(rows, node=node)
            return
        found = with_names(rows, self._register.claims)
        if self._writer.insert(found.rows, node=node):
            self._fill.stored(rows.table, found.nameless, count=rows.count, last_ms=found.last_ms)
            self._tell_overflows()

    def seconds_until_due(self) -> float | None:
        """Until step is to be called; None while there is nothing to do."""
        return self._fill.seconds_until_due()

    def step(self) -> None:
        """Name some of the rows that came before their names."""
        self._fill.step()

    def end(self) -> None:
        """Name what can be named in a short time; nothing more will come."""
        until = time.monotonic() + _END_SECONDS
        while self._fill.seconds_until_due() == 0 and time.monotonic() < until:
            self._fill.step()

    def _go_on(self) -> None:
        """With what an earlier process left, if there was one."""
        for table in TABLES:
            rows = self._writer.rows(f'SELECT rowid, * FROM "{table.name}" ORDER BY rowid')  # noqa: S608
            self._register.know(table, rows)
        for name in NAMED:
            ((last,),) = self._writer.rows(f'SELECT max(rowid) FROM "{name}"')  # noqa: S608  ours
            if isinstance(last, int):
                self._fill.had(name, last)

    def _tell_overflows(self) -> None:
        if self._fill.overflows != self._overflows:
            self._overflows = self._fill.overflows
            summary = "addresses without a name beyond those remembered: all rows are looked at"
            cells = ("", NOT_REMEMBERED, self._overflows, summary)
            self._writer.catalog.put(schema.COUNTER, ("", NOT_REMEMBERED), cells)
