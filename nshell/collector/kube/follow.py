"""Keeps what selectors stand for up to date, and agents with it.

Invariant: the first change is passed on at once, those that follow it closely are
gathered; the loop is never kept busy for most of its time by resolving alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from nshell.collector.kube.select import resolve
from nshell.collector.kube.view import View
from nshell.collector.resolution import unknown_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.collector.fleet import Fleet
    from nshell.collector.kube.inventory import Inventory
    from nshell.collector.resolution import Resolution
    from nshell.collector.session import Session
    from nshell.filters import Rule

_LOG = logging.getLogger(__name__)
LEAST_SECONDS = 0.25
"""From one look at the cluster to the next."""
_SHARE = 5
"""Looks may take one part in so many of the time."""
_KNOWN_SECONDS = 3.0


@contextmanager
def following(session: Session, fleet: Fleet, inventory: Inventory) -> Iterator[None]:
    """From now on the inventory says what selectors stand for."""
    follower = _Follower(session, fleet, inventory)
    session.follow(follower.resolve)
    inventory.subscribe(follower.look_soon)
    follower.look_soon()
    try:
        yield
    finally:
        follower.close()


async def known(inventory: Inventory, session: Session) -> None:
    """Where filters wait for it, until the cluster is known: not for long."""
    if not any(each.rule.selectors for each in session.rules):
        return
    changed = asyncio.Event()
    inventory.subscribe(changed.set)
    try:
        async with asyncio.timeout(_KNOWN_SECONDS):
            while not inventory.synced:
                changed.clear()
                await changed.wait()
    except TimeoutError:
        _LOG.warning("selectors wait: %s", inventory.problem or "the cluster is not known yet")


class _Follower:
    def __init__(self, session: Session, fleet: Fleet, inventory: Inventory) -> None:
        self._session = session
        self._fleet = fleet
        self._inventory = inventory
        self._known = False
        """The inventory was whole once."""
        self._view: View | None = None
        """Of the cluster as it is; None: it has changed."""
        self._next: asyncio.TimerHandle | None = None
        self._changed = False

    def resolve(self, rule: Rule) -> Resolution:
        # What was known once is better than nothing when the API server is away.
        self._known = self._known or self._inventory.synced
        if not self._known:
            return unknown_cluster(rule)
        self._view = self._view or View(self._inventory)
        resolution, problem = resolve(rule, self._view), self._inventory.problem
        if problem:
            notes = (*resolution.notes, f"the cluster is not wholly known: {problem}")
            resolution = replace(resolution, notes=notes)
        return resolution

    def look_soon(self) -> None:
        """Something has changed."""
        self._changed, self._view = True, None
        if self._next is None:
            self._look()

    def close(self) -> None:
        """Look no more."""
        if self._next is not None:
            self._next.cancel()

    def _look(self) -> None:
        self._next = None
        if not self._changed:
            return
        self._changed = False
        started, before = time.monotonic(), self._session.present.number
        self._session.refresh()
        self._fleet.announce()
        if self._session.present.number != before:
            _LOG.info("generation %d: selectors follow", self._session.present.number)
        seconds = max(LEAST_SECONDS, _SHARE * (time.monotonic() - started))
        self._next = asyncio.get_running_loop().call_later(seconds, self._look)
