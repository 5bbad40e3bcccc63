"""Who had which address when: intervals, and the lookup of a row's address at its time.

Of pods, an address belongs to one at a time. It was given to a pod some time
between the pod's start (its node took it on) and the moment when the pod surely
had it (its first container started, or we saw it with the address). The one that
had the address before keeps it until it was seen to be gone, finished or without
it, but not beyond that moment: so a deletion that we saw late does not take rows
from the next pod, and a pod that waited for a free address does not take rows from
the last one. Nodes and services have their addresses from their creation, or from
when we saw a later one. Where several kinds claim an address, a pod goes before a
node and a node before a service, as in NetObserv.

Invariant: intervals of pods on one address do not overlap; lives in the writer's
thread.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.collector.clustertables import OWNER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.collector.decode.rows import Cell

FOREVER = 1 << 62
POD, NODE, SERVICE = range(3)
"""Kinds of claim in the order in which they are asked."""
KEPT_MS = 600_000
"""Rows are later than what they tell of by less than this."""


UNKNOWN, INFRA, APP = range(3)
"""Layers that an end may belong to; a flow is of the highest of its ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """What rows say of an owner."""

    cells: tuple[str | None, ...]
    """In the order of the columns: clustertables.OWNER."""
    layer: int


NOBODY = Names((None,) * len(OWNER), UNKNOWN)


@dataclass(slots=True, eq=False)
class Claim:
    """An owner of one address and since when; some members change while it is open."""

    address: str
    kind: int
    holder: str
    """Tells its owner from all others."""
    names: Names
    started_ms: int
    """When it can have had the address at the earliest."""
    from_ms: int
    to_ms: int = FOREVER

    @property
    def open(self) -> bool:
        """Whether it holds now."""
        return self.to_ms == FOREVER

    def covers(self, first_ms: int, last_ms: int) -> bool:
        """Whether it held all the time."""
        return self.from_ms <= first_ms and last_ms < self.to_ms

    def row(self) -> tuple[Cell, ...]:
        """Of the ip_owner table."""
        name, namespace, kind, owner_name, owner_type, *host = self.names.cells
        return (
            self.address,
            kind,
            namespace,
            name,
            owner_type,
            owner_name,
            *host,
            self.from_ms,
            None if self.open else self.to_ms,
        )


class Undecided:
    """What a lookup gives when it depends on the moment."""


UNDECIDED = Undecided()


class Claims:
    """All claims by address: those that hold, and for a while those that held."""

    def __init__(self) -> None:
        self._claims: dict[str, list[Claim]] = {}
        """Of each address in the order in which they are asked."""
        self._ended: list[tuple[int, int, Claim]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return sum(map(len, self._claims.values()))

    def find(self, address: str, first_ms: int, last_ms: int) -> Names | Undecided | None:
        """Who had it all this time; None: nobody at any time of it."""
        found = [
            each
            for each in self._claims.get(address, ())
            if each.from_ms <= last_ms and first_ms < each.to_ms
        ]
        if not found:
            return None
        first = found[0]
        return first.names if first.covers(first_ms, last_ms) else UNDECIDED

    def at(self, address: str, time_ms: int) -> Names | None:
        """Who had it then."""
        for each in self._claims.get(address, ()):
            if each.from_ms <= time_ms < each.to_ms:
                return each.names
        return None

    def held_by(self, address: str, holder: str) -> Claim | None:
        """The open claim of an owner."""
        for each in self._claims.get(address, ()):
            if each.open and each.holder == holder:
                return each
        return None

    def add(self, claim: Claim, *, sure_ms: int) -> Iterator[Claim]:
        """Enter one, and yield others that end thereby, then itself.

        sure_ms: when it had the address at the latest.
        """
        for other in self._claims.get(claim.address, ()):
            # Services can have one address together, each for its ports.
            if other.kind != claim.kind or (other.open and other.kind != POD):
                continue
            if other.started_ms > claim.started_ms:
                claim.to_ms = max(claim.from_ms, min(claim.to_ms, other.from_ms))
                continue
            before = other.to_ms
            other.to_ms = max(other.from_ms, min(other.to_ms, max(sure_ms, claim.from_ms)))
            claim.from_ms = max(claim.from_ms, other.to_ms)
            if before != other.to_ms:
                self._note_end(other)
                yield other
        mine = self._claims.setdefault(claim.address, [])
        mine.append(claim)
        mine.sort(key=lambda each: (each.kind, -each.from_ms))
        if not claim.open:
            self._note_end(claim)
        yield claim

    def end(self, claim: Claim, time_ms: int) -> None:
        """It holds no longer."""
        claim.to_ms = max(claim.from_ms, time_ms)
        self._note_end(claim)

    def forget(self, before_ms: int) -> None:
        """Drop what ended before."""
        while self._ended and self._ended[0][0] < before_ms:
            _, _, claim = heapq.heappop(self._ended)
            left = self._claims.get(claim.address, [])
            if claim in left and not claim.open and claim.to_ms < before_ms:
                left.remove(claim)
                if not left:
                    del self._claims[claim.address]

    def _note_end(self, claim: Claim) -> None:
        heapq.heappush(self._ended, (claim.to_ms, next(self._order), claim))
