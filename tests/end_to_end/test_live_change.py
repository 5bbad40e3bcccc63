"""Filters that change under steady traffic: no mixture, nothing missed, every node acknowledges."""

from __future__ import annotations

import re
from statistics import median, quantiles
from typing import TYPE_CHECKING

import pytest

from tests import network
from tests.network import tshark
from tests.session import session

if TYPE_CHECKING:
    from pathlib import Path

    from tests.network import Pair

pytestmark = pytest.mark.kernel

SWAPS = 200
LEFT, RIGHT, BOTH = 7001, 7002, 7003


@pytest.mark.timeout(300)
def test_two_hundred_swaps_mix_nothing_and_miss_nothing(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair.ours.start_python(network.SINK, pair.ours4, f"{LEFT},{RIGHT},{BOTH}")
    rules = [f"protocol udp port {LEFT},{BOTH}", f"protocol udp port {RIGHT},{BOTH}"]
    with session(pair.ours, "-i", "eth0", "--packets", "--filter", rules[0]) as live:
        before = live.value("SELECT max(Generation) FROM filter_log")
        sender = pair.peer.start_python(
            network.UDP_SEND, pair.ours4, f"{LEFT},{RIGHT},{BOTH}", 10**9, 100, 3000
        )
        for swap in range(SWAPS):
            live.tell(f"filter replace 1 {rules[(swap + 1) % 2]}")
        live.do()
        sender.terminate()
        sender.wait()
        live.settle("SELECT count(*) FROM packet")

        last = live.value("SELECT max(Generation) FROM filter_log")
        assert last == before + SWAPS
        for table, number in (("packet", "count(*)"), ("flow", "sum(Packets)")):
            mixed = live.sql(
                f"SELECT DISTINCT (Generation - {before}) % 2 AS odd, DstPort FROM {table}"
            )
            assert {(r["odd"], r["DstPort"]) for r in mixed} == {
                (0, LEFT), (0, BOTH), (1, RIGHT), (1, BOTH),
            }  # fmt: skip
            assert live.value(f"SELECT {number} FROM {table} WHERE DstPort = {BOTH}") > 1000
        file = str(tmp_path / "both.pcap")
        live.do(f"export pcap {file} where DstPort = {BOTH}")
        numbers = [int(payload[:8], 16) for (payload,) in tshark(file, ["udp.payload"])]
        assert numbers == list(range(len(numbers))), "no datagram that both accept is missing"
        assert live.value(f"SELECT sum(Packets) FROM flow WHERE DstPort = {BOTH}") == len(numbers)
        assert live.value("SELECT ifnull(sum(Count), 0) FROM loss") == 0
    times = [ms for line in live.narration if (ms := milliseconds(line)) is not None]
    assert len(times) == SWAPS
    with capsys.disabled():
        print(
            f"\nfilter change, command to acknowledged: p50 {median(times):.0f} ms, "
            f"p95 {quantiles(times, n=20)[18]:.0f} ms"
        )


def milliseconds(narration: str) -> float | None:
    found = re.search(r"applied 1/1 in ([\d.]+) (ms|s)\b", narration)
    return float(found[1]) * (1000 if found[2] == "s" else 1) if found else None
