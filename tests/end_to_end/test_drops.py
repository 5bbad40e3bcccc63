"""Packets that the kernel drops for a real cause: rows and counts, against the stack's own.

One session sees all causes; how many packets each took is what the stack,
nftables or the qdisc counted meanwhile.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests import network
from tests.scenarios.drops import (
    CAUSES,
    INPUT,
    OUTPUT,
    RULES,
    TCP_OUTPUT,
    Cause,
    name_of,
    nft_counted,
    steady,
)
from tests.session import Session, session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.network import Relayed

pytestmark = pytest.mark.kernel


@dataclass(frozen=True, slots=True)
class Dropped:
    """A session that has seen every cause, and how many packets each took."""

    where: Relayed
    session: Session
    counted: dict[str, int] = field(default_factory=dict)


@pytest.fixture(scope="module")
def dropped() -> Iterator[Dropped]:
    # The relay's delay lets the connections that overflow a queue overlap.
    with network.relayed(delay_ms=20) as where, session(where.ours, "-i", "eth0") as live:
        for line in RULES.strip().splitlines():
            where.ours.run("nft", line)
        live.do("enable drops")
        made = Dropped(where, live)
        for cause in CAUSES:
            if cause.oracle is None:
                cause.make(where)
                made.counted[name_of(cause)] = cause.sent
                continue
            oracle, before = cause.oracle, cause.oracle(where)
            cause.make(where)
            network.until(lambda: oracle(where) - before >= max(1, cause.sent))  # noqa: B023
            if not cause.sent:
                steady(lambda: oracle(where))  # noqa: B023
            made.counted[name_of(cause)] = oracle(where) - before
        live.settle("SELECT count(*) FROM packet_drop", least=sum(made.counted.values()))
        live.settle(
            "SELECT sum(PktDropPackets) FROM flow", least=sum(made.counted.values()), seconds=20
        )
        yield made


@pytest.mark.parametrize("cause", CAUSES, ids=name_of)
def test_each_lost_packet_is_a_row_with_its_cause(dropped: Dropped, cause: Cause) -> None:
    counted = dropped.counted[name_of(cause)]
    assert counted == cause.sent or (cause.sent == 0 and counted)
    rows = dropped.session.sql(
        f"""SELECT Reason, Function, NetNs, TcpState FROM packet_drop
        WHERE {cause.flow} AND Loss = 1 AND Reason = '{cause.reason}'"""
    )
    assert len(rows) == counted
    assert {r["NetNs"] for r in rows} == {dropped.where.ours.inode()}
    assert {r["TcpState"] for r in rows} == {cause.state}
    for row in rows:
        assert re.fullmatch(cause.function + r"\+0x[0-9a-f]+", row["Function"])


@pytest.mark.parametrize("cause", CAUSES, ids=name_of)
def test_its_flow_has_their_number_bytes_and_cause(dropped: Dropped, cause: Cause) -> None:
    flows = dropped.session.sql(
        f"""SELECT sum(PktDropPackets) AS packets, sum(PktDropBytes) AS bytes,
        sum(Packets) AS seen, sum(Interface IS NOT NULL) AS placed FROM flow WHERE {cause.flow}"""
    )[0]
    rows = dropped.session.sql(
        f"""SELECT count(*) AS packets, sum(Length) AS bytes FROM packet_drop
        WHERE {cause.flow} AND Loss = 1"""
    )[0]
    assert (flows["packets"], flows["bytes"]) == (rows["packets"], rows["bytes"])
    if cause.at_hook:
        assert flows["seen"] >= flows["packets"]
    else:
        assert (flows["seen"], flows["placed"]) == (0, 0)
    latest = dropped.session.sql(
        f"""SELECT PktDropLatestDropCause AS cause, PktDropLatestState AS state FROM flow
        WHERE {cause.flow} AND PktDropPackets > 0 ORDER BY TimeFlowEndMs DESC LIMIT 1"""
    )
    assert latest == dropped.session.sql(
        f"""SELECT Reason AS cause, TcpState AS state FROM packet_drop
        WHERE {cause.flow} AND Loss = 1 ORDER BY TimeNs DESC LIMIT 1"""
    )


def test_dropped_bytes_are_those_of_the_rule(dropped: Dropped) -> None:
    for port in (INPUT, OUTPUT, TCP_OUTPUT):
        row = dropped.session.sql(
            f"""SELECT count(*) AS packets, sum(Length) AS bytes FROM packet_drop
            WHERE DstPort = {port} AND Reason = 'NETFILTER_DROP'"""
        )[0]
        assert (row["packets"], row["bytes"]) == nft_counted(dropped.where.ours, port)


def test_drop_summary_counts_by_cause(dropped: Dropped) -> None:
    rows = dropped.session.sql("SELECT * FROM drop_summary")
    for reason in {cause.reason for cause in CAUSES}:
        expected = dropped.session.value(
            f"SELECT count(*) FROM packet_drop WHERE Reason = '{reason}'"
        )
        assert sum(r["Drops"] for r in rows if r["Reason"] == reason) == expected


def test_filters_decide_which_drops_are_rows(pair: network.Pair) -> None:
    with session(pair.ours, "-i", "eth0", "--filter", "protocol udp port 9001") as live:
        pair.peer.python(network.UDP_TRY, pair.ours4, 9001, 3, 100)
        live.settle("SELECT sum(Packets) FROM flow", least=3)
        assert live.sql("SELECT DISTINCT PktDropPackets, PktDropBytes FROM flow") == [
            {"PktDropPackets": None, "PktDropBytes": None}
        ], "not observed"

        live.do("enable drops")
        for port, number in ((9001, 4), (9003, 5)):
            pair.peer.python(network.UDP_TRY, pair.ours4, port, number, 100)
        live.settle("SELECT count(*) FROM packet_drop", least=4)
        live.do("filter replace 1 protocol udp port 9003")
        for port, number in ((9001, 6), (9003, 7)):
            pair.peer.python(network.UDP_TRY, pair.ours4, port, number, 100)
        live.settle("SELECT count(*) FROM packet_drop", least=11)

        live.do("disable drops")
        pair.peer.python(network.UDP_TRY, pair.ours4, 9003, 8, 100)
        live.settle("SELECT sum(Packets) FROM flow", least=3 + 4 + 7 + 8)
        before = live.value("SELECT min(Generation) FROM packet_drop")
        rows = live.sql(
            f"""SELECT Generation - {before} AS g, DstPort, Reason, count(*) AS n
            FROM packet_drop GROUP BY 1, 2, 3 ORDER BY 1"""
        )
        assert [(r["g"], r["DstPort"], r["Reason"], r["n"]) for r in rows] == [
            (0, 9001, "NO_SOCKET", 4),
            (1, 9003, "NO_SOCKET", 7),
        ]
        flows = live.sql(
            f"""SELECT Generation - {before} AS g, DstPort, sum(Packets) AS packets,
            sum(PktDropPackets) AS dropped FROM flow GROUP BY 1, 2 ORDER BY 1"""
        )
        assert [(r["g"], r["DstPort"], r["packets"], r["dropped"]) for r in flows] == [
            (-1, 9001, 3, None),
            (0, 9001, 4, 4),
            (1, 9003, 7, 7),
            (2, 9003, 8, None),
        ]


def test_healthy_traffic_loses_nothing(pair: network.Pair) -> None:
    pair.ours.start_python(network.TCP_ECHO, pair.ours4, 8080)
    pair.peer.start_python(network.TCP_ECHO, pair.peer6, 8080)
    with session(
        pair.ours, "-i", "eth0", "--filter", "protocol tcp port 8080",
        "--filter", "protocol icmp,icmpv6 icmp_type 0,8,128,129",
    ) as live:  # fmt: skip
        live.do("enable drops")
        pair.peer.python(network.TCP_TALK, pair.ours4, 8080, 1, 1_000_000)
        pair.ours.python(network.TCP_TALK, pair.peer6, 8080, 1, 1_000_000)
        for address in (pair.peer4, pair.peer6):
            pair.ours.run("ping", "-q", "-c", "3", "-i", "0.05", address)
        live.settle("SELECT sum(Packets) FROM flow", least=100)
        assert live.sql("SELECT * FROM packet_drop WHERE Loss = 1") == []
        assert live.sql(
            """SELECT DISTINCT PktDropPackets, PktDropBytes, PktDropLatestDropCause,
            PktDropLatestState, PktDropLatestFlags FROM flow"""
        ) == [
            {"PktDropPackets": 0, "PktDropBytes": 0, "PktDropLatestDropCause": None,
             "PktDropLatestState": None, "PktDropLatestFlags": None}
        ]  # fmt: skip


KEEP_ALIVE = """
import socket, sys
c = socket.create_connection((sys.argv[1], int(sys.argv[2])))
c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
c.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
c.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
print("ready"); sys.stdin.read()
"""

UNREAD = """
import socket
inbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); inbox.bind(("127.0.0.1", 0))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3): sender.sendto(bytes(100), inbox.getsockname())
print(inbox.getsockname()[1]); inbox.close()
"""


def test_keep_alives_are_dropped_and_missed_by_nobody(pair: network.Pair) -> None:
    """Each probe repeats a byte that had arrived."""
    pair.ours.start_python(network.TCP_ECHO, pair.ours4, 8080)
    with session(pair.ours, "-i", "eth0", "--filter", "protocol tcp port 8080") as live:
        live.do("enable drops")
        client = pair.peer.start_python(KEEP_ALIVE, pair.ours4, 8080, stdin=subprocess.PIPE)
        network.until(lambda: pair.peer.counter("TcpExtTCPKeepAlive") >= 2)
        client.terminate()
        client.wait()
        sent = pair.peer.counter("TcpExtTCPKeepAlive")
        assert live.settle("SELECT count(*) FROM packet_drop", least=sent) == sent
        rows = live.sql("SELECT Reason, Loss, SrcAddr, TcpState FROM packet_drop")
        assert set(map(str, rows)) == {
            str({"Reason": "TCP_OLD_SEQUENCE", "Loss": 0, "SrcAddr": pair.peer4,
                 "TcpState": "TCP_ESTABLISHED"})
        }  # fmt: skip
        assert live.sql("SELECT DISTINCT PktDropPackets FROM flow") == [{"PktDropPackets": 0}]


def test_what_a_closing_socket_had_not_read_is_no_loss() -> None:
    """The host's agent sees all namespaces: the datagrams are the test's own, on loopback."""
    with session(None, "-i", "lo", "--filter", "protocol udp cidr 127.0.0.1") as live:
        live.do("enable drops")
        port = int(network.sh(sys.executable, "-c", UNREAD))
        live.settle(f"SELECT count(*) FROM packet_drop WHERE DstPort = {port}", least=3)
        rows = live.sql(f"SELECT Loss, Length FROM packet_drop WHERE DstPort = {port}")
        assert rows == [{"Loss": 0, "Length": 128}] * 3
