"""Several interfaces: which are captured, what is counted once, what appears later."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests import network
from tests.classifier import frames as f
from tests.session import session

if TYPE_CHECKING:
    from pathlib import Path

    from tests.network import Pair, Routed

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("attach", ["tcx", "clsact"])
def test_a_packet_through_two_interfaces_is_one_in_flow_and_two_in_packet(
    routed: Routed, attach: str
) -> None:
    with session(routed.router, "--packets", "--attach", attach) as live:
        routed.client.run("ping", "-q", "-c", "50", "-i", "0.05", routed.server4)
        live.settle("SELECT sum(Packets) FROM flow WHERE Proto = 1", least=100)
        flows = live.sql(
            """SELECT SrcAddr, IcmpType, sum(Packets) AS n, min(Interfaces) AS Interfaces
            FROM flow WHERE Proto = 1 GROUP BY SrcAddr, IcmpType ORDER BY IcmpType"""
        )
        assert [(r["SrcAddr"], r["IcmpType"], r["n"]) for r in flows] == [
            (routed.server4, 0, 50), (routed.client4, 8, 50),
        ]  # fmt: skip
        assert all(set(json.loads(r["Interfaces"])) == {"left", "right"} for r in flows)
        packets = live.sql(
            """SELECT Interface, IfDirection, IcmpType, count(*) AS n FROM packet
            WHERE Proto = 1 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""
        )
        assert [(r["Interface"], r["IfDirection"], r["IcmpType"], r["n"]) for r in packets] == [
            ("left", 0, 8, 50), ("left", 1, 0, 50), ("right", 0, 0, 50), ("right", 1, 8, 50),
        ]  # fmt: skip


def test_an_interface_that_appears_is_captured_within_a_second(pair: Pair) -> None:
    with session(pair.ours) as live:
        network.join(pair.peer, pair.ours, names=("late0", "late1"), network=9)
        time.sleep(1)
        pair.peer.run("ping", "-q", "-c", "3", "-i", "0.05", "10.77.9.2")
        live.settle("SELECT sum(Packets) FROM flow WHERE DstAddr = '10.77.9.2'", least=3)
        assert live.value("SELECT Attached FROM interface WHERE Name = 'late1'") == 1
        assert live.value("SELECT DISTINCT Interface FROM flow WHERE IcmpType = 8") == "late1"


def test_a_rule_on_interfaces_holds_for_one_that_appears(pair: Pair) -> None:
    with session(pair.ours, "--filter", "interface late*") as live:
        network.join(pair.peer, pair.ours, names=("late0", "late1"), network=9)
        time.sleep(1)
        for address in ("10.77.9.2", pair.ours4):
            pair.peer.run("ping", "-q", "-c", "3", "-i", "0.05", address)
        live.settle("SELECT sum(Packets) FROM flow WHERE IcmpType = 8", least=3)
        assert live.sql("SELECT DISTINCT DstAddr FROM flow WHERE IcmpType = 8") == [
            {"DstAddr": "10.77.9.2"}
        ]


def test_loopback_is_captured_only_when_named_and_each_packet_once(pair: Pair) -> None:
    with session(pair.ours) as live:
        pair.ours.run("ping", "-q", "-c", "3", "-i", "0.05", "127.0.0.1")
        pair.peer.run("ping", "-q", "-c", "3", "-i", "0.05", pair.ours4)
        live.settle("SELECT sum(Packets) FROM flow WHERE IcmpType = 8", least=3)
        assert live.value("SELECT count(*) FROM flow WHERE SrcAddr = '127.0.0.1'") == 0
    with session(pair.ours, "-i", "lo", "--packets") as live:
        pair.ours.run("ping", "-q", "-c", "3", "-i", "0.05", "127.0.0.1")
        live.settle("SELECT sum(Packets) FROM flow", least=6)
        assert live.value("SELECT sum(Packets) FROM flow") == 6
        assert live.value("SELECT count(*) FROM packet") == 6


def test_a_vlan_tag_that_the_stack_took_off_is_in_the_packet_again(
    pair: Pair, tmp_path: Path
) -> None:
    file = str(tmp_path / "vlan.pcap")
    tagged = f.udp4("10.0.0.1", "10.0.0.2", payload=bytes(30), vlans=(42,))
    with session(pair.ours, "-i", "eth0", "--packets", "--filter", "port 53") as live:
        pair.peer.python(network.RAW_FRAMES, "eth0", tagged.hex())
        live.settle("SELECT count(*) FROM packet WHERE Vlan = 42")
        assert live.sql("SELECT Length, CapLen FROM packet") == [
            {"Length": len(tagged), "CapLen": len(tagged)}
        ]
        live.do(f"export pcap {file}")
        assert network.tshark(file, ["vlan.id", "udp.dstport"]) == [("42", "53")]
