"""Real traffic between two hosts: what a session says of it, against tcpdump and tshark."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dpkt
import pytest

from tests import network
from tests.network import Pair, Tcpdump, tshark
from tests.session import Session, session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.kernel

TCP_PORT, UDP_PORT = 8080, 5353
FIELDS = (
    "frame.time_epoch", "frame.len", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport",
    "tcp.dstport", "udp.srcport", "udp.dstport", "tcp.flags", "icmp.type", "icmpv6.type",
)  # fmt: skip
OURS = (
    f"tcp.port == {TCP_PORT} || udp.port == {UDP_PORT}"
    " || icmp.type in {0, 8} || icmpv6.type in {128, 129}"
)

Flow = tuple[str, str, int, int, int, int | None]
"""Addresses, ports (0 for ICMP), protocol, ICMP type."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One packet as tshark reads it."""

    time_ns: int
    length: int
    flow: Flow
    flags: int


def read(file: str, where: str = OURS) -> list[Seen]:
    found = []
    for time, length, s4, d4, s6, d6, ts, td, us, ud, flags, icmp, icmp6 in tshark(
        file, FIELDS, where=where
    ):
        protocol = 6 if ts else 17 if us else 1 if icmp else 58
        kind = int(icmp or icmp6) if icmp or icmp6 else None
        flow = (s4 or s6, d4 or d6, int(ts or us or 0), int(td or ud or 0), protocol, kind)
        seconds, _, fraction = time.partition(".")
        nanoseconds = int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
        found.append(Seen(nanoseconds, int(length), flow, int(flags, 16) if flags else 0))
    return found


def talk(pair: Pair) -> None:
    """TCP, UDP and ICMP over both families, some of it larger than a segment."""
    for address in (pair.ours4, pair.ours6):
        pair.ours.start_python(network.TCP_ECHO, address, TCP_PORT)
        pair.ours.start_python(network.UDP_ECHO, address, UDP_PORT)
        pair.peer.python(network.TCP_TALK, address, TCP_PORT, 5, 200)
        pair.peer.python(network.TCP_TALK, address, TCP_PORT, 1, 100_000)
        pair.peer.python(network.UDP_TALK, address, UDP_PORT, 20, 300, 0)
        pair.peer.run("ping", "-q", "-c", "5", "-i", "0.05", address)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A session that has seen all of the traffic, and tcpdump's file of it."""

    pair: Pair
    session: Session
    oracle: list[Seen]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    file = str(tmp_path_factory.mktemp("oracle") / "oracle.pcap")
    with network.pair() as pair, session(pair.ours, "-i", "eth0", "--packets") as live:
        dump = Tcpdump(pair.ours, "eth0", file)
        talk(pair)
        dump.stop()
        live.settle("SELECT sum(Packets) FROM flow", least=100)
        live.do("pause", "wait 2500ms")  # the last statistics are in
        yield Recorded(pair, live, read(file))


def test_flows_have_tcpdumps_packets_bytes_and_flags(recorded: Recorded) -> None:
    packets: Counter[Flow] = Counter()
    sizes: Counter[Flow] = Counter()
    flags: dict[Flow, int] = {}
    for seen in recorded.oracle:
        packets[seen.flow] += 1
        sizes[seen.flow] += seen.length
        flags[seen.flow] = flags.get(seen.flow, 0) | seen.flags
    rows = recorded.session.sql(
        f"""SELECT SrcAddr, DstAddr, ifnull(SrcPort, 0) AS SrcPort, ifnull(DstPort, 0) AS DstPort,
        Proto, IcmpType, sum(Packets) AS Packets, sum(Bytes) AS Bytes,
        group_concat(Flags) AS Flags FROM flow
        WHERE {TCP_PORT} IN (SrcPort, DstPort) OR {UDP_PORT} IN (SrcPort, DstPort)
        OR IcmpType IN (0, 8, 128, 129)
        GROUP BY SrcAddr, DstAddr, SrcPort, DstPort, Proto, IcmpType"""
    )
    found = {
        (r["SrcAddr"], r["DstAddr"], r["SrcPort"], r["DstPort"], r["Proto"], r["IcmpType"]): r
        for r in rows
    }
    assert len(packets) >= 2 * (2 * 6 + 2 + 2), "12 TCP, 2 UDP and 2 ICMP flows per family"
    assert {flow: r["Packets"] for flow, r in found.items()} == packets
    assert {flow: r["Bytes"] for flow, r in found.items()} == sizes
    for flow, expected in flags.items():
        seen_flags = 0
        for part in (found[flow]["Flags"] or "0").split(","):
            seen_flags |= int(part)
        assert seen_flags & 0xFF == expected & 0xFF


def test_packets_are_tcpdumps_one_by_one(recorded: Recorded) -> None:
    rows = recorded.session.sql(
        f"""SELECT TimeNs, Length, CapLen, SrcAddr, DstAddr, ifnull(SrcPort, 0) AS SrcPort,
        ifnull(DstPort, 0) AS DstPort, Proto, IcmpType, ifnull(Flags, 0) AS Flags FROM packet
        WHERE {TCP_PORT} IN (SrcPort, DstPort) OR {UDP_PORT} IN (SrcPort, DstPort)
        OR IcmpType IN (0, 8, 128, 129) ORDER BY TimeNs"""
    )
    ours = sorted(
        ((r["SrcAddr"], r["DstAddr"], r["SrcPort"], r["DstPort"], r["Proto"], r["IcmpType"]),
         r["Length"], r["Flags"])
        for r in rows
    )  # fmt: skip
    theirs = sorted((s.flow, s.length, s.flags & 0xFF) for s in recorded.oracle)
    assert ours == theirs
    assert all(r["CapLen"] == r["Length"] for r in rows)


