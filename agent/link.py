"""The stream to the collector: raw batches up, the desired state down.

Level-triggered: whatever state arrives is applied and acknowledged, on every
connect anew. Nothing queues here: while the stream is slow, packets stay in the
ring and flows in their table, where the kernel counts what no longer fits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc.aio

from agent import __version__, wire
from agent.clock import WallClock
from agent.filters.tables import Settings
from agent.proto import agentlink_pb2 as pb
from agent.proto.agentlink_pb2_grpc import AgentLinkStub
from agent.tls import last_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agent.capture import Applied, Capture
    from agent.kernel.classifier import Hit, Window
    from agent.kernel.ring import Ring

EVICT_SECONDS = 1.0
FIRST_EVICT_SECONDS = 0.3
"""So that the first rows are there soon."""
STATS_SECONDS = 1.0
BATCH_BYTES = 512 << 10
GATHER_SECONDS = 0.005
"""After the ring ran empty, before looking again: lets a batch gather."""
RETRY_SECONDS = 0.2
_REFUSALS = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.PERMISSION_DENIED)
"""What no further try would change."""

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class Stopped(Exception):  # noqa: N818  an order, not an error
    """The agent is to end; str() says why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the agent says of itself."""

    node: str
    agent_ip: str
    flow_capacity: int
    ring_bytes: int
    features: Sequence[pb.Feature] = ()
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(slots=True)
class Link:
    """One agent's stream, over reconnects."""

    capture: Capture
    identity: Identity
    lease_seconds: float
    credentials: grpc.ChannelCredentials | None = None
    """None: without TLS."""
    clock: WallClock = field(default_factory=WallClock)
    seq: int = 0
    flows_sent: int = 0
    packets_sent: int = 0
    events_sent: int = 0
    memo: bytes = b""
    """A collector's, for the next one."""
    final_hits: list[pb.RuleHits] = field(default_factory=list)
    """Of generations that are over, not yet reported."""
    stop_reason: asyncio.Future[str] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def stop(self, reason: str) -> None:
        """End in order: drain, say goodbye."""
        if not self.stop_reason.done():
            self.stop_reason.set_result(reason)

    async def run(self, target: str) -> str:
        """Serve collectors at target until told to stop or the lease has run out.

        Returns the reason.
        """
        alone_since = time.monotonic()
        problem = ""
        while time.monotonic() - alone_since < self.lease_seconds:
            if self.stop_reason.done():
                return self.stop_reason.result()
            async with self._channel(target) as channel:
                try:
                    await asyncio.wait_for(channel.channel_ready(), RETRY_SECONDS * 5)
                    stream = _Stream(self, AgentLinkStub(channel).Connect())
                    await stream.serve()
                except TimeoutError:
                    problem = await self._problem(channel)
                    continue
                except grpc.aio.AioRpcError as error:
                    if error.code() in _REFUSALS:
                        return f"refused by the collector: {error.details()}"
                except Stopped as order:
                    return str(order)
                alone_since = time.monotonic()
            await asyncio.sleep(RETRY_SECONDS)
        return f"no collector for {self.lease_seconds:g} s{problem}"

    def _channel(self, target: str) -> grpc.aio.Channel:
        if self.credentials is None:
            return grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
        return grpc.aio.secure_channel(target, self.credentials, options=CHANNEL_OPTIONS)

    async def _problem(self, channel: grpc.aio.Channel) -> str:
        """A tail for the reason: certificates that do not fit look like a collector's absence."""
        if self.credentials is None:
            return ""
        call = AgentLinkStub(channel).Connect()
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                return f": {await last_error(call)}"
        except TimeoutError:
            return ""
        finally:
            call.cancel()


