"""Retransmits, resets and state changes over a lossy wire, against nstat, tshark and /proc."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests import network
from tests.network import Relayed, Tcpdump, tshark
from tests.session import Row, Session, session

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

DELAY_MS, LOSE_EVERY = 5, 9
BULK, BURSTS, MUTE, DEAF, TALK, CLOSED_HERE, CLOSED_THERE, ABORT = range(8101, 8109)
"""Ports: each its own story."""

NO_ANSWER = f"""
add table inet t
add chain inet t in {{ type filter hook input priority 0; }}
add rule inet t in tcp dport {MUTE} drop
add rule inet t in tcp sport {DEAF} tcp flags & (syn | ack) == syn | ack drop
"""
"""At the peer: a server that never hears, and a client that never hears."""

ABORTS = """
import json, os, socket, struct, sys
c = socket.create_connection((sys.argv[1], int(sys.argv[2])))
c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
c.sendall(b"x"); c.recv(1)
print(json.dumps({"pid": os.getpid(), "port": c.getsockname()[1]})); c.close()
"""


@dataclass(frozen=True, slots=True)
class Told:
    """A session that has seen each story, and what the stack counted in it."""

    where: Relayed
    session: Session
    file: str
    retransmitted: dict[int, int]
    """Segments, by port."""
    lost: int
    """Segments that the wire lost."""
    talker: dict[str, Any]
    aborter: dict[str, Any]
    """Process, and port of its connection."""
    resets: int

    def rows(self, columns: str, where: str) -> list[Row]:
        return self.session.sql(f"SELECT {columns} FROM tcp_event WHERE {where} ORDER BY TimeNs")


def retransmits(where: Relayed) -> dict[int, int]:
    """Makes some of each kind; segments that nstat counted, by port."""
    found = {}
    ours, peer = where.ours, where.peer
    for port, size in ((BULK, 120_000), (BURSTS, 600_000)):
        if port == BURSTS:  # several segments to one packet of the stack
            ours.run("ip", "link", "set", "eth0", "gso_max_segs", "64")
        before = ours.counter("TcpRetransSegs")
        ours.python(network.TCP_TALK, where.peer4, port, 1, size)
        found[port] = ours.counter("TcpRetransSegs") - before
    ours.run("ip", "link", "set", "eth0", "gso_max_segs", "1")
    before = ours.counter("TcpRetransSegs")
    assert ours.python(network.TCP_TRY, where.peer4, MUTE, 1.5).strip() == "TimeoutError"
    found[MUTE] = ours.counter("TcpRetransSegs") - before
    before = ours.counter("TcpRetransSegs")
    assert peer.python(network.TCP_TRY, where.ours4, DEAF, 0.3).strip() == "TimeoutError"
    network.until(lambda: ours.counter("TcpRetransSegs") > before)
    found[DEAF] = ours.counter("TcpRetransSegs") - before
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    file = str(tmp_path_factory.mktemp("oracle") / "tcp.pcap")
    with (
        network.relayed(delay_ms=DELAY_MS, lose_every=LOSE_EVERY) as where,
        session(where.ours, "-i", "eth0") as live,
    ):
        ours, peer = where.ours, where.peer
        for line in NO_ANSWER.strip().splitlines():
            peer.run("nft", line)
        for place, address, port in (
            (peer, where.peer4, BULK), (peer, where.peer4, BURSTS), (peer, where.peer4, TALK),
            (ours, where.ours4, DEAF), (ours, where.ours4, ABORT), (peer, where.peer4, ABORT),
        ):  # fmt: skip
            place.start_python(network.TCP_ECHO, address, port)
        ours.run("sysctl", "-qw", "net.ipv4.tcp_synack_retries=1")
        ours.run("ping", "-q", "-c", "2", "-i", "0.2", where.peer4)

        live.do("enable tcp")
        dump = Tcpdump(ours, "eth0", file, "tcp")
        retransmitted = retransmits(where)
        process, talker = ours.start_talking(network.TCP_EXCHANGES, where.peer4, TALK, 20)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
        before = ours.counter("TcpOutRsts")
        refused = peer.python(network.TCP_TRY, where.ours4, CLOSED_HERE, 5).strip()
        assert refused == "ConnectionRefusedError"
        ours.python(network.TCP_TRY, where.peer4, CLOSED_THERE, 5)
        aborter = json.loads(ours.python(ABORTS, where.peer4, ABORT))
        peer.python(ABORTS, where.ours4, ABORT)
        resets = ours.counter("TcpOutRsts") - before
        live.settle(
            f"""SELECT count(*) FROM tcp_event WHERE Event = 'reset_received'
            OR {TALK} = DstPort AND NewState = 'TCP_CLOSE'""",
            least=3,
        )
        live.settle("SELECT sum(TcpRetransmits) FROM flow")
        dump.stop()
        yield Told(where, live, file, retransmitted, where.lost(), talker, aborter, resets)


def test_retransmits_of_flows_are_nstats(told: Told) -> None:
    """Data, segments sent in one go, SYN and SYN+ACK."""
    assert min(told.retransmitted.values()) >= 1
    assert told.lost >= 10, "the wire was lossy"
    flows = told.session.sql(
        f"""SELECT iif(SrcPort = {DEAF}, SrcPort, DstPort) AS port, sum(TcpRetransmits) AS n
        FROM flow WHERE SrcAddr = '{told.where.ours4}' AND Proto = 6 GROUP BY 1 HAVING n > 0"""
    )
    found = {r["port"]: r["n"] for r in flows}
    assert {port: found.get(port) for port in told.retransmitted} == told.retransmitted


def test_each_packet_sent_again_is_a_row_that_counts_its_segments(told: Told) -> None:
    for port, end in ((BULK, "DstPort"), (MUTE, "DstPort"), (DEAF, "SrcPort")):
        rows = told.rows("SrcAddr, State, Segments", f"Event = 'retransmit' AND {end} = {port}")
        assert sum(r["Segments"] for r in rows) == told.retransmitted[port]
        assert {r["SrcAddr"] for r in rows} == {told.where.ours4}
        expected = {BULK: "TCP_ESTABLISHED", MUTE: "TCP_SYN_SENT"}
        if port in expected:
            assert {r["State"] for r in rows} == {expected[port]}


def test_flows_without_retransmits_have_none(told: Told) -> None:
    zeros = told.session.sql(
        f"SELECT DISTINCT TcpRetransmits FROM flow WHERE DstPort = {CLOSED_THERE}"
    )
    assert zeros == [{"TcpRetransmits": 0}]
    assert told.session.sql("SELECT DISTINCT TcpRetransmits FROM flow WHERE Proto = 1") == [
        {"TcpRetransmits": None}
    ]


def test_a_reset_names_its_reason_and_its_sender(told: Told) -> None:
    where = told.where
    sent = told.rows("*", "Event = 'reset_sent'")
    assert len(sent) == told.resets == 2
    refused, aborted = sent
    assert (refused["SrcAddr"], refused["SrcPort"]) == (where.ours4, CLOSED_HERE)
    assert refused["Reason"] == "NO_SOCKET"
    assert (refused["State"], refused["Pid"]) == (None, None)
    assert (aborted["SrcAddr"], aborted["DstPort"]) == (where.ours4, ABORT)
    assert aborted["SrcPort"] == told.aborter["port"]
    assert aborted["Pid"] == told.aborter["pid"]
    assert {r["NetNs"] for r in sent} == {where.ours.inode()}


def test_a_reset_received_names_the_state_it_met(told: Told) -> None:
    received = told.rows("*", "Event = 'reset_received'")
    found = [(r["SrcAddr"], r["SrcPort"], r["State"]) for r in received]
    peer = told.where.peer4
    assert found[0] == (peer, CLOSED_THERE, "TCP_SYN_SENT")
    assert [(address, state) for address, _, state in found[1:]] == [(peer, "TCP_ESTABLISHED")]
    assert received[1]["DstPort"] == ABORT


def test_states_of_a_connection_follow_each_other(told: Told) -> None:
    rows = told.rows("*", f"Event = 'state' AND DstPort = {TALK}")
    assert [(r["State"], r["NewState"]) for r in rows] == [
        ("TCP_CLOSE", "TCP_SYN_SENT"),
        ("TCP_SYN_SENT", "TCP_ESTABLISHED"),
        ("TCP_ESTABLISHED", "TCP_FIN_WAIT1"),
        ("TCP_FIN_WAIT1", "TCP_FIN_WAIT2"),
        ("TCP_FIN_WAIT2", "TCP_CLOSE"),
    ]
    assert {r["SrcPort"] for r in rows[1:]} == {told.talker["port"]}
    assert {(r["SrcAddr"], r["DstAddr"]) for r in rows[1:]} == {
        (told.where.ours4, told.where.peer4)
    }


def test_a_state_change_names_the_owner(told: Told) -> None:
    rows = told.rows("Pid, Command", f"Event = 'state' AND DstPort = {TALK}")
    owners = {(r["Pid"], r["Command"]) for r in rows if r["Pid"] is not None}
    assert owners == {(told.talker["pid"], told.talker["comm"])}
    assert rows[0]["Pid"] == told.talker["pid"]


def test_durations_are_those_on_the_wire(told: Told) -> None:
    """From the SYN to its answer, and from there to our FIN."""

    def first(frame: str) -> float:
        where = f"tcp.port == {TALK} && {frame}"
        return float(tshark(told.file, ["frame.time_epoch"], where=where)[0][0])

    syn, answer = first("tcp.flags.syn == 1 && tcp.flags.ack == 0"), first("tcp.flags == 0x12")
    fin = first(f"tcp.flags.fin == 1 && ip.src == {told.where.ours4}")
    rows = told.rows("State, DurationMs", f"Event = 'state' AND DstPort = {TALK}")
    took = {r["State"]: r["DurationMs"] for r in rows}
    assert took["TCP_CLOSE"] is None
    assert took["TCP_SYN_SENT"] == pytest.approx((answer - syn) * 1000, abs=2)
    assert took["TCP_ESTABLISHED"] == pytest.approx((fin - answer) * 1000, abs=2)
