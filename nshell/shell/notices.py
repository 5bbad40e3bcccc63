"""What the background has to say: told once, and never faster than one line of a
kind in five seconds.

Pure: two states of the session in, lines out. The clock is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.shell.escape import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from nshell.proto import session_pb2 as pb

EVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a line."""

    kind: str
    """Events of one kind share the limit."""
    text: str


def events(before: pb.Status, now: pb.Status) -> Iterator[Event]:
    """What changed for the worse, or back."""
    known = {agent.node: agent for agent in before.agents}
    for agent in now.agents:
        node, old = escape(agent.node), known.get(agent.node)
        if old is not None and old.connected and not agent.connected:
            why = f": {escape(agent.error)}" if agent.error else ""
            yield Event(f"agent {node}", f"agent on {node} lost{why}")
        elif old is not None and not old.connected and agent.connected:
            yield Event(f"agent {node}", f"agent on {node} is back")
        elif old is not None and agent.connected and agent.error and agent.error != old.error:
            yield Event(f"agent {node}", f"agent on {node}: {escape(agent.error)}")
        # Of events of one kind only the latest is kept: all that is new goes into one.
        if new := _new(agent.problems, old.problems if old else ()):
            yield Event(f"problem {node}", f"agent on {node}: {new}")
    if now.ended and not before.ended:
        yield Event("ended", f"capturing has ended: {escape(now.ended)}")
    if new := _new(now.notices, before.notices):
        yield Event("notice", new)
    if now.stopping and not before.stopping:
        yield Event("stopping", "the collector is ending the session")


def _new(now: Iterable[str], before: Collection[str]) -> str:
    return "; ".join(escape(text) for text in now if text not in before)


class Limiter:
    """Lets one line of a kind through in five seconds; holds the latest of the rest."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}
        self._held: dict[str, Event] = {}

    def offer(self, event: Event) -> None:
        """Take note of it; the latest of its kind counts."""
        self._held[event.kind] = event

    def due(self) -> list[Event]:
        """The events that may be shown now."""
        now = self._clock()
        kinds = [
            kind
            for kind in self._held
            if now - self._last.get(kind, now - EVERY_SECONDS) >= EVERY_SECONDS
        ]
        for kind in kinds:
            self._last[kind] = now
        return [self._held.pop(kind) for kind in kinds]


class LossMeter:
    """Sums up what was lost since it last spoke."""

    def __init__(self) -> None:
        self._told = 0
        self._latest = 0

    def update(self, lost: int) -> Event | None:
        """The event to offer, if there is new loss."""
        if lost <= self._latest:
            return None
        self._latest = lost
        return Event(
            "loss", f"lost {lost - self._told:,} more, {lost:,} in all: `losses` says where"
        )

    def told(self) -> None:
        """Its line has been shown."""
        self._told = self._latest