class _Stream:
    """One connection of a Link."""

    def __init__(
        self, link: Link, call: grpc.aio.StreamStreamCall[pb.FromAgent, pb.ToAgent]
    ) -> None:
        self.link = link
        self.capture = link.capture
        self.call = call
        self._writing = asyncio.Lock()
        self._draining_events = asyncio.Lock()
        self._states: asyncio.Queue[pb.DesiredState] = asyncio.Queue()

    async def serve(self) -> None:
        """Until the stream breaks (AioRpcError, or return) or the agent is to stop (Stopped)."""
        try:
            await self._send(hello=_hello(self.link, self.capture))
            await self._send_interfaces()
        except asyncio.InvalidStateError:  # it has ended already: reading says why
            await self.call.read()
            return
        self.capture.forget_names()
        try:
            async with asyncio.TaskGroup() as tasks:
                jobs = (self._receive, self._apply_states, self._pump_packets, self._pump_events,
                        self._pump_flows, self._pump_stats, self._follow_interfaces,
                        self._await_stop)  # fmt: skip
                for job in jobs:
                    tasks.create_task(job(), name=job.__name__)
        except BaseExceptionGroup as group:
            await self._end(group)

    async def _end(self, group: BaseExceptionGroup) -> None:
        """Raise what ended the tasks: an order before anything else."""
        orders = group.subgroup(Stopped)
        if orders is not None:
            order = orders.exceptions[0]
            await self._finish(str(order))
            raise order from None
        rest = group.split((_Ended, asyncio.InvalidStateError))[1]
        broken = rest.subgroup(grpc.aio.AioRpcError) if rest is not None else None
        if broken is not None:
            raise broken.exceptions[0] from None
        if rest is not None:
            raise rest

    async def _send(self, **body: object) -> None:
        async with self._writing:
            self.link.seq += 1
            message = pb.FromAgent(seq=self.link.seq, **body)  # type: ignore[arg-type]
            await self.call.write(message)

    async def _send_interfaces(self) -> None:
        await self._send(interfaces=_interface_list(self.capture))

    async def _receive(self) -> None:
        while True:
            message = await self.call.read()
            if not isinstance(message, pb.ToAgent):  # grpc.aio.EOF
                raise _Ended
            match message.WhichOneof("body"):
                case "state":
                    self._states.put_nowait(message.state)
                case "ping":
                    pong = pb.Pong(collector_ns=message.ping.collector_ns, agent_ns=time.time_ns())
                    await self._send(pong=pong)
                case "memo":
                    self.link.memo = message.memo
                case "stop":
                    raise Stopped(message.stop.reason or "told to stop")

    async def _apply_states(self) -> None:
        # A state may wait for features to be compiled; pings do not wait with it.
        while True:
            await self._apply(await self._states.get())

    async def _apply(self, state: pb.DesiredState) -> None:
        started = time.perf_counter()
        settings = Settings(
            generation=state.generation, flows=state.flows, packets=state.packets,
            snaplen=state.snaplen, sampling=state.sampling, features=frozenset(state.features),
            dns_ports=tuple(state.dns_ports),
        )  # fmt: skip
        try:
            applied = await self.capture.apply(state.rules, settings)
        except (ValueError, OSError) as error:
            await self._send(ack=pb.Ack(generation=state.generation, ok=False, error=str(error)))
            return
        elapsed = (time.perf_counter() - started) * 1000
        ack = pb.Ack(
            generation=state.generation, ok=True, applied_ns=applied.applied_ns, apply_ms=elapsed,
            features=[
                pb.Feature(name=name, available=name not in applied.problems,
                           reason=applied.problems.get(name, ""))
                for name in sorted(settings.features)
            ],
        )  # fmt: skip
        await self._send(ack=ack)
        self._note_final(applied)
        await self._send_window(applied.window)
        await self._send_stats()

    def _note_final(self, applied: Applied) -> None:
        self.link.final_hits += [_hit(applied.previous, hit) for hit in applied.hits]

    async def _send_window(self, window: Window) -> None:
        """What features saw first, and the events before that: rows are made of all three."""
        await self._drain_events()
        batches = [
            pb.FlowBatch(extra_count=each.count, extra_keys=each.keys, extra_values=each.values)
            for each in window.extras
        ] + [
            pb.FlowBatch(count=each.count, keys=each.keys, values=each.values)
            for each in window.flows
        ]
        if batches:
            batches[-1].last = True
        for batch in batches:
            batch.generation = window.generation
            batch.clock_offset_ns = self.link.clock.offset_ns()
            batch.features.extend(sorted(window.features))
            self.link.flows_sent += batch.count
            await self._send(flows=batch)

    async def _pump_flows(self) -> None:
        await asyncio.sleep(FIRST_EVICT_SECONDS)
        while True:
            await self._send_window(await self.capture.evict())
            await asyncio.sleep(EVICT_SECONDS)

    async def _pump_packets(self) -> None:
        await _pump(self.capture.ring, self._drain_ring)

    async def _pump_events(self) -> None:
        await _pump(self.capture.events, self._drain_events)

    async def _drain_ring(self) -> None:
        while True:
            count, records = self.capture.ring.read(BATCH_BYTES)
            if not count:
                return
            self.link.packets_sent += count
            batch = pb.PacketBatch(
                clock_offset_ns=self.link.clock.offset_ns(), count=count, records=records
            )
            await self._send(packets=batch)

    async def _drain_events(self) -> None:
        # Two tasks come here: what one has taken it sends before the other takes more.
        async with self._draining_events:
            while True:
                count, records = self.capture.events.read(BATCH_BYTES)
                if not count:
                    return
                await self._send_names()
                self.link.events_sent += count
                batch = pb.EventBatch(
                    clock_offset_ns=self.link.clock.offset_ns(), count=count, records=records
                )
                await self._send(events=batch)

    async def _send_names(self) -> None:
        """Those that the collector cannot know yet; the kernel notes them before it uses them."""
        names = await self.capture.new_names()
        if names is not None:
            await self._send(
                names=pb.Names(
                    drop_reasons=names.drop_reasons, reset_reasons=names.reset_reasons,
                    functions=names.functions,
                )
            )  # fmt: skip

    async def _pump_stats(self) -> None:
        while True:
            await asyncio.sleep(STATS_SECONDS)
            await self._send_stats()

    async def _send_stats(self) -> None:
        classifier = self.capture.classifier
        async with self.capture.lock:
            hits = [_hit(classifier.generation, hit) for hit in classifier.hits()]
            counters = classifier.counters()
        final, self.link.final_hits = self.link.final_hits, []
        usage = resource.getrusage(resource.RUSAGE_SELF)
        stats = pb.Stats(
            time_ns=time.time_ns(), counters=counters, hits=[*final, *hits],
            flows_sent=self.link.flows_sent, packets_sent=self.link.packets_sent,
            events_sent=self.link.events_sent,
            rss_bytes=_rss_bytes(), cpu_seconds=usage.ru_utime + usage.ru_stime,
        )  # fmt: skip
        await self._send(stats=stats)

    async def _follow_interfaces(self) -> None:
        async for _ in self.capture.watch():
            await self._send_interfaces()

    async def _await_stop(self) -> None:
        raise Stopped(await asyncio.shield(self.link.stop_reason))

    async def _finish(self, reason: str) -> None:
        """Take off the programs, then send all that they left."""
        await self.capture.detach()
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._send_window(await self.capture.evict())
            await self._drain_ring()
            await self._send_stats()
            await self._send(goodbye=pb.Goodbye(reason=reason))
            await self.call.done_writing()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    while await self.call.read() is not grpc.aio.EOF:
                        pass


