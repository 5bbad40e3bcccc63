"""`filter try` counts what passes and changes nothing; `filter explain` says what will happen."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests import network
from tests.network import until
from tests.session import session

if TYPE_CHECKING:
    from tests.network import Pair
    from tests.session import Session

pytestmark = pytest.mark.kernel

PORT, OTHER = 7001, 7002
SENT, SIZE, RATE = 400, 100, 400
FRAME = SIZE + 8 + 20 + 14
ROW = f"FROM flow WHERE DstPort = {PORT}"


def send(pair: Pair, count: int = SENT) -> None:
    """Datagrams to our host, on one interface, and none in answer."""
    sender = pair.peer.start_python(network.UDP_SEND, pair.ours4, f"{PORT}", count, SIZE, RATE)
    assert sender.wait(30) == 0


def tried(live: Session, pair: Pair, words: str) -> list[dict[str, Any]]:
    """What `filter try` says of a known number of datagrams, ended by Ctrl-C once they came."""
    mark = len(live.narration)
    live.tell(f"filter try {words} for 60s")
    until(lambda: any("counting what" in line for line in live.narration[mark:]))
    send(pair)
    os.kill(live.pid, signal.SIGINT)
    (rows,) = live.do()
    assert isinstance(rows, list)
    return rows


def test_what_a_filter_would_match_is_counted_and_nothing_is_captured(pair: Pair) -> None:
    pair.ours.start_python(network.SINK, pair.ours4, f"{PORT},{OTHER}")
    with session(pair.ours, "-i", "eth0", "--filter", f"port {OTHER}") as live:
        before = live.sql("SELECT DISTINCT Filter FROM filter_log WHERE Filter IS NOT NULL")
        (row,) = tried(live, pair, f"protocol udp dport {PORT}")
        assert (row["packets"], row["bytes"]) == (SENT, SENT * FRAME)
        assert row["packets/s"] > 0
        told = f"'dport {PORT} protocol udp' matches {SENT} packets, "
        until(lambda: any(each.startswith(told) for each in live.narration))
        assert live.value(f"SELECT count(*) {ROW}") == 0
        (filters,) = live.do("filter list")
        assert [each["filter"] for each in filters] == [f"port {OTHER}"]
        assert [each["flow hits"] for each in filters] == [0]
        (row,) = tried(live, pair, f"cidr {pair.ours4} port {OTHER}")
        assert (row["packets"], row["bytes"]) == (0, 0)
        (added,) = live.sql("SELECT max(FilterId) AS id FROM filter_log")
        assert added["id"] == 3, "each took one number"
        logged = live.sql("SELECT DISTINCT Filter FROM filter_log WHERE Filter LIKE 'try: %'")
        assert len(before) == 1
        assert len(logged) == 2

        # What is captured already goes on, by the filter that captured it.
        live.do(f"filter replace 1 port {PORT}")
        (row,) = tried(live, pair, f"reject protocol udp port {PORT}")
        assert row["packets"] == SENT
        assert live.settle(f"SELECT sum(Packets) {ROW}", least=SENT) == SENT
        assert live.sql(f"SELECT DISTINCT FilterId {ROW}") == [{"FilterId": 1}]

        live.do("pause")
        (row,) = tried(live, pair, f"port {PORT}")
        assert row["packets"] == SENT
        assert live.value(f"SELECT sum(Packets) {ROW}") == SENT


def test_what_is_explained_is_what_happens(pair: Pair) -> None:
    pair.ours.start_python(network.SINK, pair.ours4, f"{PORT},{OTHER}")
    with session(pair.ours, "-i", "eth0") as live:
        live.do(f"filter dport {OTHER}", f"filter protocol udp dport {PORT} for flows")
        question = f"filter explain {pair.peer4} {pair.ours4}:{PORT} udp"
        (told,) = live.do(question)
        assert (told["there_flows"], told["there_flows_filter"]) == ("captured", 2)
        assert (told["back_flows"], told["back_flows_filter"]) == ("left out", None)
        assert told["there_packets"] == told["back_packets"] == "off"
        assert told["evidence"]["filters"] == [
            {"filter": 1, "rule": f"dport {OTHER}", "there": "no: dport", "back": "no: dport"},
            {"filter": 2, "rule": f"dport {PORT} protocol udp for flows",
             "there": "yes", "back": "no: dport"},
        ]  # fmt: skip
        send(pair, 20)
        assert live.settle(f"SELECT sum(Packets) {ROW}", least=20) == 20
        assert live.sql(f"SELECT DISTINCT FilterId {ROW}") == [{"FilterId": 2}]

        live.do("filter clear", f"filter reject port {PORT}")
        (told,) = live.do(question)
        assert (told["there_flows"], told["there_flows_filter"]) == ("left out", 3)
        generation = live.value("SELECT max(Generation) FROM filter_log")
        send(pair, 20)
        decided = f"FROM filter_log WHERE Generation = {generation} AND FilterId = 3"
        until(lambda: live.value(f"SELECT sum(FlowHits) {decided}") == 20)
        assert live.value(f"SELECT count(*) {ROW} AND Generation = {generation}") == 0
