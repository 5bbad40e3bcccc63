"""An agent and a shell at the level of the wire, against the real server.

Invariant: they send and receive real gRPC messages over a socket.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import msgpack

from agent import wire
from agent.proto import agentlink_pb2 as agent_pb
from agent.proto.agentlink_pb2_grpc import AgentLinkStub
from nshell.proto import session_pb2 as pb
from nshell.proto.session_pb2_grpc import SessionStub
from nshell.tasks import Tasks
from tests.collector.wiretap import address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

PATIENCE = 45.0
"""Seconds after which something that should happen counts as not happening."""
_OPTIONS = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
]

Cell = str | int | float | bytes | None


def default_interfaces() -> agent_pb.InterfaceList:
    """One Ethernet interface that holds 10.0.0.1."""
    return interfaces(interface(2, "eth0", addresses=("10.0.0.1",)))


def interface(
    ifindex: int, name: str, *, link_type: int = 1, addresses: Sequence[str] = ()
) -> agent_pb.Interface:
    """One that is attached."""
    return agent_pb.Interface(
        ifindex=ifindex,
        name=name,
        mac=b"\x02\x00\x00\x00\x00" + bytes([ifindex]),
        link_type=link_type,
        mtu=1500,
        attached=True,
        addresses=[address(text) for text in addresses],
    )


def interfaces(*listed: agent_pb.Interface) -> agent_pb.InterfaceList:
    """A whole list."""
    return agent_pb.InterfaceList(interfaces=listed)


@dataclass(slots=True)
class Agent:
    """An agent that answers states and pings; what it sends is up to the test."""

    call: grpc.aio.StreamStreamCall[agent_pb.FromAgent, agent_pb.ToAgent]
    node: str
    seq: int = 0
    acknowledges: bool = True
    refusal: str = ""
    """Why it refuses states; empty: it does not."""
    features: list[agent_pb.Feature] = field(default_factory=list)
    """What it acknowledges with."""
    drains: list[agent_pb.FromAgent] = field(default_factory=list)
    """What it still sends when told to stop."""
    states: list[agent_pb.DesiredState] = field(default_factory=list)
    stopped: str = ""
    memo: bytes = b""
    """What the collector gave it to keep."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def send(self, **body: object) -> None:
        """One message, with the next number."""
        await self.write(agent_pb.FromAgent(**body))  # type: ignore[arg-type]

    async def write(self, message: agent_pb.FromAgent) -> None:
        """A message, with the next number; gRPC allows one write at a time."""
        async with self._writing:
            self.seq += 1
            message.seq = self.seq
            await self.call.write(message)

    async def state(self, ready: Callable[[agent_pb.DesiredState], bool]) -> agent_pb.DesiredState:
        """The newest state, once it is as wanted."""
        async with asyncio.timeout(PATIENCE):
            while not (self.states and ready(self.states[-1])):
                self.news.clear()
                await self.news.wait()
        return self.states[-1]

    async def serve(self) -> None:
        """Answer to the end of the stream."""
        try:
            while isinstance(message := await self.call.read(), agent_pb.ToAgent):
                await self._answer(message)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
        finally:
            self.ended.set()

    async def _answer(self, message: agent_pb.ToAgent) -> None:
        match message.WhichOneof("body"):
            case "state":
                self.states.append(message.state)
                self.news.set()
                if self.acknowledges:
                    await self.acknowledge(message.state.generation)
            case "ping":
                pong = agent_pb.Pong(
                    collector_ns=message.ping.collector_ns, agent_ns=time.time_ns()
                )
                await self.send(pong=pong)
            case "memo":
                self.memo = message.memo
            case "stop":
                self.stopped = message.stop.reason
                for drained in self.drains:
                    await self.write(drained)
                await self.send(goodbye=agent_pb.Goodbye(reason="told to stop"))
                await self.call.done_writing()

    async def acknowledge(self, generation: int) -> None:
        """As applied, or refused."""
        await self.send(
            ack=agent_pb.Ack(
                generation=generation,
                ok=not self.refusal,
                error=self.refusal,
                applied_ns=time.time_ns(),
                apply_ms=1.5,
                features=[] if self.refusal else self.features,
            )
        )


@asynccontextmanager
async def channel(
    target: str, credentials: grpc.ChannelCredentials | None = None
) -> AsyncIterator[grpc.aio.Channel]:
    """Ready to use."""
    made = (
        grpc.aio.secure_channel(target, credentials, options=_OPTIONS)
        if credentials
        else grpc.aio.insecure_channel(target, options=_OPTIONS)
    )
    async with made as opened:
        await asyncio.wait_for(opened.channel_ready(), PATIENCE)
        yield opened


