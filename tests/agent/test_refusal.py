"""A collector that refuses an agent before it has said who it is."""

from __future__ import annotations

import asyncio
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from agent import link
from agent.proto import agentlink_pb2 as pb
from agent.proto.agentlink_pb2_grpc import (
    AgentLinkServicer,
    AgentLinkStub,
    add_AgentLinkServicer_to_server,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Refusing(AgentLinkServicer):
    """Takes nobody."""

    async def Connect(  # noqa: N802 - gRPC's name
        self,
        request_iterator: AsyncIterator[pb.FromAgent],  # noqa: ARG002
        context: Any,
    ) -> AsyncIterator[pb.ToAgent]:
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")
        yield pb.ToAgent()


async def test_a_refusal_that_overtakes_the_first_word_is_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "_hello", lambda *_: pb.Hello())
    server = grpc.aio.server()
    add_AgentLinkServicer_to_server(Refusing(), server)
    with TemporaryDirectory(prefix="r-") as directory:
        server.add_insecure_port(f"unix:{directory}/s")
        await server.start()
        async with grpc.aio.insecure_channel(f"unix:{directory}/s") as channel:
            call = AgentLinkStub(channel).Connect()
            async with asyncio.timeout(20):
                while not call.done():
                    await asyncio.sleep(0.01)
            made: Any = SimpleNamespace(capture=None, seq=0)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await link._Stream(made, call).serve()
        await server.stop(None)
    assert refused.value.details() == "not you"
