"""Wall time of kernel timestamps: one steady offset.

CLOCK_REALTIME and CLOCK_MONOTONIC are slewed together, so their difference
changes only when somebody sets the clock. A measurement, though, is off by
whatever came between its two readings; used as it is, it would put packets of
neighbouring batches out of order.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SAMPLES = 5
_TOLERANCE_NS = 100_000
"""A difference up to this, beyond the measurement's own doubt, is no set clock."""


@dataclass(slots=True)
class WallClock:
    """CLOCK_REALTIME - CLOCK_MONOTONIC in ns."""

    monotonic_ns: Callable[[], int] = time.monotonic_ns
    real_ns: Callable[[], int] = time.time_ns
    _offset_ns: int | None = None

    def offset_ns(self) -> int:
        """The same value again until the clock has been set."""
        doubt, measured = min(self._measure() for _ in range(_SAMPLES))
        held = self._offset_ns
        if held is None or abs(measured - held) > doubt + _TOLERANCE_NS:
            self._offset_ns = held = measured
        return held

    def _measure(self) -> tuple[int, int]:
        """(most that it can be off by, offset)."""
        before = self.monotonic_ns()
        real = self.real_ns()
        after = self.monotonic_ns()
        return after - before, real - (before + after) // 2
