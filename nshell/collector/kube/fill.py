"""Names for rows that were stored before the owner of their address was known.

Invariant: lives in the writer's thread. One step looks at a bounded number of
rows, in a transaction of its own; a step that the disk refuses is tried again and
costs no row. Nothing is looked for that cannot be there: addresses without a name
are remembered, and rows since when a claim holds are known by their chunks.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nshell.collector.kube.claims import APP
from nshell.collector.kube.columns import LAYER_COLUMN, NAMED
from nshell.collector.storage.writer import now_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nshell.collector.kube.claims import Claim
    from nshell.collector.kube.columns import Named
    from nshell.collector.storage.writer import Writer

STEP_ROWS = 5_000
NAMELESS_KEPT = 1 << 16
"""Addresses in each table."""
_CHUNK_ROWS = 10_000
_CHUNKS = 1 << 10
_UNSURE_ROWS = 100_000
"""Of an earlier process: it had named those before."""
_RETRY_SECONDS = 1.0
_LATE = "temp.late_owner"


@dataclass(slots=True)
class _Stored:
    """What is remembered of a table's rows."""

    chunks: list[tuple[int, int]] = field(default_factory=list)
    """First row of each run of rows, and the time of its last, ms."""
    last_row: int = 0
    nameless: set[str] = field(default_factory=set)
    full: bool = False
    """There were more nameless addresses than may be kept: any may be one."""

    def add(self, last_row: int, count: int, last_ms: int) -> None:
        """Rows were inserted, up to this one."""
        first = last_row - count + 1
        # After a failed transaction rows have numbers for the second time.
        while self.chunks and self.chunks[-1][0] >= first:
            self.chunks.pop()
        if self.chunks and last_row - self.chunks[-1][0] < _CHUNK_ROWS:
            start, before_ms = self.chunks[-1]
            self.chunks[-1] = (start, max(before_ms, last_ms))
        else:
            self.chunks.append((first, last_ms))
        self.last_row = last_row
        if len(self.chunks) > _CHUNKS:
            pairs = itertools.zip_longest(self.chunks[::2], self.chunks[1::2], fillvalue=(0, 0))
            self.chunks = [(one[0], max(one[1], other[1])) for one, other in pairs]

    def first_since(self, time_ms: int) -> int:
        """The first row that can be of that time or later."""
        return next((row for row, last_ms in self.chunks if last_ms >= time_ms), self.last_row + 1)


@dataclass(slots=True)
class _Job:
    """Rows of one table to be looked at, for claims of one kind."""

    table: str
    claims: list[Claim]
    next_row: int
    last_row: int


class LateFill:
    """Remembers what lacks names, and gives them in small steps."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._tables = {name: _Stored() for name in NAMED}
        self._jobs: deque[_Job] = deque()
        self._prepared: _Job | None = None
        self._not_before = 0.0
        self.overflows = 0
        """Addresses that were not remembered: their rows are found by looking at all."""

    def stored(self, table: str, nameless: set[str], *, count: int, last_ms: int) -> None:
        """Rows have just been inserted, some addresses of which may lack a name."""
        kept = self._tables[table]
        kept.add(self._writer.last_row, count, last_ms)
        new = nameless - kept.nameless
        room = NAMELESS_KEPT - len(kept.nameless)
        if len(new) > room:
            self.overflows += len(new) - room
            kept.full = True
            new = set(list(new)[:room])
        kept.nameless |= new

    def had(self, table: str, last_row: int) -> None:
        """An earlier process stored rows up to this one; the last may lack names."""
        kept = self._tables[table]
        kept.add(last_row, min(last_row, _UNSURE_ROWS), now_ms())
        kept.full = True

    def later(self, claims: Iterable[Claim]) -> None:
        """These owners are newly known."""
        by_kind: dict[int, list[Claim]] = {}
        for claim in claims:
            by_kind.setdefault(claim.kind, []).append(claim)
        # In the order of kinds: what has a name keeps it.
        for _, told in sorted(by_kind.items()):
            for table, kept in self._tables.items():
                wanted = [each for each in told if kept.full or each.address in kept.nameless]
                if wanted:
                    first = kept.first_since(min(each.from_ms for each in wanted))
                    if first <= kept.last_row:
                        self._jobs.append(_Job(table, wanted, first, kept.last_row))

    def seconds_until_due(self) -> float | None:
        """None while there is nothing to do."""
        return max(0.0, self._not_before - time.monotonic()) if self._jobs else None

    def step(self) -> None:
        """Look at some rows, if it is time."""
        if self.seconds_until_due() != 0:
            return
        job = self._jobs[0]
        last = min(job.next_row + STEP_ROWS - 1, job.last_row)
        if not (self._prepare(job) and self._update(job, last)):
            self._prepared = None
            self._not_before = time.monotonic() + _RETRY_SECONDS
            return
        job.next_row = max(last + 1, self._first_row(job.table))
        if job.next_row > job.last_row:
            self._jobs.popleft()
            self._prepared = None

    def _first_row(self, table: str) -> int:
        """That was not evicted."""
        ((first,),) = self._writer.rows(f"SELECT min(rowid) FROM {table}")  # noqa: S608  ours
        return first if isinstance(first, int) else 0

    def _prepare(self, job: _Job) -> bool:
        if self._prepared is job:
            return True
        fields = NAMED[job.table].fields
        names = ", ".join(f'"{name}"' for name in fields)
        made = self._writer.revise(
            (
                (f"DROP TABLE IF EXISTS {_LATE}", ()),
                (
                    f"CREATE TABLE {_LATE} (Address, FromMs, ToMs, App, {names},"
                    " PRIMARY KEY (Address, FromMs)) WITHOUT ROWID",
                    (),
                ),
                *(
                    (
                        f"INSERT OR REPLACE INTO {_LATE} VALUES"  # noqa: S608  names of ours
                        f" (?, ?, ?, ?{', ?' * len(fields)})",
                        (
                            claim.address,
                            claim.from_ms,
                            claim.to_ms,
                            int(claim.names.layer == APP),
                            *claim.names.cells[: len(fields)],
                        ),
                    )
                    for claim in job.claims
                ),
            )
        )
        self._prepared = job if made else None
        return made

    def _update(self, job: _Job, last: int) -> bool:
        named = NAMED[job.table]
        return self._writer.revise(
            [
                (update_statement(job.table, named, address, prefix), (job.next_row, last))
                for address, prefix in named.ends
            ]
        )


def update_statement(table: str, named: Named, address: str, prefix: str) -> str:
    """SQL that names one end of rows between two numbers."""
    values = [f'"{prefix}K8S_{name}" = late."{name}"' for name in named.fields]
    if named.layer:
        values.append(
            f"{LAYER_COLUMN} = CASE WHEN late.App OR {LAYER_COLUMN} IS 'app'"
            " THEN 'app' ELSE 'infra' END"
        )
    unit = f" * {named.per_ms}" if named.per_ms != 1 else ""
    return (
        f'UPDATE "{table}" AS r SET {", ".join(values)} FROM {_LATE} AS late'  # noqa: S608
        f' WHERE r.rowid BETWEEN ? AND ? AND r."{prefix}K8S_Name" IS NULL'
        f' AND late.Address = r."{address}"'
        f" AND r.{named.time} >= late.FromMs{unit} AND r.{named.time} < late.ToMs{unit}"
    )
