"""AgentLink: one stream per agent, batches up, the desired state down.

Invariant: a stream is read no faster than the store takes its batches, and the
desired state that is sent is always the newest.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import grpc

from agent import wire
from agent.proto import agentlink_pb2 as pb
from agent.proto.agentlink_pb2_grpc import AgentLinkServicer
from nshell.collector.decode.flows import check_flow_batch
from nshell.collector.decode.rows import DecodeError
from nshell.collector.fleet import Superseded
from nshell.collector.messages import desired_state
from nshell.tasks import Tasks, first_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nshell.collector.fleet import Fleet, Link
    from nshell.collector.nodes import Node
    from nshell.collector.storage.store import Store

    Context = grpc.aio.ServicerContext[pb.FromAgent, pb.ToAgent]

_LOG = logging.getLogger(__name__)
PING_SECONDS = 2.0


class AgentLink(AgentLinkServicer):
    """Serves every agent."""

    def __init__(self, fleet: Fleet, store: Store, *, tasks: Tasks) -> None:
        self._fleet = fleet
        self._store = store
        self._tasks = tasks
        """Outlives a connection: a batch that arrived is stored, come what may."""

    async def Connect(  # type: ignore[override]  # noqa: N802  writes through the context
        self, request_iterator: AsyncIterator[pb.FromAgent], context: Context
    ) -> None:
        """One connection, from hello to its end."""
        first = await anext(request_iterator, pb.FromAgent())
        await self._check(first, context)
        link = self._fleet.connect(first.hello, seq=first.seq)
        reason = "connection lost"
        try:
            async with Tasks(f"agent {link.node}", on_error=_log_send_error) as tasks:
                tasks.start(self._send(link, context), name="send")
                tasks.start(self._ping(link), name="ping")
                reason = await first_of(
                    self._receive(link, request_iterator),
                    name=f"receive from {link.node}",
                    unless=[link.superseded],
                )
        except Superseded:
            await context.abort(grpc.StatusCode.ABORTED, "the same node has connected anew")
        except DecodeError as error:
            reason = str(error)
            _LOG.error("%s: %s", link.node, error)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, reason)
        finally:
            self._fleet.disconnect(link, reason)

    async def _check(self, first: pb.FromAgent, context: Context) -> None:
        problem = ""
        if first.WhichOneof("body") != "hello":
            problem = "the first message must be a hello"
        elif first.hello.wire_version != wire.VERSION:
            problem = (
                f"this collector speaks wire format {wire.VERSION}, "
                f"the agent {first.hello.wire_version}: install the same version of both"
            )
        elif not first.hello.node:
            problem = "the hello names no node"
        if problem:
            _LOG.error("refused an agent: %s", problem)
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, problem)

    async def _send(self, link: Link, context: Context) -> None:
        """Send the newest of everything whenever there may be something new."""
        sent_generation, sent_memo = 0, b""
        while True:
            await link.wake.wait()
            link.wake.clear()
            present = self._fleet.session.present
            if self._fleet.stop_reason:
                await context.write(pb.ToAgent(stop=pb.Stop(reason=self._fleet.stop_reason)))
                return
            if self._fleet.memo != sent_memo:
                sent_memo = self._fleet.memo
                await context.write(pb.ToAgent(memo=sent_memo))
            if present.number != sent_generation:
                await context.write(pb.ToAgent(state=desired_state(present)))
                sent_generation = present.number
            if link.ping_due:
                link.ping_due = False
                await context.write(pb.ToAgent(ping=pb.Ping(collector_ns=time.time_ns())))

    async def _ping(self, link: Link) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            self._fleet.ping(link)

    async def _receive(self, link: Link, messages: AsyncIterator[pb.FromAgent]) -> str:
        """Deal with messages to the end of the stream; why it ended."""
        node = self._fleet.nodes[link.node]
        async for message in messages:
            body = message.WhichOneof("body")
            if body in ("flows", "packets", "events"):
                await self._receive_batch(node, message)
                continue
            node.link.arrived(message.seq)
            match body:
                case "interfaces":
                    self._fleet.interfaces(node, message.interfaces)
                case "stats":
                    self._fleet.report(node, message.stats)
                case "names":
                    self._store.names(node.name, message.names)
                case "ack":
                    self._fleet.acknowledge(node, message.ack)
                case "pong":
                    node.pong(message.pong, time.time_ns())
                case "goodbye":
                    return message.goodbye.reason or "said goodbye"
        return "closed the connection"

    async def _receive_batch(self, node: Node, message: pb.FromAgent) -> None:
        match message.WhichOneof("body"):
            case "flows":
                check_flow_batch(message.flows)
                node.link.arrived(message.seq, message.flows.count)
                storing = self._store.flows(node.name, message.flows, received_s=int(time.time()))
            case "packets":
                node.link.arrived(message.seq, message.packets.count)
                storing = self._store.packets(node.name, message.packets)
            case _:
                node.link.arrived(message.seq, message.events.count)
                storing = self._store.events(node.name, message.events)
        # A broken connection ends the waiting here, not the storing.
        await asyncio.shield(self._tasks.start(storing, name=f"store from {node.name}"))


def _log_send_error(error: BaseException) -> None:
    _LOG.info("sending to an agent: %s", error)