class _Ended(Exception):  # noqa: N818  ends the tasks of one stream
    """The collector closed the stream."""


async def _pump(ring: Ring, drain: Callable[[], Awaitable[None]]) -> None:
    """Drain a ring whenever there is something in it."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()

    def wake() -> None:
        # Readable stays true until the ring is empty: ask once.
        loop.remove_reader(ring.fd)
        ready.set()

    try:
        while True:
            ready.clear()
            loop.add_reader(ring.fd, wake)
            await ready.wait()
            await drain()
            await asyncio.sleep(GATHER_SECONDS)
    finally:
        loop.remove_reader(ring.fd)


def _hit(generation: int, hit: Hit) -> pb.RuleHits:
    return pb.RuleHits(
        generation=generation, index=hit.index, kind=pb.PACKETS if hit.packets_kind else pb.FLOWS,
        packets=hit.packets, bytes=hit.bytes,
    )  # fmt: skip


def _hello(link: Link, capture: Capture) -> pb.Hello:
    identity = link.identity
    return pb.Hello(
        run_id=identity.run_id, node=identity.node, agent_ip=identity.agent_ip,
        kernel=os.uname().release, version=__version__, wire_version=wire.VERSION,
        attach=capture.hooks.method, cpus=os.cpu_count() or 1,
        flow_capacity=identity.flow_capacity, ring_bytes=identity.ring_bytes,
        features=identity.features, memo=link.memo,
    )  # fmt: skip


def _interface_list(capture: Capture) -> pb.InterfaceList:
    listed = [
        pb.Interface(
            ifindex=i.ifindex, name=i.name, mac=i.mac, link_type=i.link_type or 0, mtu=i.mtu,
            attached=i.ifindex in capture.hooks.links, addresses=i.addresses,
            problem=capture.problems.get(i.ifindex, ""), peer_addresses=i.peers,
        )
        for i in capture.interfaces.values()
    ]  # fmt: skip
    listed += [
        pb.Interface(name=name, problem="no interface of this name yet")
        for name in capture.missing()
    ]
    return pb.InterfaceList(interfaces=listed)


def _rss_bytes() -> int:
    with open("/proc/self/statm") as statm:  # noqa: PTH123  read each second
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
