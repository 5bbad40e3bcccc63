"""Counting over restarts and gaps: what agents report, summed by the collector.

Invariant: totals never fall. A counter that falls was reset, so its new value
counts in full. No IO here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SAMPLES = 3
"""Statistics until it is sure how many rows came before: some may still be on their way."""

Key = TypeVar("Key")


class Cumulative(Generic[Key]):
    """Totals of counters that start at 0 with every run of an agent."""

    def __init__(self) -> None:
        self._reported: dict[Key, int] = {}
        self.totals: dict[Key, int] = {}

    def report(self, key: Key, value: int) -> int:
        """Take a reported value; by how much the total grew."""
        before = self._reported.get(key, 0)
        grown = value - before if value >= before else value
        self._reported[key] = value
        self.totals[key] = self.totals.get(key, 0) + grown
        return grown

    def restart(self) -> None:
        """Another run of the agent reports from now on, from 0."""
        self._reported.clear()

    def keep(self, wanted: Callable[[Key], bool]) -> None:
        """Forget the counts of all other keys."""
        self._reported = {key: value for key, value in self._reported.items() if wanted(key)}
        self.totals = {key: value for key, value in self.totals.items() if wanted(key)}

    def earlier(self) -> dict[Key, int]:
        """What runs before the present one came to, where it is not 0."""
        before = {key: total - self._reported.get(key, 0) for key, total in self.totals.items()}
        return {key: value for key, value in before.items() if value}

    def resume(self, totals: Mapping[Key, int], earlier: Mapping[Key, int]) -> None:
        """Go on from these totals, with the run that has reported what is not of earlier ones."""
        self.totals = dict(totals)
        self._reported = {key: max(0, total - earlier.get(key, 0)) for key, total in totals.items()}


@dataclass(slots=True)
class LinkAccount:
    """What one run of an agent sent and what of it arrived.

    A gap in the sequence numbers tells that messages are missing, the next
    statistics how many rows were in them. Without a gap nothing is missing,
    however the numbers of rows compare: the agent may count a batch before it
    sends it.
    """

    last_seq: int = 0
    rows: int = 0
    """Arrived."""
    missing_messages: int = 0
    """Since the last statistics."""
    _before: int | None = 0
    """Rows sent before the first message that arrived here; None: not known yet."""
    _counted: int = field(default=0)
    """Rows known to be lost."""
    _samples: int = 0
    """Statistics to come until `taken_along` tells."""
    _taken_along: int | None = None
    """Rows that went to an earlier collector, at most."""

    @classmethod
    def starting(cls, seq: int) -> LinkAccount:
        """With the hello of a run; one that is not its first message joined midway."""
        return cls(last_seq=seq) if seq <= 1 else cls.midway(last_seq=seq)

    @classmethod
    def midway(cls, *, last_seq: int = 0, rows: int = 0) -> LinkAccount:
        """Of a run that had an earlier collector, which left so many of its rows."""
        return cls(last_seq=last_seq, rows=rows, _before=None, _samples=_SAMPLES)

    def taken_along(self, sent_rows: int) -> int:
        """Rows newly known to have been lost with an earlier collector."""
        if not self._samples:
            return 0
        self._samples -= 1
        missing = max(0, sent_rows - self.rows)
        least = self._taken_along
        self._taken_along = missing if least is None else min(least, missing)
        return 0 if self._samples else self._taken_along

    def arrived(self, seq: int, rows: int = 0) -> None:
        """A message with so many rows."""
        if not self.last_seq:
            self.last_seq = seq
        elif seq > self.last_seq:
            self.missing_messages += seq - self.last_seq - 1
            self.last_seq = seq
        self.rows += rows

    def lost(self, sent_rows: int) -> int:
        """Newly known to be lost, when the agent says how many rows it sent."""
        if self._before is None:
            self._before = sent_rows - self.rows
        missing, self.missing_messages = self.missing_messages, 0
        if not missing:
            return 0
        rows = sent_rows - self._before - self.rows - self._counted
        if rows <= 0:
            return missing
        self._counted += rows
        return rows

    def lost_at_end(self) -> int:
        """Messages still missing when no statistics will tell what they held."""
        missing, self.missing_messages = self.missing_messages, 0
        return missing
