"""The capture on one node: programs on interfaces, generations, what comes out.

Knows no RPC. Blocking kernel work (a flip waits for every CPU) runs in a
thread, one piece at a time; everything else belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from agent.filters import tables
from agent.kernel import symbols
from agent.kernel.attach import AttachError, Hooks, sweep_interface
from agent.kernel.classifier import Classifier, Hit, Window
from agent.kernel.interfaces import Interface, changes, snapshot
from agent.kernel.peers import Peers
from agent.kernel.ring import Ring

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from pyroute2 import AsyncIPRoute

    from agent.filters.rule import Rule
    from agent.filters.tables import Settings
    from agent.kernel.attach import Anchor, Method
    from agent.kernel.compile import Loaded
    from agent.kernel.hooks import FeatureHooks


@dataclass(frozen=True, slots=True)
class Applied:
    """What a generation's coming into force left behind."""

    hits: list[Hit]
    """Final, of the generation before."""
    previous: int
    window: Window
    """Of the generation before, up to the flip."""
    applied_ns: int
    """CLOCK_REALTIME when it was in force for every packet."""
    problems: dict[str, str]
    """Why a feature that was asked for is not on, by its name."""


@dataclass(frozen=True, slots=True)
class Names:
    """What numbers in events mean on this node."""

    drop_reasons: dict[int, str]
    reset_reasons: dict[int, str]
    functions: dict[int, str]
    """By an address in them."""


@dataclass(slots=True)
class Capture:
    """Create with open(); close() takes everything off the node again."""

    netlink: AsyncIPRoute
    loaded: Loaded
    hooks: Hooks
    patterns: tuple[str, ...]
    """Names of interfaces, * and ? allowed; none: all that are up but loopback."""
    classifier: Classifier
    ring: Ring
    events: Ring
    features: asyncio.Future[FeatureHooks]
    """Done when they have been compiled."""
    want_features: Callable[[], None]
    """Has that done soon."""
    interfaces: dict[int, Interface] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    """Why an interface that was asked for is not attached, by ifindex."""
    peers: Peers = field(default_factory=Peers)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _functions: dict[int, str] | None = None
    """Looked up so far; None: no name has been handed out."""

    @classmethod
    async def open(
        cls,
        netlink: AsyncIPRoute,
        loaded: Loaded,
        features: asyncio.Future[FeatureHooks],
        *,
        want_features: Callable[[], None],
        method: Method,
        anchor: Anchor,
        patterns: Sequence[str],
    ) -> Capture:
        """Remove what a killed agent left, then attach where asked; nothing is captured yet."""
        hooks = Hooks(netlink, loaded.programs, method, anchor)
        capture = cls(
            netlink, loaded, hooks, tuple(patterns), Classifier(loaded),
            Ring(loaded.maps["ring"]), Ring(loaded.maps["events"]), features, want_features,
        )  # fmt: skip
        for ifindex in await snapshot(netlink):
            await sweep_interface(netlink, ifindex)
        await capture.look()
        return capture

    async def look(self) -> bool:
        """Attach to what is new and let go of what has gone; True if anything changed."""
        listed = await snapshot(self.netlink)
        found = await asyncio.to_thread(self.peers.fill, listed)
        changed = found != self.interfaces
        async with self.lock:
            for ifindex in self.interfaces.keys() - found.keys():
                self.problems.pop(ifindex, None)
                self.classifier.set_attached(ifindex, attached=False)
                await self.hooks.detach(ifindex)
            self.interfaces = found
            for interface in found.values():
                if self._wanted(interface) and interface.ifindex not in self.hooks.links:
                    changed |= await self._attach(interface)
        return changed

    async def watch(self) -> AsyncIterator[None]:
        """Follow the interfaces; yields after each change of the list."""
        async for _ in changes():
            if await self.look():
                yield

    def _wanted(self, interface: Interface) -> bool:
        if not interface.up:
            return False
        if self.patterns:
            return any(fnmatchcase(interface.name, pattern) for pattern in self.patterns)
        return not interface.loopback

    async def _attach(self, interface: Interface) -> bool:
        """True if that is news."""
        before = self.problems.pop(interface.ifindex, None)
        if interface.link_type is None:
            problem = f"link type {interface.hardware} is not understood"
        else:
            try:
                self.classifier.add_interface(interface.ifindex, interface.name)
                await self.hooks.attach(interface)
                self.classifier.set_attached(interface.ifindex, attached=True)
            except (AttachError, OSError) as error:
                problem = str(error)
            else:
                return True
        self.problems[interface.ifindex] = problem
        return problem != before

    def missing(self) -> list[str]:
        """Patterns that no interface has met so far."""
        names = [interface.name for interface in self.interfaces.values()]
        return [p for p in self.patterns if not any(fnmatchcase(n, p) for n in names)]

    async def apply(self, rules: Sequence[Rule], settings: Settings) -> Applied:
        """Put a generation in force; ValueError or OSError if it cannot be, and nothing changed."""
        hooks = await self._hooks() if settings.features else None
        async with self.lock:
            names = {i.ifindex: i.name for i in self.interfaces.values()}
            return await asyncio.to_thread(self._apply, rules, settings, names, hooks)

    async def _hooks(self) -> FeatureHooks:
        if not self.features.done():
            self.want_features()
        return await asyncio.shield(self.features)

    def _apply(
        self, rules: Sequence[Rule], settings: Settings, names: dict[int, str],
        hooks: FeatureHooks | None,
    ) -> Applied:  # fmt: skip
        # On before the flip, off after it: the flip alone decides what is seen.
        problems = hooks.switch_on(settings.features) if hooks else {}
        settings = replace(settings, features=settings.features - problems.keys())
        previous = self.classifier.generation
        try:
            built = tables.build(rules, settings)
            hits = self.classifier.apply(built, generation=settings.generation, interfaces=names)
            now = time.time_ns()
        finally:
            # What is in force, be it the new generation or, on an error, still the old one.
            if self.features.done():
                self.features.result().switch_off(self.classifier.features)
        return Applied(hits, previous, self.classifier.drain(), now, problems)

    async def evict(self) -> Window:
        """The flows since the last eviction or change."""
        async with self.lock:
            return await asyncio.to_thread(self._evict)

    def _evict(self) -> Window:
        self.classifier.evict()
        return self.classifier.drain()

    async def new_names(self) -> Names | None:
        """Names that new_names() has not told yet, if there are any."""
        features = (await self.features).loaded
        locations = features.loaded.maps.get("locations")
        known = self._functions
        found = locations.numbers() if locations and self.features.result().is_on("drops") else []
        fresh = [each for each in found if known is None or each not in known]
        if known is not None and not fresh:
            return None
        names = await asyncio.to_thread(symbols.look_up, fresh) if fresh else {}
        # Those without a name are not asked for again.
        self._functions = (known or {}) | dict.fromkeys(fresh, "") | names
        first = known is None
        return Names(
            features.drop_reasons if first else {}, features.reset_reasons if first else {}, names
        )

    def forget_names(self) -> None:
        """Another collector listens: new_names() starts from the beginning."""
        self._functions = None

    async def detach(self) -> None:
        """Stop seeing packets; what was captured can still be taken."""
        async with self.lock:
            await self.hooks.detach_all()
            if self.features.done():
                self.features.result().switch_off(())

    async def close(self) -> None:
        await self.detach()
        (await self.features).close()
        self.ring.close()
        self.events.close()
        self.classifier.close()
        self.loaded.close()
