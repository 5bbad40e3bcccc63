"""What the tables of a node tell of the machines behind its interfaces."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests import network
from tests.network import host, sh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.network import Host

pytestmark = pytest.mark.kernel

LOOK = """
import asyncio, ipaddress, json, sys, time
from pyroute2 import AsyncIPRoute
from agent.kernel import peers
from agent.kernel.interfaces import snapshot

def text(packed):
    address = ipaddress.IPv6Address(packed)
    return str(address.ipv4_mapped or address)

async def look(known):
    async with AsyncIPRoute() as netlink:
        found = known.fill(await snapshot(netlink))
    return {i.name: [text(each) for each in i.peers] for i in found.values() if i.peers}

known = peers.Peers()
print("{}")
for line in sys.stdin:
    time.sleep(peers.READ_SECONDS)
    print(json.dumps(asyncio.run(look(known))), flush=True)
"""


class Look:
    """One agent's memory of a node, asked again and again."""

    def __init__(self, node: Host) -> None:
        self._process, _ = node.start_talking(LOOK)

    def __call__(self) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(b"\n")
        stdin.flush()
        found: dict[str, Any] = json.loads(stdout.readline())
        return found


@pytest.fixture
def node() -> Iterator[Host]:
    with host("node") as made:
        yield made


def wire(node: Host, pod: Host, name: str) -> None:
    sh("ip", "link", "add", name, "netns", node.name, "type", "veth", "peer", "name", "eth0",
       "netns", pod.name)  # fmt: skip
    node.run("ip", "link", "set", name, "up")
    pod.run("ip", "link", "set", "eth0", "up")


def bridged(node: Host, pod: Host, name: str, number: int) -> None:
    wire(node, pod, name)
    node.run("ip", "link", "set", name, "master", "cni0")
    pod.run("ip", "addr", "add", f"10.77.5.{number}/24", "dev", "eth0")
    pod.run("ip", "addr", "add", f"fd77:5::{number}/64", "dev", "eth0", "nodad")


def bridge(node: Host) -> None:
    node.run("ip", "link", "add", "cni0", "type", "bridge")
    node.run("ip", "addr", "add", "10.77.5.1/24", "dev", "cni0")
    node.run("ip", "addr", "add", "fd77:5::1/64", "dev", "cni0", "nodad")
    node.run("ip", "link", "set", "cni0", "up")


def test_pods_on_a_bridge_are_told_by_what_it_and_the_node_have_learnt(node: Host) -> None:
    bridge(node)
    with host("one") as one, host("two") as two:
        bridged(node, one, "veth1", 11)
        bridged(node, two, "veth2", 12)
        look = Look(node)
        assert look() == {}
        for pod in (one, two):
            pod.run("ping", "-q", "-c1", "10.77.5.1")
        one.run("ping", "-q", "-c1", "fd77:5::1")
        assert look() == {"veth1": ["10.77.5.11", "fd77:5::11"], "veth2": ["10.77.5.12"]}


def test_pods_on_a_routed_pair_are_told_by_the_routes(node: Host) -> None:
    with host("pod") as pod:
        wire(node, pod, "cali1")
        node.run("ip", "route", "add", "10.77.6.7/32", "dev", "cali1", "scope", "link")
        node.run("ip", "-6", "route", "add", "fd77:6::7/128", "dev", "cali1")
        # None of these is a machine at the other end.
        node.run("ip", "route", "add", "10.77.8.0/24", "dev", "cali1")
        node.run("ip", "route", "add", "10.77.9.9/32", "via", "10.77.6.7", "dev", "cali1")
        node.run("ip", "addr", "add", "10.77.6.1/32", "dev", "cali1")
        assert Look(node)() == {"cali1": ["10.77.6.7", "fd77:6::7"]}


def test_an_address_once_told_holds_until_the_interface_goes(node: Host) -> None:
    bridge(node)
    look = Look(node)
    with host("pod") as pod:
        bridged(node, pod, "veth1", 11)
        pod.run("ping", "-q", "-c1", "10.77.5.1")
        assert look() == {"veth1": ["10.77.5.11"]}
        node.run("ip", "neigh", "flush", "dev", "cni0")
        node.run("bridge", "fdb", "flush", "dev", "veth1", check=False)
        assert look() == {"veth1": ["10.77.5.11"]}
        node.run("ip", "link", "del", "veth1")
        assert look() == {}


def test_where_many_machines_are_behind_an_interface_none_is_its_peer(node: Host) -> None:
    with host("network") as behind:
        wire(node, behind, "veth1")
        for number in range(1, 10):
            node.run("ip", "route", "add", f"10.77.7.{number}/32", "dev", "veth1")
        assert Look(node)() == {}


def test_what_a_node_has_of_its_own_is_no_peer() -> None:
    with network.pair() as pair:
        pair.peer.run("ping", "-q", "-c1", pair.ours4)
        assert Look(pair.ours)() == {}
