"""All nodes of a session: who is connected, what they acknowledged, what they lost.

Invariant: lives on the event loop; every change of a node's state is written to
the store's small tables at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent import wire
from nshell.collector.decode.rows import GenerationKey
from nshell.collector.interfaces import from_message
from nshell.collector.nodes import LOST_ON_THE_WAY, Node, rule_indexes
from nshell.collector.schema import AGENT, COUNTER, FILTER_LOG, INTERFACE
from nshell.collector.storage.catalog import Loss
from nshell.collector.storage.writer import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.proto import agentlink_pb2 as pb
    from nshell.collector.session import Generation, Session
    from nshell.collector.storage.store import Store

_LOG = logging.getLogger(__name__)
_GENERATIONS = 256
"""Known at least, the newest of them."""


class Superseded(Exception):  # noqa: N818  an event, not an error
    """The same node has connected anew."""


@dataclass(slots=True)
class Link:
    """One connection of an agent, as what waits to be sent to it."""

    node: str
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """There may be something to send."""
    ping_due: bool = True
    superseded: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    """Fails with Superseded when the same node connects anew."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of agents before any has connected."""

    nodes: dict[str, Node] = field(default_factory=dict)
    generations: Sequence[Generation] = ()
    """In the order of their numbers."""
    rule_hits: Counter[tuple[int, int]] = field(default_factory=Counter)
    """By rule and kind."""


