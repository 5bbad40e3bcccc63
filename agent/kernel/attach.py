"""Puts the programs on interfaces and takes them off again.

TCX links where the kernel has them: they go with the process, whatever ends it.
Elsewhere clsact filters, which do not: those carry our name, so that the next
start finds and removes what a killed agent left.
"""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pyroute2.netlink.exceptions import NetlinkError

from agent.kernel import bpf
from agent.kernel.interfaces import LINKTYPE_ETHERNET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroute2 import AsyncIPRoute

    from agent.kernel.interfaces import Interface

Anchor = Literal["head", "tail"]
Method = Literal["tcx", "clsact"]

_NAME = "netobserv"
_NAME_WITH_QDISC = "netobserv+qdisc"
"""Of a filter whose clsact qdisc we made too: it goes with the filter."""

# A packet on loopback leaves and comes back at once: seen on arrival only, as
# libpcap does, it is one packet.
_HOOKS = (bpf.TCX_INGRESS, bpf.TCX_EGRESS)
_PARENTS = (0xFFFFFFF2, 0xFFFFFFF3)  # TC_H_CLSACT | TC_H_MIN_INGRESS, _EGRESS
_PREFERENCE = {"head": 1, "tail": 49152}
_ALL_PROTOCOLS = 3  # ETH_P_ALL


class AttachError(RuntimeError):
    """An interface could not be attached; str() says why."""


@dataclass(slots=True)
class Hooks:
    """The programs on this namespace's interfaces."""

    netlink: AsyncIPRoute
    programs: dict[str, int]
    method: Method
    anchor: Anchor
    links: dict[int, list[int]] = field(default_factory=dict)
    """By ifindex: TCX link descriptors; an empty list for clsact."""

    async def attach(self, interface: Interface) -> None:
        """Ingress and egress, or none; AttachError if it does not work."""
        layer = "eth" if interface.link_type == LINKTYPE_ETHERNET else "ip"
        ends = ("in",) if interface.loopback else ("in", "out")
        programs = [self.programs[f"nobs_{layer}_{end}"] for end in ends]
        try:
            if self.method == "tcx":
                self.links[interface.ifindex] = _link(interface.ifindex, programs, self.anchor)
            else:
                await self._add_filters(interface.ifindex, programs)
                self.links[interface.ifindex] = []
        except (OSError, NetlinkError) as error:
            with contextlib.suppress(NetlinkError):
                await sweep_interface(self.netlink, interface.ifindex)
            raise AttachError(f"cannot attach to {interface.name}: {error}") from error

    async def detach(self, ifindex: int) -> None:
        """No error when the interface has gone meanwhile."""
        links = self.links.pop(ifindex, None)
        if links is None:
            return
        for fd in links:
            os.close(fd)
        if self.method == "clsact":
            with contextlib.suppress(NetlinkError):
                await sweep_interface(self.netlink, ifindex)

    async def detach_all(self) -> None:
        for ifindex in list(self.links):
            await self.detach(ifindex)

    async def _add_filters(self, ifindex: int, programs: Sequence[int]) -> None:
        name = _NAME
        try:
            await self.netlink.tc("add", "clsact", ifindex)
            name = _NAME_WITH_QDISC
        except NetlinkError as error:
            if error.code != errno.EEXIST:
                raise
        for parent, program in zip(_PARENTS, programs, strict=False):
            await self.netlink.tc(
                "add-filter", "bpf", ifindex, fd=program, name=name, parent=parent,
                direct_action=True, classid=1, prio=_PREFERENCE[self.anchor],
            )  # fmt: skip


def supports_tcx(program: int, ifindex: int) -> bool:
    """Try it on an interface: distributions backport, so a version says nothing."""
    try:
        os.close(bpf.link_tcx(program, ifindex=ifindex, attach_type=bpf.TCX_INGRESS, flags=0))
    except OSError:
        return False
    return True


def _link(ifindex: int, programs: Sequence[int], anchor: Anchor) -> list[int]:
    flags = bpf.F_BEFORE if anchor == "head" else bpf.F_AFTER
    links: list[int] = []
    try:
        for program, hook in zip(programs, _HOOKS, strict=False):
            links.append(bpf.link_tcx(program, ifindex=ifindex, attach_type=hook, flags=flags))
    except OSError:
        for fd in links:
            os.close(fd)
        raise
    return links


async def sweep_interface(netlink: AsyncIPRoute, ifindex: int) -> int:
    """Remove our clsact filters, and the qdisc if we made it and nobody else uses it."""
    removed, others, made_qdisc = 0, 0, False
    for parent in _PARENTS:
        dump = await netlink.get_filters(index=ifindex, parent=parent)
        for message in [m async for m in dump]:
            name = _filter_name(message)
            if name is None:
                continue
            if name not in (_NAME, _NAME_WITH_QDISC):
                others += 1
                continue
            made_qdisc |= name == _NAME_WITH_QDISC
            removed += 1
            await netlink.tc(
                "del-filter", "bpf", ifindex, parent=parent, prio=message["info"] >> 16,
                handle=message["handle"], protocol=_ALL_PROTOCOLS,
            )  # fmt: skip
    if made_qdisc and not others:
        await netlink.tc("del", "clsact", ifindex)
    return removed


def _filter_name(message: object) -> str | None:
    """Of a filter; None for the chain's own entry, which has no handle."""
    handle = message["handle"]  # type: ignore[index]
    if not handle:
        return None
    options = message.get_attr("TCA_OPTIONS")  # type: ignore[attr-defined]
    name = options.get_attr("TCA_BPF_NAME") if hasattr(options, "get_attr") else None
    return str(name or "")
