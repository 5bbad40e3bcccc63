"""Round-trip times over a wire that takes 20 ms each way, against ss and tshark."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests import network
from tests.network import Relayed, Tcpdump, tshark
from tests.session import Session, session

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

DELAY_MS = 20
ROUNDS = 15
IN4, OUT4, IN6, OUT6, EARLY, LATE = 8001, 8002, 8003, 8004, 8005, 8006
"""Ports of servers: in ours (IN) or at the peer (OUT); before and after the feature was on."""
TIMED = (IN4, OUT4, IN6, OUT6)


def srtt_ms(where: Relayed) -> dict[int, float]:
    """Smoothed round-trip time of each connection of ours, by the server's port."""
    lines = where.ours.run("ss", "-tinH").splitlines()
    found = {}
    for ends, details in zip(lines[::2], lines[1::2], strict=True):
        ports = {int(word.rsplit(":", 1)[1]) for word in ends.split()[3:5]}
        for port in ports & {*TIMED, EARLY}:
            match = re.search(r"\brtt:([\d.]+)/", details)
            assert match, details
            found[port] = float(match[1])
    return found


@dataclass(frozen=True, slots=True)
class Measured:
    where: Relayed
    session: Session
    file: str
    srtt_ms: dict[int, float]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    file = str(tmp_path_factory.mktemp("oracle") / "rtt.pcap")
    with network.relayed(delay_ms=DELAY_MS) as where, session(where.ours, "-i", "eth0") as live:
        for place, address, port in (
            (where.ours, where.ours4, IN4), (where.peer, where.peer4, OUT4),
            (where.ours, where.ours6, IN6), (where.peer, where.peer6, OUT6),
            (where.peer, where.peer4, EARLY), (where.peer, where.peer4, LATE),
        ):  # fmt: skip
            place.start_python(network.TCP_ECHO, address, port)
        for address in (where.peer4, where.peer6):  # the neighbours are known then
            where.ours.run("ping", "-q", "-c", "2", "-i", "0.2", address)
        early, _ = where.ours.start_talking(network.TCP_EXCHANGES, where.peer4, EARLY, 5)
        live.settle(f"SELECT sum(Packets) FROM flow WHERE DstPort = {EARLY}", least=7)

        live.do("enable rtt")
        dump = Tcpdump(where.ours, "eth0", file, "tcp")
        assert early.stdin is not None
        early.stdin.write(b"again\n")
        early.stdin.flush()
        for client, address, port in (
            (where.peer, where.ours4, IN4), (where.ours, where.peer4, OUT4),
            (where.peer, where.ours6, IN6), (where.ours, where.peer6, OUT6),
        ):  # fmt: skip
            client.start_talking(network.TCP_EXCHANGES, address, port, ROUNDS)
        found = srtt_ms(where)
        least = 2 * ROUNDS * len(TIMED)
        live.settle(
            "SELECT sum(Packets) FROM flow WHERE TimeFlowRttNs IS NOT NULL", least=least // 2
        )
        dump.stop()

        live.do("disable rtt")
        where.ours.start_talking(network.TCP_EXCHANGES, where.peer4, LATE, 2)
        live.settle(f"SELECT sum(Packets) FROM flow WHERE SrcPort = {LATE}", least=4)
        yield Measured(where, live, file, found)


@pytest.mark.parametrize("port", TIMED)
def test_smoothed_time_is_that_of_ss(measured: Measured, port: int) -> None:
    """On the rows of the direction that ours receives, and only there."""
    rows = measured.session.sql(
        f"""SELECT SrcAddr, TimeFlowRttNs / 1e6 AS ms FROM flow
        WHERE {port} IN (SrcPort, DstPort) AND TimeFlowRttNs IS NOT NULL ORDER BY TimeFlowEndMs"""
    )
    assert {r["SrcAddr"] for r in rows} <= {measured.where.peer4, measured.where.peer6}
    assert rows[-1]["ms"] == pytest.approx(measured.srtt_ms[port], rel=0.2)
    assert rows[-1]["ms"] > 2 * DELAY_MS


@pytest.mark.parametrize("port", TIMED)
def test_handshake_times_are_tsharks(measured: Measured, port: int) -> None:
    frames = tshark(
        measured.file, ["frame.time_epoch", "tcp.analysis.initial_rtt"],
        where=f"tcp.port == {port} && tcp.stream",
    )[:3]  # fmt: skip
    syn, syn_ack, ack = frames
    took = float(ack[1])
    rows = measured.session.sql(
        f"""SELECT DstPort, TimeHandshakeRttNs / 1e9 AS took, TimeSynAckNs / 1e9 AS syn_ack
        FROM flow WHERE {port} IN (SrcPort, DstPort) AND TimeHandshakeRttNs IS NOT NULL"""
    )
    assert [r["DstPort"] for r in rows] == [port], "once, in the client's direction"
    assert rows[0]["took"] == pytest.approx(took, abs=0.001)
    assert rows[0]["syn_ack"] == pytest.approx(float(syn_ack[0]) - float(syn[0]), abs=0.001)


def test_a_connection_older_than_the_feature_has_no_handshake(measured: Measured) -> None:
    row = measured.session.sql(
        f"""SELECT max(TimeFlowRttNs) / 1e6 AS ms, max(TimeHandshakeRttNs) AS handshake,
        max(TimeSynAckNs) AS syn_ack FROM flow WHERE SrcPort = {EARLY}"""
    )[0]
    assert row["ms"] > 2 * DELAY_MS
    assert (row["handshake"], row["syn_ack"]) == (None, None)


def test_what_was_not_observed_is_null(measured: Measured) -> None:
    assert measured.session.sql(
        f"""SELECT DISTINCT TimeFlowRttNs, TimeHandshakeRttNs, TimeSynAckNs FROM flow
        WHERE {LATE} IN (SrcPort, DstPort) OR Proto != 6"""
    ) == [{"TimeFlowRttNs": None, "TimeHandshakeRttNs": None, "TimeSynAckNs": None}]
