"""The Session RPC as plain typed methods.

gRPC is imported by connect(), not before: the prompt is drawn without it. Every
gRPC error leaves here as one of ours, chained.
"""

# ruff: noqa: PLC0415 - imports inside functions are what this module is about

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nshell.shell.errors import CommandError, SessionLost, Unconnected
from nshell.shell.values import Answer, Row

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager

    import grpc.aio

    from nshell.proto import session_pb2 as pb
    from nshell.proto.session_pb2_grpc import SessionAsyncStub

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A proxy in the environment is none of a unix socket's business.
    ("grpc.enable_http_proxy", 0),
)
_OVER_NETWORK = (
    # A peer that vanished without a word is noticed within these.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)
_STOP_SECONDS = 20.0
_FEATURE_MS = 20_000
"""What a feature needs may still be compiling."""


class Client:
    """Calls to one collector; they wait until connect() has succeeded."""

    def __init__(self, *, patient: bool = False) -> None:
        self._lost = Unconnected if patient else SessionLost
        """What it means that the collector does not answer."""
        self._channel: grpc.aio.Channel | None = None
        self._stub: SessionAsyncStub | None = None
        self._connected = asyncio.Event()
        self.detached: pb.DetachReply | None = None
        """The session is to go on without us."""

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    async def connect(self, address: str, *, tls: Path | None = None) -> None:
        """Import gRPC off the loop, wait for the socket and for an answer on it.

        `tls`: a directory with certificates; SessionLost where either side refuses
        those of the other.
        """
        aio = await asyncio.to_thread(_import_grpc)
        socket = Path(address.removeprefix("unix:"))
        while address.startswith("unix:") and not socket.exists():
            await asyncio.sleep(0.02)
        from nshell.proto.session_pb2_grpc import SessionStub

        if tls is None:
            self._channel = aio.insecure_channel(address, options=_OPTIONS)
            await self._channel.channel_ready()
        else:
            from nshell.shell import secure

            self._channel = await secure.channel(address, tls, (*_OPTIONS, *_OVER_NETWORK))
            await secure.ready(self._channel, address, tls)
        self._stub = SessionStub(self._channel)
        self._connected.set()

    async def close(self) -> None:
        """Drop the connection; the session lives on until its lease ends."""
        self._stub = None
        if self._channel is not None:
            await self._channel.close()

    @asynccontextmanager
    async def _translated(self, call: Any, *, keep_open: bool = False) -> AsyncIterator[None]:
        """Our errors for gRPC's, and the call cancelled when its user leaves early."""
        import grpc.aio

        goes_on = False
        try:
            yield
            goes_on = keep_open
        except grpc.aio.AioRpcError as error:
            raise _ours(error, self._lost) from error
        except grpc.aio.UsageError as error:
            raise SessionLost("the connection to the collector is closed") from error
        finally:
            if not goes_on:
                call.cancel()

    async def _calls(self) -> SessionAsyncStub:
        await self._connected.wait()
        if self._stub is None:
            raise SessionLost("the connection to the collector is closed")
        return self._stub

    async def watch(
        self, *, interval_ms: int = 500, observe: bool = False
    ) -> AsyncGenerator[pb.Status, None]:
        """Status as it changes; the collector's lease runs on this, unless it observes alone."""
        from nshell.proto import session_pb2 as pb

        stub = await self._calls()
        call = stub.Watch(pb.WatchRequest(interval_ms=interval_ms, observe=observe))
        async with self._translated(call):
            async for status in call:
                yield status

    async def status(self) -> pb.Status:
        """The session as it is now."""
        async with aclosing(self.watch(observe=True)) as statuses:
            async for status in statuses:
                return status
        raise SessionLost("the collector has ended the session")

    async def query(self, sql: str, *, limit: int = 0) -> Answer:
        """Start a query; limit 0 asks for every row."""
        from nshell.proto import session_pb2 as pb

        stub = await self._calls()
        call = stub.Query(pb.QueryRequest(sql=sql, limit=limit))
        async with self._translated(call, keep_open=True):
            first = await _next_reply(call)
            columns = tuple(first.columns) if first is not None else ()
        answer = Answer(columns, cancel=call.cancel)
        answer.chunks = _chunks(call, first, answer, self._translated)
        return answer

    async def export(
        self, format_: str, *, where: str = ""
    ) -> AsyncGenerator[pb.ExportReply, None]:
        """The bytes of a capture file, then a summary."""
        from nshell.proto import session_pb2 as pb

        stub = await self._calls()
        call = stub.Export(pb.ExportRequest(format=format_, where=where))
        async with self._translated(call):
            async for reply in call:
                yield reply

    async def describe(self) -> pb.Description:
        """The tables, functions and interfaces there are."""
        from nshell.proto import session_pb2 as pb

        call = (await self._calls()).Describe(pb.DescribeRequest())
        async with self._translated(call):
            return await call

    @asynccontextmanager
    async def overlay(
        self,
        label: str,
        *,
        rules: Iterable[Sequence[str]],
        features: Iterable[str] = (),
        counts: bool = False,
    ) -> AsyncIterator[Overlay]:
        """Filters and features over those of the session, for the block at most.

        counts: its filters decide nothing, the packets they hold for are counted.
        """
        from nshell.proto import session_pb2 as pb

        call = (await self._calls()).Overlay()
        request = pb.OverlayRequest(
            label=label,
            rules=[pb.Words(words=words) for words in rules],
            features=features,
            counts=counts,
        )
        async with self._translated(call):
            # A call that was refused fails with its reason when it is read.
            with suppress(asyncio.InvalidStateError):
                await call.write(request)
            yield Overlay(call, await _overlay_reply(call))

    async def explain(self, request: pb.ExplainRequest) -> pb.Explanation:
        """What the filters in force say of such packets."""
        call = (await self._calls()).Explain(request)
        async with self._translated(call):
            return await call

    async def stop(self) -> pb.StopReply:
        """End the capture; the totals of the session."""
        from nshell.proto import session_pb2 as pb

        call = (await self._calls()).Stop(pb.StopRequest(), timeout=_STOP_SECONDS)
        async with self._translated(call):
            return await call

    async def detach(self) -> pb.DetachReply:
        """Let the session go on without a shell, within its limits."""
        from nshell.proto import session_pb2 as pb

        call = (await self._calls()).Detach(pb.DetachRequest())
        async with self._translated(call):
            self.detached = await call
            return self.detached

    async def _change(self, **change: Any) -> pb.ChangeReply:
        from nshell.proto import session_pb2 as pb

        call = (await self._calls()).Change(pb.ChangeRequest(**change))
        async with self._translated(call):
            return await call

    async def add_filter(self, words: Sequence[str]) -> pb.ChangeReply:
        from nshell.proto import session_pb2 as pb

        return await self._change(add_filter=pb.Words(words=words))

    async def delete_filters(self, ids: Iterable[int]) -> pb.ChangeReply:
        from nshell.proto import session_pb2 as pb

        return await self._change(delete_filters=pb.FilterIds(ids=ids))

    async def replace_filter(self, number: int, words: Sequence[str]) -> pb.ChangeReply:
        from nshell.proto import session_pb2 as pb

        return await self._change(replace_filter=pb.ReplaceFilter(id=number, words=words))

    async def clear_filters(self) -> pb.ChangeReply:
        from nshell.proto import session_pb2 as pb

        return await self._change(clear_filters=pb.Empty())

    async def switch_features(self, names: Iterable[str], *, on: bool) -> pb.ChangeReply:
        from nshell.proto import session_pb2 as pb

        return await self._change(
            feature=pb.FeatureSwitch(names=names, on=on), timeout_ms=_FEATURE_MS
        )

    async def set_dns_ports(self, ports: Iterable[int]) -> pb.ChangeReply:
        from nshell.proto import session_pb2 as pb

        return await self._change(dns_ports=pb.DnsPorts(ports=ports))

    async def set_flows(self, on: bool) -> pb.ChangeReply:
        return await self._change(flows=on)

    async def set_packets(self, on: bool) -> pb.ChangeReply:
        return await self._change(packets=on)

    async def set_snaplen(self, size: int) -> pb.ChangeReply:
        return await self._change(snaplen=size)

    async def set_sampling(self, one_of: int) -> pb.ChangeReply:
        return await self._change(sampling=one_of)

    async def set_paused(self, on: bool) -> pb.ChangeReply:
        return await self._change(paused=on)


class Overlay:
    """What is laid over the session; it goes with the block that made it."""

    def __init__(self, call: Any, made: pb.OverlayReply) -> None:
        self._call = call
        self.made = made
        """What became of it on the nodes."""

    async def lift(self) -> pb.OverlayReply:
        """Undo it; what was captured under it is there when this returns."""
        await self._call.done_writing()
        return await _overlay_reply(self._call)


async def _overlay_reply(call: Any) -> pb.OverlayReply:
    from nshell.proto import session_pb2 as pb

    reply = await call.read()
    if not isinstance(reply, pb.OverlayReply):  # grpc.aio.EOF
        raise SessionLost("the collector has ended the session")
    return reply


def _import_grpc() -> Any:
    # The core library would write to the terminal what we say in one line.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import grpc.aio

    return grpc.aio


async def _next_reply(call: Any) -> pb.QueryReply | None:
    import grpc.aio

    reply = await call.read()
    return None if reply is grpc.aio.EOF else reply


async def _chunks(
    call: Any,
    first: pb.QueryReply | None,
    answer: Answer,
    translated: Callable[[Any], AbstractAsyncContextManager[None]],
) -> AsyncGenerator[Sequence[Row], None]:
    import msgpack

    reply = first
    async with translated(call):
        while reply is not None:
            answer.truncated = answer.truncated or reply.truncated
            answer.elapsed_ms = reply.elapsed_ms or answer.elapsed_ms
            if reply.rows:
                # A captured string need not be UTF-8. Tuples of cells, unlike lists of them,
                # cost the garbage collector no time.
                yield msgpack.unpackb(reply.rows, unicode_errors="backslashreplace", use_list=False)
            reply = await _next_reply(call)


def _ours(error: grpc.aio.AioRpcError, lost: type[Exception]) -> Exception:
    import grpc

    details = " ".join((error.details() or error.code().name.lower()).split())
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return lost(f"the collector does not answer: {details}")
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return CommandError("the collector did not answer in time")
    return CommandError(details)
