"""DNS queries that wait for their response, until one comes or the time is over.

Invariant: every query becomes exactly one exchange, answered or unanswered; what
waits is bounded in number and in bytes. Times to wait run on the collector's
monotonic clock, which the caller tells. No IO.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nshell.collector.dns.message import RESPONSE
from nshell.collector.dns.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.collector.decode.rows import Cell

UNANSWERED_SECONDS = 5.0
"""Without a response for so long since it was sent last, a query is unanswered."""
ARRIVAL_SECONDS = 1.0
"""How much longer it is waited for, as events are on their way for a while. That
also lets a resolver's second query join, which many send after 5 s."""
MAX_WAITING = 1 << 16
MAX_WAITING_BYTES = 32 << 20
_LATE_KEPT = 1 << 15

FULL = "written off early: too many queries waited"
ENDED = "the capture ended while it waited"

Key = tuple[str, bytes, int]
"""Node, client and server, id."""


@dataclass(slots=True)
class DnsMessage:
    """One message as its event tells."""

    key: Key
    time_ns: int
    """Wall time."""
    query_ns: int
    """Wall time of the first query, 0 if the kernel has not seen it."""
    latency_ns: int
    """0 if the kernel has not seen the query."""
    retries: int
    flags: int
    """Second word of the header."""
    length: int
    """Of the whole message."""
    data: bytes
    """What was kept of it."""
    interface: Cell
    generation: int
    filter_id: Cell
    since: float = 0.0
    """When it came into being, by the collector's monotonic clock."""

    @property
    def is_response(self) -> bool:
        """Whether the header says so."""
        return bool(self.flags & RESPONSE)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A query, its response, or both."""

    query: DnsMessage | None
    response: DnsMessage | None
    status: str
    """answered, unanswered, late or unasked."""
    problem: str = ""


class WaitingQueries:
    """Of all nodes, in the order in which they were sent last."""

    def __init__(
        self, *, max_waiting: int = MAX_WAITING, max_bytes: int = MAX_WAITING_BYTES
    ) -> None:
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        self._waiting: OrderedDict[Key, DnsMessage] = OrderedDict()
        self._bytes = 0
        self._written_off: Recent[Key, DnsMessage] = Recent(limit=_LATE_KEPT)

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, message: DnsMessage) -> Iterator[Exchange]:
        """Exchanges that end with this message."""
        if message.is_response:
            yield self._respond(message)
            return
        first = self._remove(message.key)
        if first is not None:
            first.retries, first.since = max(first.retries, message.retries), message.since
            first.length = message.length
        self._add(first or message)
        while len(self._waiting) > self._max_waiting or self._bytes > self._max_bytes:
            yield self._write_off(next(iter(self._waiting)), FULL)

    def expire(self, now: float) -> Iterator[Exchange]:
        """Those that have waited long enough."""
        limit = now - UNANSWERED_SECONDS - ARRIVAL_SECONDS
        while self._waiting and next(iter(self._waiting.values())).since <= limit:
            yield self._write_off(next(iter(self._waiting)))

    def end(self) -> Iterator[Exchange]:
        """All others."""
        while self._waiting:
            yield self._write_off(next(iter(self._waiting)), ENDED)

    def _respond(self, response: DnsMessage) -> Exchange:
        query = self._remove(response.key)
        if query is not None:
            return Exchange(query, response, "answered")
        query = self._written_off.pop(response.key)
        if query is not None:
            return Exchange(query, response, "late")
        # The event of its query may be lost where the kernel did see it.
        return Exchange(None, response, "answered" if response.query_ns else "unasked")

    def _write_off(self, key: Key, problem: str = "") -> Exchange:
        query = self._remove(key)
        assert query is not None
        self._written_off.put(key, replace(query, data=b""))
        return Exchange(query, None, "unanswered", problem)

    def _add(self, query: DnsMessage) -> None:
        self._waiting[query.key] = query
        self._bytes += len(query.data)

    def _remove(self, key: Key) -> DnsMessage | None:
        query = self._waiting.pop(key, None)
        if query is not None:
            self._bytes -= len(query.data)
        return query
