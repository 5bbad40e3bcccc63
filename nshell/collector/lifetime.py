"""Limits of a session: when capturing stops, and when what it captured goes.

Invariant: capturing stops once, with the reason; a session without a shell is
over at a time that can be told from the start on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.lifetime import KEEP_SECONDS, LONGEST_SECONDS, duration_text, size_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from nshell.collector.lease import Lease

NS = 1_000_000_000
_POLL_SECONDS = 0.25
"""How often the growth of the store is looked at, where it is limited."""
_LONGEST_SLEEP = 60.0
"""The clock may be set meanwhile."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a session; 0: none."""

    max_seconds: float = 0
    """Of capturing, from the start."""
    max_bytes: int = 0
    """That the store grows by, whatever the disk budget removes again."""
    keep_seconds: float = KEEP_SECONDS


class Lifetime:
    """Watches the limits of one session."""

    def __init__(
        self,
        limits: Limits,
        lease: Lease,
        *,
        grown: Callable[[], int],
        started_ns: int,
        certificate_ends_ns: int = 0,
    ) -> None:
        """certificate_ends_ns: nobody can come back after that; 0: there is none."""
        self.limits = limits
        self.lease = lease
        self.started_ns = started_ns
        """When it began, wherever and in which process."""
        self.ended = ""
        """Why capturing has stopped, empty while it has not."""
        self.remember: Callable[[], None] = _nothing
        """Called when something of it has changed."""
        self.grown = grown
        """Bytes that the store has grown by."""
        self._noted = (lease.detached, 0)
        self._longest_ns = certificate_ends_ns or started_ns + LONGEST_SECONDS * NS
        self.waits_since_ns = started_ns
        """Since when what was captured waits for a shell."""

    @property
    def ends_ns(self) -> int:
        """When capturing stops at the latest, 0: at no fixed time."""
        ends = []
        if self.limits.max_seconds:
            ends.append(self.started_ns + int(self.limits.max_seconds * NS))
        if self.lease.detached:
            ends.append(self._longest_alone_ns)
        return min(ends, default=0)

    @property
    def kept_until_ns(self) -> int:
        """When a session that nobody comes back to is over, 0: its lease says so."""
        if not self.lease.detached:
            return 0
        begins = self.waits_since_ns if self.ended else self.ends_ns
        return min(begins + int(self.limits.keep_seconds * NS), self._longest_ns)

    @property
    def _longest_alone_ns(self) -> int:
        """When capturing without a shell has to end, so that one can still fetch it."""
        return max(self.started_ns, self._longest_ns - int(self.limits.keep_seconds * NS))

    def go_on(self, *, started_ns: int, ended: str, waits_since_ns: int, detached: bool) -> None:
        """As it was in an earlier collector; a shell that is here already counts more."""
        self.started_ns, self.ended, self.waits_since_ns = started_ns, ended, waits_since_ns
        if detached and not self.lease.shells:
            self.lease.detach()

    def detach(self) -> None:
        """Go on without a shell."""
        self.waits_since_ns = time.time_ns()
        self.lease.detach()
        self.remember()

    def end(self, reason: str) -> None:
        """Capturing has stopped."""
        self.ended = reason
        self.waits_since_ns = time.time_ns()

    async def over(self, stop_capturing: Callable[[str], None]) -> str:
        """Call back when a limit is reached; why the session is over, once it is."""
        while True:
            if not self.ended and (reason := self._reached()):
                self.end(reason)
                stop_capturing(reason)
            kept_until_ns = self.kept_until_ns
            if self.ended and kept_until_ns and time.time_ns() >= kept_until_ns:
                return f"nobody came back for it: {self.ended}"
            self._note()
            await self.lease.changed(timeout=self._seconds_until_due())

    def _note(self) -> None:
        """Have the state written where a later process could be wrong without it."""
        detached, grown = self.lease.detached, self.grown()
        if detached != self._noted[0] or grown - self._noted[1] > self.limits.max_bytes / 100 > 0:
            self._noted = (detached, grown)
            self.remember()

    def _reached(self) -> str:
        limits = self.limits
        if limits.max_bytes and self.grown() >= limits.max_bytes:
            return f"max-bytes of {size_text(limits.max_bytes)} reached"
        if not self.ends_ns or time.time_ns() < self.ends_ns:
            return ""
        elapsed_ns = time.time_ns() - self.started_ns
        if limits.max_seconds and elapsed_ns >= limits.max_seconds * NS:
            return f"max-time of {duration_text(limits.max_seconds)} reached"
        longest = (self._longest_alone_ns - self.started_ns) // NS
        return f"{duration_text(longest)} reached, the longest without a shell"

    def _seconds_until_due(self) -> float | None:
        """None: nothing but a shell changes anything."""
        due_ns = self.kept_until_ns if self.ended else self.ends_ns
        seconds = [_LONGEST_SLEEP, max(0.0, (due_ns - time.time_ns()) / NS)] if due_ns else []
        if self.limits.max_bytes and not self.ended:
            seconds.append(_POLL_SECONDS)
        return min(seconds, default=None)


def _nothing() -> None:
    pass
