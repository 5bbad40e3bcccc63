"""More than fits in the anchor: many new flows, full maps, full rings; every loss has a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.session import session

if TYPE_CHECKING:
    from tests.network import Pair

pytestmark = pytest.mark.kernel

MANY_FLOWS = """
import socket, struct, sys
# One UDP packet each of many flows: raw IP, the source port and address count up.
times, dst = int(sys.argv[1]), socket.inet_aton(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for i in range(times):
    src = bytes((10, 78, i // 50000, 1))
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 32, i & 0xffff, 0, 64, 17, 0, src, dst)
    s.sendto(head + struct.pack(">HHHHI", 1024 + i % 50000, 7001, 12, 0, i), (sys.argv[2], 0))
"""


def test_twenty_thousand_new_flows_at_once_are_all_there(pair: Pair) -> None:
    with session(pair.ours, "-i", "eth0", "--filter", "port 7001") as live:
        pair.peer.python(MANY_FLOWS, 20_000, pair.ours4)
        assert live.settle("SELECT sum(Packets) FROM flow", least=20_000) == 20_000
        rows = live.value("SELECT count(*) FROM (SELECT DISTINCT SrcAddr, SrcPort FROM flow)")
        assert rows == 20_000
        assert live.value("SELECT ifnull(sum(Count), 0) FROM loss") == 0


def test_a_full_flow_map_is_a_row_in_loss_and_nothing_is_unaccounted_for(pair: Pair) -> None:
    with session(
        pair.ours, "-i", "eth0", "--flow-capacity", "1000", "--filter", "port 7001"
    ) as live:
        pair.peer.python(MANY_FLOWS, 20_000, pair.ours4)
        kept = live.settle("SELECT sum(Packets) FROM flow", least=1000)
        lost = live.sql("SELECT Stage, sum(Count) AS n, count(Node) AS nodes FROM loss GROUP BY 1")
        assert [r["Stage"] for r in lost] == ["flow_map"]
        assert kept + lost[0]["n"] == 20_000


def test_a_full_ring_is_a_row_in_loss_and_nothing_is_unaccounted_for(pair: Pair) -> None:
    with session(
        pair.ours, "-i", "eth0", "--packets", "--ring-bytes", "4Ki", "--filter", "port 7001"
    ) as live:
        pair.peer.python(MANY_FLOWS, 20_000, pair.ours4)
        live.settle("SELECT sum(Packets) FROM flow", least=20_000)
        kept = live.settle("SELECT count(*) FROM packet")
        lost = live.value("SELECT sum(Count) FROM loss WHERE Stage = 'ring'")
        assert kept + lost == 20_000


def test_a_loss_above_the_limit_is_exit_status_five(pair: Pair) -> None:
    live = session(
        pair.ours, "-i", "eth0", "--flow-capacity", "100", "--filter", "port 7001",
        "--fail-on-loss", "10",
    )  # fmt: skip
    with live as opened:
        pair.peer.python(MANY_FLOWS, 5_000, pair.ours4)
        opened.settle("SELECT sum(Count) FROM loss", least=100)
        assert opened.quit() == 5