@asynccontextmanager
async def connected_agent(
    target: str,
    *,
    node: str = "node-a",
    run_id: str = "run-1",
    first_seq: int = 1,
    wire_version: int = wire.VERSION,
    listed: agent_pb.InterfaceList | None = None,
    acknowledges: bool = True,
    credentials: grpc.ChannelCredentials | None = None,
    memo: bytes = b"",
) -> AsyncIterator[Agent]:
    """An agent that has said hello and listed its interfaces."""
    async with channel(target, credentials) as opened:
        agent = Agent(
            AgentLinkStub(opened).Connect(),
            node,
            seq=first_seq - 1,
            acknowledges=acknowledges,
        )
        await agent.send(
            hello=agent_pb.Hello(
                run_id=run_id,
                node=node,
                agent_ip="192.0.2.1",
                kernel="6.18.0",
                version="0.1.0",
                wire_version=wire_version,
                attach="tcx",
                cpus=2,
                flow_capacity=100_000,
                ring_bytes=1 << 20,
                features=[agent_pb.Feature(name="dns", available=False, reason="not built in")],
                memo=memo,
            )
        )
        await agent.send(interfaces=listed or default_interfaces())
        async with Tasks(f"agent {node}", on_error=_fail) as tasks:
            tasks.start(agent.serve(), name="serve")
            yield agent
            agent.call.cancel()


@dataclass(slots=True)
class Shell:
    """The Session RPC in the words of a test."""

    stub: SessionStub

    async def rows(self, sql: str, *, limit: int = 0) -> list[list[Cell]]:
        """Of a query."""
        rows: list[list[Cell]] = []
        async for reply in self.stub.Query(pb.QueryRequest(sql=sql, limit=limit)):  # type: ignore[attr-defined]
            if reply.rows:
                rows += msgpack.unpackb(reply.rows)
        return rows

    async def row(self, sql: str) -> list[Cell]:
        """The only one of a query."""
        (row,) = await self.rows(sql)
        return row

    async def until(self, sql: str, wanted: Cell) -> None:
        """Return when the first cell of a query is as wanted."""
        rows: list[list[Cell]] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while not rows or rows[0][0] != wanted:
                    await asyncio.sleep(0.02)
                    rows = await self.rows(sql)
        except TimeoutError:
            raise AssertionError(f"{sql}: {rows} instead of {wanted!r}") from None

    async def status(self, ready: Callable[[pb.Status], bool] = lambda _: True) -> pb.Status:
        """The first that is as wanted."""
        call = self.stub.Watch(pb.WatchRequest(interval_ms=20))
        status: pb.Status = pb.Status()
        try:
            async with asyncio.timeout(PATIENCE):
                async for status in call:  # type: ignore[attr-defined]
                    if ready(status):
                        return status
        except TimeoutError:
            raise AssertionError(f"never as wanted, last {status}") from None
        finally:
            call.cancel()
        raise AssertionError(f"the session ended, last {status}")

    async def change(self, *, timeout_ms: int = 0, **change: object) -> pb.ChangeReply:
        """Of the session."""
        request = pb.ChangeRequest(timeout_ms=timeout_ms, **change)  # type: ignore[arg-type]
        reply: pb.ChangeReply = await self.stub.Change(request)  # type: ignore[misc]
        return reply

    async def add_filter(self, *words: str, timeout_ms: int = 0) -> pb.ChangeReply:
        """As `filter` would."""
        return await self.change(add_filter=pb.Words(words=words), timeout_ms=timeout_ms)

    async def explain(self, packet: pb.ExplainRequest) -> pb.Explanation:
        """What the filters say of it."""
        told: pb.Explanation = await self.stub.Explain(packet)  # type: ignore[misc]
        return told

    async def export(self, kind: str, where: str = "") -> tuple[bytes, pb.ExportSummary]:
        """The whole file and its summary."""
        data, summary = [], pb.ExportSummary()
        async for reply in self.stub.Export(pb.ExportRequest(format=kind, where=where)):  # type: ignore[attr-defined]
            data.append(reply.data)
            summary = reply.summary
        return b"".join(data), summary

    def overlay(self) -> Any:
        """A call, its first request still to be written."""
        return self.stub.Overlay()  # type: ignore[call-arg]

    def exporting(self, kind: str) -> AsyncIterator[pb.ExportReply]:
        """The replies of an export, as they come."""
        call = self.stub.Export(pb.ExportRequest(format=kind))
        replies: AsyncIterator[pb.ExportReply] = call.__aiter__()  # type: ignore[attr-defined]
        return replies

    async def refusal(self, work: AsyncIterator[object] | object) -> grpc.aio.AioRpcError:
        """The error that a call ends with."""
        try:
            if hasattr(work, "__aiter__"):
                async for _ in work:
                    pass
            else:
                await work  # type: ignore[misc]
        except grpc.aio.AioRpcError as error:
            return error
        raise AssertionError("it was not refused")


@asynccontextmanager
async def connected_shell(
    target: str, credentials: grpc.ChannelCredentials | None = None
) -> AsyncIterator[Shell]:
    """A shell, without the Watch that holds the lease."""
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(channel(target, credentials))
        yield Shell(SessionStub(opened))


def _fail(error: BaseException) -> None:
    raise error


def target_of(directory: Path) -> str:
    """Address of the collector of a test."""
    return f"unix:{directory / 's'}"
