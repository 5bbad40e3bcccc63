"""Where the programs stand among others' on an interface."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyroute2 import AsyncIPRoute

from agent.kernel import bpf
from agent.kernel.attach import Anchor, Hooks, Method, sweep_interface
from agent.kernel.interfaces import Interface, snapshot
from tests.network import sh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.kernel import Kernel

pytestmark = pytest.mark.kernel

PROG_QUERY = 16
NAME = f"nobst{os.getpid() % 10000}"


@pytest.fixture(autouse=True)
def wire() -> Iterator[None]:
    sh("ip", "link", "add", NAME, "up", "type", "veth", "peer", "name", f"{NAME}p")
    yield
    sh("ip", "link", "del", NAME)


@pytest.fixture
async def netlink() -> AsyncIterator[AsyncIPRoute]:
    async with AsyncIPRoute() as opened:
        yield opened


async def interface(netlink: AsyncIPRoute) -> Interface:
    (found,) = [i for i in (await snapshot(netlink)).values() if i.name == NAME]
    return found


def chain(ifindex: int, hook: int) -> list[int]:
    """Ids of the TCX programs in the order in which they run."""
    ids = bytearray(4 * 16)
    attr = bytearray(
        struct.pack("<IIIIQI", ifindex, hook, 0, 0, bpf._address(ids), 16).ljust(64, b"\0")
    )
    bpf._bpf(PROG_QUERY, attr)
    (count,) = struct.unpack_from("<I", attr, 24)
    return list(struct.unpack_from(f"<{count}I", ids))


def prog_id(fd: int) -> int:
    with Path(f"/proc/self/fdinfo/{fd}").open() as info:
        return int(next(line for line in info if line.startswith("prog_id")).split()[1])


@pytest.mark.parametrize(("anchor", "place"), [("head", 0), ("tail", -1)])
async def test_the_anchor_says_who_sees_packets_first(
    netlink: AsyncIPRoute, kernel: Kernel, anchor: Anchor, place: int
) -> None:
    where = await interface(netlink)
    programs = kernel.loaded.programs
    others = [
        bpf.link_tcx(
            programs[name], ifindex=where.ifindex, attach_type=bpf.TCX_INGRESS, flags=bpf.F_AFTER
        )
        for name in ("nobs_ip_in", "nobs_ip_out")
    ]
    hooks = Hooks(netlink, programs, "tcx", anchor)
    await hooks.attach(where)
    order = chain(where.ifindex, bpf.TCX_INGRESS)
    assert len(order) == 3
    assert order[place] == prog_id(programs["nobs_eth_in"])
    assert chain(where.ifindex, bpf.TCX_EGRESS) == [prog_id(programs["nobs_eth_out"])]
    await hooks.detach(where.ifindex)
    assert len(chain(where.ifindex, bpf.TCX_INGRESS)) == 2
    for fd in others:
        os.close(fd)


@pytest.mark.parametrize("method", ["tcx", "clsact"])
async def test_detached_leaves_the_interface_as_it_was(
    netlink: AsyncIPRoute, kernel: Kernel, method: Method
) -> None:
    where = await interface(netlink)
    before = sh("tc", "qdisc", "show", "dev", NAME)
    hooks = Hooks(netlink, kernel.loaded.programs, method, "head")
    await hooks.attach(where)
    await hooks.detach(where.ifindex)
    assert sh("tc", "qdisc", "show", "dev", NAME) == before
    assert chain(where.ifindex, bpf.TCX_INGRESS) == []


async def test_a_sweep_leaves_a_qdisc_and_filters_that_are_not_ours(
    netlink: AsyncIPRoute, kernel: Kernel
) -> None:
    where = await interface(netlink)
    sh("tc", "qdisc", "add", "dev", NAME, "clsact")
    await netlink.tc(
        "add-filter", "bpf", where.ifindex, fd=kernel.loaded.programs["nobs_ip_in"], name="other",
        parent=0xFFFFFFF2, direct_action=True, classid=1, prio=5,
    )  # fmt: skip
    before = sh("tc", "filter", "show", "dev", NAME, "ingress")
    hooks = Hooks(netlink, kernel.loaded.programs, "clsact", "head")
    await hooks.attach(where)
    assert await sweep_interface(netlink, where.ifindex) == 2
    assert sh("tc", "filter", "show", "dev", NAME, "ingress") == before
    assert "clsact" in sh("tc", "qdisc", "show", "dev", NAME)
