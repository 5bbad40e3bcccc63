"""`netobserv-agent`: checks what it needs, loads, attaches, serves a collector.

Exits 0 when it was told to stop or its lease ran out, 2 for wrong arguments, 3
with one line on stderr where it cannot work.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pyroute2 import AsyncIPRoute

from agent.capture import Capture
from agent.kernel.attach import supports_tcx
from agent.kernel.compile import CompileError, Loaded, Sizes, load
from agent.kernel.interfaces import snapshot
from agent.link import Identity, Link
from agent.proto import agentlink_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.kernel.attach import Method

EXIT_CANNOT_WORK = 3


def _cannot(reason: str) -> NoReturn:
    print(f"netobserv-agent: {reason}", file=sys.stderr)  # noqa: T201
    sys.exit(EXIT_CANNOT_WORK)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="netobserv-agent", description="Captures flows and packets on this host with eBPF."
    )
    parser.add_argument("--connect", required=True, metavar="TARGET",
                        help="the collector: unix:/path or host:port")  # fmt: skip
    parser.add_argument("--node", default=platform.node(), help="this node's name in the rows")
    parser.add_argument("--agent-ip", default="", help="this node's address in the rows")
    parser.add_argument("--interface", action="append", default=[], metavar="NAME",
                        help="where to capture, * and ? allowed; may be repeated; "
                        "default: every interface that is up, loopback excepted")  # fmt: skip
    parser.add_argument("--lease", type=float, default=60.0, metavar="SECONDS",
                        help="exit after this long without a collector")  # fmt: skip
    parser.add_argument("--flow-capacity", type=int, default=100_000, metavar="N",
                        help="flows held between two evictions")  # fmt: skip
    parser.add_argument("--ring-bytes", type=int, default=16 << 20, metavar="N",
                        help="packet ring, rounded up to a power of two")  # fmt: skip
    parser.add_argument("--tcx-anchor", choices=("head", "tail"), default="head",
                        help="before or after others' programs (Cilium redirects)")  # fmt: skip
    parser.add_argument("--attach", choices=("auto", "tcx", "clsact"), default="auto")
    return parser


def _ring_bytes(asked: int) -> int:
    """A power of two and at least one page, as the kernel wants it."""
    return 1 << max(asked - 1, os.sysconf("SC_PAGE_SIZE") - 1).bit_length()


def _load(sizes: Sizes) -> Loaded:
    if not Path("/proc/sys/kernel/unprivileged_bpf_disabled").exists():
        _cannot(f"this kernel ({os.uname().release}) has no BPF: CONFIG_BPF_SYSCALL is needed")
    try:
        return load(sizes)
    except CompileError as error:
        _cannot(f"the eBPF programs cannot be loaded here: {error}")
    except OSError as error:
        if os.geteuid() != 0:
            _cannot("needs root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN")
        _cannot(f"bpf(2) failed: {error.strerror}")


def _method(asked: str, program: int) -> Method:
    if asked == "clsact":
        return "clsact"
    if supports_tcx(program, 1):  # loopback, which every namespace has
        return "tcx"
    if asked == "tcx":
        _cannot(f"this kernel ({os.uname().release}) has no TCX links: use --attach clsact")
    return "clsact"


async def _agent_ip(netlink: AsyncIPRoute) -> str:
    """Of the node: the first address of an interface that is up, IPv4 if there is one."""
    import ipaddress  # noqa: PLC0415

    found = [
        ipaddress.IPv6Address(address)
        for interface in (await snapshot(netlink)).values()
        if interface.up and not interface.loopback
        for address in interface.addresses
    ]
    usable = [a.ipv4_mapped or a for a in found if not a.is_link_local]
    usable.sort(key=lambda a: a.version)
    return str(usable[0]) if usable else "127.0.0.1"


async def _run(options: argparse.Namespace, loaded: Loaded, sizes: Sizes) -> str:
    async with AsyncIPRoute() as netlink:
        method = _method(options.attach, loaded.programs["nobs_eth_in"])
        capture = await Capture.open(
            netlink, loaded, method=method, anchor=options.tcx_anchor, patterns=options.interface
        )
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
        link = Link(capture, identity, options.lease)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, link.stop, signal.Signals(number).name)
        try:
            return await link.run(options.connect)
        finally:
            await capture.close()


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    sizes = Sizes(options.flow_capacity, _ring_bytes(options.ring_bytes))
    loaded = _load(sizes)
    reason = asyncio.run(_run(options, loaded, sizes))
    print(f"netobserv-agent: ended: {reason}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
