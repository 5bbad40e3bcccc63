"""One agent's life: attach, serve a collector, take everything off again."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
from typing import TYPE_CHECKING

from pyroute2 import AsyncIPRoute

from agent.capture import Capture
from agent.kernel.attach import supports_tcx
from agent.kernel.hooks import FeatureHooks
from agent.kernel.interfaces import snapshot
from agent.link import Identity, Link
from agent.proto import agentlink_pb2 as pb
from agent.tls import TlsError, read

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    import grpc

    from agent.kernel.attach import Method
    from agent.kernel.compile import Loaded, Loading, Sizes


class CannotWork(RuntimeError):  # noqa: N818  says what it is
    """This host lacks what was asked for; str() is one line."""


def _method(asked: str, program: int) -> Method:
    if asked == "clsact":
        return "clsact"
    if supports_tcx(program, 1):  # loopback, which every namespace has
        return "tcx"
    if asked == "tcx":
        raise CannotWork(
            f"this kernel ({os.uname().release}) has no TCX links: use --attach clsact"
        )
    return "clsact"


async def _agent_ip(netlink: AsyncIPRoute) -> str:
    """Of the node: the first address of an interface that is up, IPv4 if there is one."""
    found = [
        ipaddress.IPv6Address(address)
        for interface in (await snapshot(netlink)).values()
        if interface.up and not interface.loopback
        for address in interface.addresses
    ]
    usable = [a.ipv4_mapped or a for a in found if not a.is_link_local]
    usable.sort(key=lambda a: a.version)
    return str(usable[0]) if usable else "127.0.0.1"


def _credentials(directory: Path | None) -> grpc.ChannelCredentials | None:
    try:
        return read(directory) if directory is not None else None
    except TlsError as error:
        raise CannotWork(f"--tls: {error}") from error


def _features(loading: Loading, loaded: Loaded) -> FeatureHooks:
    return FeatureHooks(loading.finish_features(), loaded.maps["tails"])


async def run(options: argparse.Namespace, loading: Loading, loaded: Loaded, sizes: Sizes) -> str:
    credentials = _credentials(options.tls)
    loop = asyncio.get_running_loop()
    signalled: asyncio.Future[str] = loop.create_future()
    # Before anything is attached, so that it is taken off again.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _note, signalled, signal.Signals(number).name)
    async with AsyncIPRoute() as netlink:
        method = _method(options.attach, loaded.programs["nobs_eth_in"])
        features = loop.run_in_executor(None, _features, loading, loaded)
        capture = await Capture.open(
            netlink, loaded, features, want_features=loading.hurry, method=method,
            anchor=options.tcx_anchor, patterns=options.interface,
        )  # fmt: skip
        identity = Identity(
            node=options.node,
            agent_ip=options.agent_ip or await _agent_ip(netlink),
            flow_capacity=sizes.flow_capacity,
            ring_bytes=sizes.ring_bytes,
            features=[
                pb.Feature(name="flows", available=True),
                pb.Feature(name="packets", available=True),
                pb.Feature(
                    name="tcx",
                    available=method == "tcx",
                    reason="" if method == "tcx" else "clsact was asked for, or no TCX here",
                ),
            ],
        )
        link = Link(capture, identity, options.lease, credentials)
        signalled.add_done_callback(lambda done: link.stop(done.result()))
        try:
            reason = await link.run(options.connect)
        finally:
            loading.abandon()
            await capture.close()
    if options.linger:
        await asyncio.wait([signalled], timeout=options.linger)
    return reason


def _note(signalled: asyncio.Future[str], name: str) -> None:
    if not signalled.done():
        signalled.set_result(name)