class Fleet:
    """The nodes by name, in the order in which they first connected."""

    def __init__(self, session: Session, store: Store, known: Known | None = None) -> None:
        """known: what an earlier collector knew of its agents."""
        known = known or Known()
        self._session = session
        self._store = store
        self._links: dict[str, Link] = {}
        self._generations: dict[int, Generation] = {}
        self._rule_hits = known.rule_hits
        self._changed = asyncio.Event()
        self.nodes = known.nodes
        self.stop_reason = ""
        """Why agents are to end, empty while they are not."""
        self.remember: Callable[[], None] = _nothing
        """Called before an agent is told of a change."""
        self.memo = b""
        """For every agent to keep."""
        self.adopt: Callable[[bytes], None] = lambda _: None
        """Called with what an agent has kept, before it is told anything."""
        for earlier in known.generations:
            self._learn(earlier)
        for node in self.nodes.values():
            self._put_agent(node)
        self.announce()

    @property
    def session(self) -> Session:
        """What the agents are to converge to."""
        return self._session

    def announce(self) -> None:
        """The session has a new generation: record it and send it to every agent."""
        generation = self._session.present
        if generation.number in self._generations:
            return
        self._learn(generation)
        self.remember()
        for link in self._links.values():
            self._log_generation(self.nodes[link.node], generation)
            link.wake.set()

    def connect(self, hello: pb.Hello, *, seq: int) -> Link:
        """An agent said hello; what served its node before is superseded."""
        node = self.nodes.setdefault(hello.node, Node(hello.node))
        before = self._links.get(node.name)
        if before is not None and not before.superseded.done():
            before.superseded.set_exception(Superseded())
            # It may have ended already; then nobody else asks.
            before.superseded.exception()
        lost = node.greet(hello, seq, now_ms())
        if lost:
            self._lose_on_link(node, lost)
        self.adopt(hello.memo)
        link = self._links[node.name] = Link(node.name)
        link.wake.set()
        self._store.node(node.name, hello.agent_ip, hello.run_id)
        self.remember()
        self._log_generation(node, self._session.present)
        self._put_agent(node)
        self._notify()
        _LOG.info("%s connected: kernel %s, %s", node.name, hello.kernel, hello.attach)
        return link

    def disconnect(self, link: Link, reason: str) -> None:
        """A connection ended; nothing happens if another took its place."""
        if self._links.get(link.node) is not link:
            return
        del self._links[link.node]
        node = self.nodes[link.node]
        node.connected, node.error = False, reason
        self._put_agent(node)
        self._notify()
        _LOG.info("%s disconnected: %s", node.name, reason)

    def interfaces(self, node: Node, message: pb.InterfaceList) -> None:
        """A node's interfaces from now on."""
        listed = from_message(message)
        self._store.interfaces(node.name, listed)
        for interface, present in node.list_interfaces(listed):
            # What is only wished for has no number yet.
            key = (node.name, interface.ifindex or interface.name)
            row = node.interface_row(interface, present=present)
            self._store.put(INTERFACE, key, row)

    def acknowledge(self, node: Node, ack: pb.Ack) -> None:
        """A node answered to a desired state."""
        node.acknowledge(ack)
        generation = self._generations.get(ack.generation)
        if generation is not None and ack.ok:
            self._log_generation(node, generation)
        if not ack.ok:
            _LOG.error("%s: generation %d: %s", node.name, ack.generation, ack.error)
        self._put_agent(node)
        self._notify()

    def report(self, node: Node, stats: pb.Stats) -> None:
        """A node's statistics."""
        node.seen_ms = now_ms()
        growth = node.report(stats)
        for loss in growth.losses:
            self._store.loss(loss)
            if loss.stage in LOST_ON_THE_WAY:
                self._store.accounted(node.name, loss.count)
        for name in growth.counters:
            self._store.put(COUNTER, (node.name, name), node.counter_row(name))
        for key, packets in growth.hits.items():
            generation = self._generations.get(key.generation)
            self._log_filter(node, generation, key.index)
            if generation is not None and key.index < len(generation.rules):
                self._rule_hits[generation.rules[key.index].id, key.kind] += packets
        self._put_agent(node)
        self._notify()

    def rule_hits(self, rule: int, kind: int) -> int:
        """Packets that a filter decided, over all nodes and generations."""
        return self._rule_hits[rule, kind]

    def ping(self, link: Link) -> None:
        """Ask for the time."""
        link.ping_due = True
        link.wake.set()

    def connected(self) -> list[str]:
        """Names of the nodes that are."""
        return list(self._links)

    async def arrived(self, *, timeout: float) -> list[str]:
        """Names of the nodes connected; while none has ever come, waits for the first."""
        await self._until(lambda: bool(self.nodes), timeout)
        return self.connected()

    async def answered(self, number: int, nodes: Sequence[str], *, timeout: float) -> None:
        """Return when every one of these has answered to a generation or is gone, or in time."""

        def all_answered() -> bool:
            waiting = (self.nodes[name] for name in nodes)
            return all(not each.connected or each.answer.generation >= number for each in waiting)

        await self._until(all_answered, timeout)

    async def delivered(self, number: int, nodes: Sequence[str], *, timeout: float) -> None:
        """Return when all that these captured before a generation has arrived, or as above."""

        def all_delivered() -> bool:
            waiting = (self.nodes[name] for name in nodes)
            return all(
                not each.connected or not each.answer.ok or each.delivered_generation >= number
                for each in waiting
            )

        await self._until(all_delivered, timeout)

    async def stop(self, reason: str, *, timeout: float) -> None:
        """Tell every agent to end, and return when all did or the time is over."""
        self.stop_reason = reason
        for link in self._links.values():
            link.wake.set()
        await self._until(lambda: not self._links, timeout)
        for name in self._links:
            _LOG.warning("%s did not end within %g s", name, timeout)
        for node in self.nodes.values():
            lost = node.link.lost_at_end()
            if lost:
                self._lose_on_link(node, lost)

    async def _until(self, ready: Callable[[], bool], timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not ready():
                    await self._changed.wait()
        except TimeoutError:
            return

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def hand_out(self, memo: bytes) -> None:
        """Have every agent keep it."""
        if memo != self.memo:
            self.memo = memo
            for link in self._links.values():
                link.wake.set()

    def generations(self) -> list[Generation]:
        """All that there were, the newest last."""
        return list(self._generations.values())

    def _learn(self, generation: Generation) -> None:
        self._generations[generation.number] = generation
        if len(self._generations) >= 2 * _GENERATIONS:
            self._forget(list(self._generations)[:-_GENERATIONS])
        key = GenerationKey(
            tuple(each.id for each in generation.rules), generation.settings.sampling
        )
        self._store.generation(generation.number, key)

    def _forget(self, numbers: Sequence[int]) -> None:
        """Generations of long ago; pods that come and go make many."""
        for number in numbers:
            del self._generations[number]
        for node in self.nodes.values():
            node.forget(numbers[-1] + 1)

    def _lose_on_link(self, node: Node, count: int) -> None:
        self._store.loss(Loss(node.name, "link", count, 0, node.reported_ms, now_ms()))

    def _put_agent(self, node: Node) -> None:
        self._store.put(AGENT, node.name, node.agent_row())

    def _log_generation(self, node: Node, generation: Generation) -> None:
        for index in rule_indexes(generation):
            self._log_filter(node, generation, index)

    def _log_filter(self, node: Node, generation: Generation | None, index: int) -> None:
        if generation is None or not (index < len(generation.rules) or index == wire.NO_RULE):
            return
        key = (generation.number, index, node.name)
        self._store.put(FILTER_LOG, key, node.filter_row(generation, index))


def _nothing() -> None:
    pass