@pytest.mark.parametrize(
    ("form", "where", "display"),
    [
        ("pcap", "", OURS),
        ("pcapng", "", OURS),
        ("pcap", f"where DstPort = {TCP_PORT} AND Proto = 6", f"tcp.dstport == {TCP_PORT}"),
        ("pcapng", "where in_cidr(SrcAddr, 'fd77::/16')", f"ipv6 && ({OURS})"),
    ],
)
def test_an_export_has_tcpdumps_packets(
    recorded: Recorded, tmp_path: Path, form: str, where: str, display: str
) -> None:
    file = str(tmp_path / f"ours.{form}")
    recorded.session.do(f"export {form} {file} {where}")
    exported = read(file, display)
    expected = [s for s in recorded.oracle if matches(s, where)]
    assert expected, "the oracle must have some"
    assert [(s.flow, s.length, s.flags) for s in in_order(exported)] == [
        (s.flow, s.length, s.flags) for s in in_order(expected)
    ]
    apart = [
        abs(a.time_ns - b.time_ns)
        for a, b in zip(in_order(exported), in_order(expected), strict=True)
    ]
    assert max(apart) < 1_000_000, "within 1 ms of tcpdump's"


def test_dpkt_reads_the_pcap_with_its_nanoseconds(recorded: Recorded, tmp_path: Path) -> None:
    file = tmp_path / "ours.pcap"
    recorded.session.do(f"export pcap {file} where Proto = 6 AND Etype = 2048")
    rows = recorded.session.sql(
        "SELECT TimeNs, SrcPort, Flags FROM packet WHERE Proto = 6 AND Etype = 2048 ORDER BY TimeNs"
    )
    with file.open("rb") as opened:
        read_back = [
            (time, dpkt.ethernet.Ethernet(data)) for time, data in dpkt.pcap.Reader(opened)
        ]
    assert [(frame.ip.tcp.sport, frame.ip.tcp.flags) for _, frame in read_back] == [
        (r["SrcPort"], r["Flags"]) for r in rows
    ]
    assert [int(time * 10**9) for time, _ in read_back] == [r["TimeNs"] for r in rows]


def in_order(packets: list[Seen]) -> list[Seen]:
    return sorted(packets, key=lambda s: (s.flow[:5], s.flow[5] or 0, s.time_ns))


def matches(seen: Seen, where: str) -> bool:
    if "DstPort" in where:
        return seen.flow[3] == TCP_PORT and seen.flow[4] == 6
    return not where or seen.flow[0].startswith("fd77:")


def test_every_packet_is_accounted_for(recorded: Recorded) -> None:
    counters = {r["Name"]: r["Value"] for r in recorded.session.sql("SELECT * FROM counter")}
    assert counters["seen"] == sum(
        counters[name] for name in ("flow_accepted", "flow_rejected", "not_ip", "malformed")
    )
    assert counters["seen"] == counters["packet_accepted"] + counters["packet_rejected"]
    assert recorded.session.value("SELECT sum(Packets) FROM flow") == counters["flow_accepted"]
    assert recorded.session.value("SELECT count(*) FROM packet") == counters["packet_accepted"]
    assert recorded.session.value("SELECT ifnull(sum(Count), 0) FROM loss") == 0


def test_later_fragments_belong_to_the_flow_of_their_first_one(pair: Pair, tmp_path: Path) -> None:
    file = str(tmp_path / "fragments.pcap")
    with session(pair.ours, "-i", "eth0", "--filter", "icmp_type echo-request") as live:
        dump = Tcpdump(pair.ours, "eth0", file, f"ip and src {pair.peer4}")
        pair.peer.run("ping", "-q", "-c", "5", "-i", "0.05", "-s", "4000", pair.ours4)
        dump.stop()
        live.settle("SELECT sum(Packets) FROM flow", least=15)
        frames = tshark(file, ["frame.len"])
        assert len(frames) == 15, "three fragments each"
        assert live.sql(
            "SELECT IcmpType, sum(Packets) AS Packets, sum(Bytes) AS Bytes FROM flow GROUP BY 1"
        ) == [{"IcmpType": 8, "Packets": 15, "Bytes": sum(int(n) for (n,) in frames)}]
        assert live.value("SELECT Value FROM counter WHERE Name = 'fragment_followed'") == 20


def test_hits_can_be_selected_and_add_up(pair: Pair) -> None:
    with session(pair.ours, "-i", "eth0", "--filter", "reject protocol icmp") as live:
        live.do("filter protocol icmp", "filter protocol udp port 7001")
        pair.peer.run("ping", "-q", "-c", "4", "-i", "0.05", pair.ours4)
        pair.ours.start_python(network.SINK, pair.ours4, "7001")
        pair.peer.python(network.UDP_SEND, pair.ours4, "7001", 7, 100, 1000)
        live.settle("SELECT sum(FlowHits) FROM filter_log WHERE FilterId = 3", least=7)
        hits = live.sql(
            """SELECT FilterId, Filter, FlowHits FROM filter_log
            WHERE Generation = 3 AND FilterId IS NOT NULL ORDER BY Position"""
        )
        assert [(r["FilterId"], r["FlowHits"]) for r in hits] == [(1, 8), (2, 0), (3, 7)]
        assert live.value("SELECT sum(Packets) FROM flow WHERE Generation = 3") == 7
        (listed,) = live.do("filter list")
        assert [row["flow hits"] for row in listed] == [8, 0, 7]
