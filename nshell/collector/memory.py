"""What a later collector is to know: in a file for one on the same files, with the
agents for one that starts elsewhere.

Invariant: both are up to date before an agent is told of a change; of what several
agents hand back, the newest counts.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from nshell.collector.recovery import resume_session, saved_state
from nshell.collector.statefile import StateFile, from_text, to_text

if TYPE_CHECKING:
    from pathlib import Path

    from nshell.collector.capture import Capture
    from nshell.collector.fleet import Fleet
    from nshell.collector.lifetime import Lifetime
    from nshell.collector.session import Session
    from nshell.collector.storage.store import Store

_LOG = logging.getLogger(__name__)
_LONGEST_MEMO = 256 << 10
"""Bytes: filters may name very many addresses, and agents are small."""


class Memory:
    """Of one session."""

    def __init__(
        self, directory: Path, session: Session, fleet: Fleet, store: Store, lifetime: Lifetime
    ) -> None:
        self._file = StateFile(directory)
        self._session, self._fleet, self._lifetime = session, fleet, lifetime
        self._fresh = store.remains is None
        """Nobody before it has left anything here."""
        self._adopted = 0
        fleet.remember = lifetime.remember = self.remember
        fleet.adopt = self.adopt
        self.remember()

    def remember(self) -> None:
        """Write it and hand it out."""
        state = saved_state(self._session, self._fleet, self._lifetime)
        self._file.write(state)
        # What counts rows is of use with these rows alone.
        memo = to_text(replace(state, runs={}, generations=(), grown_bytes=0)).encode()
        if len(memo) <= _LONGEST_MEMO:
            self._fleet.hand_out(memo)

    def adopt(self, memo: bytes) -> None:
        """An agent hands back what an earlier collector of the session was."""
        if not self._fresh or not memo:
            return
        try:
            state = from_text(memo.decode())
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            _LOG.error("cannot read what an agent kept: %s", error)
            return
        if state.generation < max(self._session.present.number, self._adopted + 1):
            return
        _LOG.warning("an earlier collector is gone: going on with its filters and limits")
        self._adopted = state.generation
        try:
            resume_session(self._session, state, None)
        except ValueError as error:
            _LOG.error("cannot take over its filters: %s", error)
        self._lifetime.go_on(
            started_ns=state.started_ns,
            ended=state.ended,
            waits_since_ns=state.waits_since_ns,
            detached=state.detached,
        )
        self._fleet.announce()


def write_end(directory: Path, capture: Capture, reason: str) -> None:
    """The session is over: whoever starts on these files must not begin it again."""
    # Agents that still come and go must not have it written as it was.
    capture.fleet.remember = capture.lifetime.remember = lambda: None
    over = saved_state(capture.session, capture.fleet, capture.lifetime, over=reason)
    StateFile(directory).write(over)
