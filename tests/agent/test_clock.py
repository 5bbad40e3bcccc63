"""The offset from kernel time to wall time holds still, and follows a clock that is set."""

from __future__ import annotations

from itertools import count

from agent.clock import WallClock

START = 1_700_000_000_000_000_000


class Clocks:
    """Two clocks, START apart, with a reader that is interrupted now and then."""

    def __init__(self) -> None:
        self.now = 0
        self.set_by = 0
        self._readings = count()

    def monotonic(self) -> int:
        # Every seventh reading comes 3 ms late.
        self.now += 3_000_000 if next(self._readings) % 7 == 0 else 50
        return self.now

    def real(self) -> int:
        return START + self.now + self.set_by


def test_interruptions_between_two_readings_do_not_move_it() -> None:
    clocks = Clocks()
    clock = WallClock(clocks.monotonic, clocks.real)
    offsets = {clock.offset_ns() for _ in range(100)}
    assert len(offsets) == 1
    assert abs(offsets.pop() - START) < 1000


def test_a_clock_that_is_set_is_followed_at_once() -> None:
    clocks = Clocks()
    clock = WallClock(clocks.monotonic, clocks.real)
    before = clock.offset_ns()
    clocks.set_by = 5_000_000
    assert abs(clock.offset_ns() - before - 5_000_000) < 1000
