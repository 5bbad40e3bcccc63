"""What interfaces this network namespace has, and the news of them.

Level-triggered: netlink's events only say "look again"; what counts is the
whole list, read anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.rtnl import RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_LINK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LINKTYPE_ETHERNET = 1
LINKTYPE_RAW = 101

IFF_UP = 1
IFF_LOOPBACK = 8

# ARPHRD_* of include/uapi/linux/if_arp.h by what a frame starts with at TC.
_ETHERNET = {1, 772}
_RAW_IP = {65534, 512, 768, 769, 776, 778, 823}

SETTLE_SECONDS = 0.05
"""Events of one change come in bursts: look once, after the burst."""
LOOK_AGAIN_SECONDS = 10.0
"""Without any event, in case one was lost (ENOBUFS)."""
LOOK_SOON_SECONDS = 2.0
"""After an event: who is at the other end of a new interface is learnt a little later."""
_EVENTS = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR


@dataclass(frozen=True, slots=True)
class Interface:
    ifindex: int
    name: str
    up: bool
    loopback: bool
    mac: bytes
    mtu: int
    hardware: int
    """ARPHRD_*."""
    addresses: tuple[bytes, ...]
    """16 bytes each, IPv4 as ::ffff:a.b.c.d."""
    kind: str = ""
    """Such as veth; of hardware empty."""
    peers: tuple[bytes, ...] = ()
    """Addresses of the machine at its other end, where they are known."""

    @property
    def link_type(self) -> int | None:
        """LINKTYPE_*, None when we cannot parse what it carries."""
        if self.hardware in _ETHERNET:
            return LINKTYPE_ETHERNET
        return LINKTYPE_RAW if self.hardware in _RAW_IP else None


async def snapshot(netlink: AsyncIPRoute) -> dict[int, Interface]:
    """Every interface by ifindex."""
    addresses: dict[int, list[bytes]] = {}
    async for message in await netlink.addr("dump"):
        text = message.get("local") or message.get("address")
        if text:
            addresses.setdefault(message["index"], []).append(mapped(text))
    found = {}
    async for message in await netlink.link("dump"):
        index = message["index"]
        found[index] = Interface(
            ifindex=index,
            name=message.get("ifname"),
            up=bool(message["flags"] & IFF_UP),
            loopback=bool(message["flags"] & IFF_LOOPBACK),
            mac=bytes.fromhex((message.get("address") or "").replace(":", ""))[:6],
            mtu=message.get("mtu") or 0,
            hardware=message["ifi_type"],
            addresses=tuple(addresses.get(index, ())),
            kind=message.get(("linkinfo", "kind")) or "",
        )
    return found


async def changes() -> AsyncIterator[None]:
    """Yields when the list may have changed."""
    async with AsyncIPRoute() as netlink:
        await netlink.bind(groups=_EVENTS)
        news = asyncio.Event()

        async def listen() -> None:
            while True:
                async for _ in netlink.get():
                    news.set()

        async with asyncio.TaskGroup() as tasks:
            listener = tasks.create_task(listen(), name="netlink events")
            patience = LOOK_SOON_SECONDS
            try:
                while True:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(news.wait(), patience)
                    await asyncio.sleep(SETTLE_SECONDS)
                    patience = LOOK_SOON_SECONDS if news.is_set() else LOOK_AGAIN_SECONDS
                    news.clear()
                    yield
            finally:
                listener.cancel()


def mapped(address: str) -> bytes:
    """16 bytes of a textual address; ValueError if it is none."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if parsed.version == 4:
        return bytes(10) + b"\xff\xff" + parsed.packed
    return parsed.packed
