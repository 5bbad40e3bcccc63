"""A channel to the collector with mutual TLS, and why there is none.

Imported when it is needed: gRPC and ssl come with it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from nshell.proto import session_pb2 as pb
from nshell.proto.session_pb2_grpc import SessionStub
from nshell.shell.errors import SessionLost
from nshell.shell.escape import escape
from nshell.tls import NAME_ON_UNIX, TlsError, read_client, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_LOOK_SECONDS = 1.0
"""Without a connection, before asking why."""


async def channel(
    address: str, directory: Path, options: Iterable[tuple[str, object]]
) -> grpc.aio.Channel:
    """One that will connect; SessionLost where no collector would take these certificates."""
    try:
        credentials = await asyncio.to_thread(read_client, directory)
    except TlsError as error:
        raise SessionLost(escape(str(error))) from error
    named = [("grpc.ssl_target_name_override", NAME_ON_UNIX)] * address.startswith("unix:")
    return grpc.aio.secure_channel(address, credentials.of_client(), options=(*options, *named))


async def ready(connecting: grpc.aio.Channel, address: str, directory: Path) -> None:
    """Return when the collector answers; SessionLost when it, or we, will not have the other.

    A collector that is not there yet is waited for.
    """
    while True:
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await connecting.channel_ready()
            break
        except TimeoutError:
            if reason := await refusal(address, directory):
                raise SessionLost(escape(reason)) from None
    try:
        await SessionStub(connecting).Describe(pb.DescribeRequest())
    except grpc.aio.AioRpcError as error:
        # Anything else may pass, and whoever asks next is told.
        if error.code() is grpc.StatusCode.PERMISSION_DENIED:
            raise SessionLost(
                f"refused by the collector: {escape(error.details() or '')}"
            ) from error
