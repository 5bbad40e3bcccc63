"""Packet files and exports as Wireshark's programs read them."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import grpc
import pytest

from nshell.proto import session_pb2 as pb
from tests.collector import oracle
from tests.collector.conftest import running
from tests.collector.probe import interface, interfaces
from tests.collector.wiretap import Packet, flow_batch, many_flows, many_packets, packet_batch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.collector.conftest import Collector

IPV4 = bytes.fromhex("45000028000100004006000a0a0000010a000002")
TCP = bytes.fromhex("9c4001bb00000001000000005010ffff00000000")
FRAME = b"\x02\x00\x00\x00\x00\x0b\x02\x00\x00\x00\x00\x0a\x08\x00" + IPV4 + TCP


async def store_packets(collector: Collector, packets: Sequence[Packet], **how: object) -> None:
    """From one agent, and wait until they are there."""
    before = (await collector.shell.row("SELECT count(*) FROM packet"))[0]
    assert isinstance(before, int)
    agent = await collector.agent(**how)
    await agent.send(packets=packet_batch(packets))
    await collector.shell.until("SELECT count(*) FROM packet", before + len(packets))


async def exported(collector: Collector, kind: str, where: str = "") -> Path:
    """An export as a file."""
    content, _ = await collector.shell.export(kind, where)
    path = collector.directory.parent / f"export.{kind}"
    path.write_bytes(content)
    return path


PACKETS = (
    Packet(data=FRAME, time_ns=1_000_000_001),
    Packet(data=FRAME[:54] + b"\x99", time_ns=1_000_000_002, orig_len=1500, direction=1),
    Packet(data=FRAME, time_ns=2_123_456_789, vlan_proto=0x8100, vlan_tci=0xE007),
    Packet(data=FRAME[:33], time_ns=2_123_456_790, vlan_proto=0x88A8, vlan_tci=5, orig_len=54),
)
TAGGED = FRAME[:12] + b"\x81\x00\xe0\x07" + FRAME[12:]
TAGGED_SHORT = FRAME[:12] + b"\x88\xa8\x00\x05" + FRAME[12:33]


@pytest.mark.parametrize("kind", ["segment", "pcapng"])
async def test_packets_are_read_back_with_bytes_lengths_times_and_names(
    collector: Collector, kind: str
) -> None:
    await store_packets(collector, PACKETS)
    path = collector.directory / "packets-000001.pcapng"
    if kind == "pcapng":
        path = await exported(collector, "pcapng")
    assert oracle.data(path) == [FRAME, FRAME[:54] + b"\x99", TAGGED, TAGGED_SHORT]
    frames = oracle.frames(path)
    assert [frame.time for frame in frames] == [
        "1700000001.000000001",
        "1700000001.000000002",
        "1700000002.123456789",
        "1700000002.123456790",
    ]
    assert [(frame.length, frame.cap_len) for frame in frames] == [
        (54, 54),
        (1500, 55),
        (58, 58),
        (58, 37),
    ]
    assert {frame.interface for frame in frames} == {"node-a:eth0"}
    assert [int(frame.direction, 0) for frame in frames] == [1, 2, 1, 1]
    assert [frame.vlan for frame in frames[:3]] == ["", "", "7"]
    assert oracle.info(path)["Capture application"] == "netobserv shell"


async def test_a_classic_pcap_keeps_nanoseconds_lengths_and_bytes(collector: Collector) -> None:
    await store_packets(collector, PACKETS)
    path = await exported(collector, "pcap")
    assert oracle.info(path)["File type"] == "nsecpcap"
    assert oracle.data(path) == [FRAME, FRAME[:54] + b"\x99", TAGGED, TAGGED_SHORT]
    frames = oracle.frames(path)
    assert [frame.time for frame in frames] == [
        "1700000001.000000001",
        "1700000001.000000002",
        "1700000002.123456789",
        "1700000002.123456790",
    ]
    assert [(frame.length, frame.cap_len) for frame in frames] == [
        (54, 54),
        (1500, 55),
        (58, 58),
        (58, 37),
    ]


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("", [1, 2, 3, 4, 5]),
        ("DstPort > 3", [4, 5]),
        ("DstPort IN (SELECT max(DstPort) FROM packet)", [5]),
        ("in_cidr(SrcAddr, '10.0.0.0/8') AND DstPort = 2", [2]),
        ("DstPort = 99", []),
        ("SrcAddr = ')' OR DstPort = 1", [1]),
    ],
)
async def test_an_export_holds_what_its_expression_selects_in_the_order_of_time(
    collector: Collector, kind: str, where: str, expected: list[int]
) -> None:
    # As they arrive from two processors: not in order.
    packets = [
        Packet(data=FRAME + bytes([port]) * port, dport=port, time_ns=10**9 + port)
        for port in (2, 1, 4, 5, 3)
    ]
    await store_packets(collector, packets)
    content, summary = await collector.shell.export(kind, where)
    path = collector.directory.parent / f"export.{kind}"
    path.write_bytes(content)
    assert oracle.data(path) == [FRAME + bytes([port]) * port for port in expected]
    assert (summary.packets, summary.bytes) == (len(expected), len(content))


async def test_an_interface_found_later_is_described_where_it_appears(
    collector: Collector,
) -> None:
    agent = await collector.agent(listed=interfaces(interface(2, "eth0"), interface(3, "eth1")))
    await agent.send(packets=packet_batch([Packet(ifindex=2), Packet(ifindex=3)]))
    await agent.send(interfaces=interfaces(interface(2, "lan0"), interface(3, "eth1")))
    await agent.send(packets=packet_batch([Packet(ifindex=2), Packet(ifindex=9)]))
    await collector.shell.until("SELECT count(*) FROM packet", 4)
    names = ["node-a:eth0", "node-a:eth1", "node-a:lan0", "node-a:if9"]
    for path in (
        collector.directory / "packets-000001.pcapng",
        await exported(collector, "pcapng"),
    ):
        assert [frame.interface for frame in oracle.frames(path)] == names


async def test_two_link_types_go_into_pcapng_and_not_into_pcap(collector: Collector) -> None:
    agent = await collector.agent(
        listed=interfaces(interface(2, "eth0"), interface(3, "tun0", link_type=101))
    )
    await agent.send(packets=packet_batch([Packet(data=FRAME), Packet(data=IPV4 + TCP, ifindex=3)]))
    await collector.shell.until("SELECT count(*) FROM packet", 2)
    error = await collector.shell.refusal(collector.shell.export("pcap"))
    assert (error.code(), error.details()) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "pcap holds one link type, these packets have Ethernet and raw IP: use export pcapng",
    )
    assert oracle.data(await exported(collector, "pcapng")) == [FRAME, IPV4 + TCP]
    path = await exported(collector, "pcap", "Interface = 'tun0'")
    assert oracle.data(path) == [IPV4 + TCP]
    assert oracle.info(path)["File encapsulation"] == "rawip"


async def test_every_file_names_all_interfaces_known_by_then(short_path: Path) -> None:
    async with running(short_path, limit_bytes=16 << 20) as collector:
        agent = await collector.agent(listed=interfaces(interface(2, "eth0"), interface(3, "eth1")))
        # Each batch is larger than a file of this store.
        for ifindex in (2, 3, 2):
            packets = [Packet(data=FRAME + bytes(2000), ifindex=ifindex)] * 1200
            await agent.send(packets=packet_batch(packets))
        await collector.shell.until("SELECT count(*) FROM packet", 3600)
        paths = sorted(collector.directory.glob("packets-*.pcapng"))
        assert len(paths) == 3
        seen = [{frame.interface for frame in oracle.frames(path)} for path in paths]
        assert seen == [{"node-a:eth0"}, {"node-a:eth1"}, {"node-a:eth0"}]
        content = await exported(collector, "pcapng")
        assert len(oracle.frames(content)) == 3600


async def test_a_large_export_is_whole(collector: Collector) -> None:
    agent = await collector.agent()
    for number in range(6):
        batch = many_packets(5000, size=60 + number, start_ns=10**9 + number * 2_000_001)
        await agent.send(packets=batch)
    await collector.shell.until("SELECT count(*) FROM packet", 30_000)
    for kind in ("pcap", "pcapng"):
        path = await exported(collector, kind)
        frames = oracle.frames(path)
        assert len(frames) == 30_000
        assert [frame.time for frame in frames] == sorted(frame.time for frame in frames)
        assert sum(frame.cap_len for frame in frames) == 5000 * sum(range(60, 66))


async def test_an_export_is_of_one_moment_though_the_capture_goes_on(
    collector: Collector,
) -> None:
    agent = await collector.agent()
    await agent.send(packets=many_packets(20_000, size=200))
    await collector.shell.until("SELECT count(*) FROM packet", 20_000)
    call = collector.shell.exporting("pcapng")
    first = await anext(call)
    await agent.send(packets=many_packets(20_000, size=200, start_ns=1))
    await collector.shell.until("SELECT count(*) FROM packet", 40_000)
    replies = [first] + [reply async for reply in call]
    assert replies[-1].summary.packets == 20_000
    path = collector.directory.parent / "export.pcapng"
    path.write_bytes(b"".join(reply.data for reply in replies))
    assert oracle.info(path)["Number of packets"] == "20000"
    assert await collector.shell.rows("SELECT * FROM loss") == []


async def test_a_slow_export_does_not_hold_up_the_writer(collector: Collector) -> None:
    agent = await collector.agent()
    await agent.send(packets=many_packets(30_000, size=1000))
    await collector.shell.until("SELECT count(*) FROM packet", 30_000)
    slow = collector.shell.exporting("pcap")
    await anext(slow)
    for seed in range(10):
        await agent.send(flows=many_flows(5000, seed=seed))
    await collector.shell.until("SELECT count(*) FROM flow", 50_000)
    rest = [reply async for reply in slow]
    assert rest[-1].summary.packets == 30_000


async def test_the_copy_of_the_database_is_one_file_that_holds_every_row(
    collector: Collector,
) -> None:
    agent = await collector.agent()
    await agent.send(flows=many_flows(10_000))
    await collector.shell.until("SELECT count(*) FROM flow", 10_000)
    path = await exported(collector, "db")
    assert not list(collector.directory.glob("export-*"))
    copy = sqlite3.connect(path)
    try:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert copy.execute("SELECT count(*) FROM flow").fetchall() == [(10_000,)]
        assert copy.execute("SELECT Node FROM agent").fetchall() == [("node-a",)]
    finally:
        copy.close()


async def test_what_the_disk_budget_removes_is_counted(short_path: Path) -> None:
    async with running(short_path, limit_bytes=4 << 20) as collector:
        agent = await collector.agent()
        sent = 0
        for number in range(30):
            await agent.send(packets=many_packets(400, size=900, start_ns=number * 10**6))
            sent += 400
            await collector.shell.status(lambda s, sent=sent: s.packet_rows == sent)  # type: ignore[misc]
        await collector.shell.until(
            f"SELECT {sent} = (SELECT count(*) FROM packet) + "
            "(SELECT coalesce(sum(Count), 0) FROM loss WHERE Stage = 'disk_budget')",
            1,
        )
        kept = (await collector.shell.row("SELECT count(*) FROM packet"))[0]
        assert isinstance(kept, int)
        assert 0 < kept < sent
        files = list(collector.directory.glob("packets-*.pcapng"))
        assert sum(path.stat().st_size for path in files) < 4 << 20
        content, summary = await collector.shell.export("pcapng")
        assert (summary.packets, summary.evicted) == (kept, sent - kept)
        oldest = await collector.shell.row("SELECT min(TimeNs) FROM packet")
        assert oldest[0] == 1_700_000_000_000_000_000 + (sent - kept) // 400 * 10**6
        assert len(content) > kept * 900


async def test_flows_are_removed_where_they_take_the_space(short_path: Path) -> None:
    async with running(short_path, limit_bytes=2 << 20) as collector:
        agent = await collector.agent()
        for seed in range(20):
            await agent.send(flows=many_flows(2000, seed=seed))
        await collector.shell.status(lambda s: s.flow_rows == 40_000)
        await collector.shell.until(
            "SELECT (SELECT count(*) FROM flow) + (SELECT coalesce(sum(Count), 0) FROM loss "
            "WHERE Stage = 'disk_budget')",
            40_000,
        )
        await collector.shell.status(lambda s: s.lost > 0)
        await collector.shell.until(
            "SELECT page_count * page_size < 2.5 * 1024 * 1024 FROM "
            "(SELECT count(*) AS page_count, max(pgsize) AS page_size FROM dbstat)",
            1,
        )


async def test_an_export_goes_on_when_the_budget_removes_its_packets(short_path: Path) -> None:
    async with running(short_path, limit_bytes=48 << 20) as collector:
        agent = await collector.agent()
        for number in range(30):
            await agent.send(packets=many_packets(800, size=1400, start_ns=number * 10**6))
        await collector.shell.until("SELECT count(*) FROM packet", 24_000)
        slow = collector.shell.exporting("pcapng")
        first = await anext(slow)
        for number in range(30, 70):
            await agent.send(packets=many_packets(800, size=1400, start_ns=number * 10**6))
        await collector.shell.until("SELECT min(Segment) > 3 FROM packet", 1)
        replies = [first] + [reply async for reply in slow]
    path = short_path / "export.pcapng"
    path.write_bytes(b"".join(reply.data for reply in replies))
    frames = oracle.frames(path)
    assert len(frames) == replies[-1].summary.packets == 24_000


@pytest.mark.parametrize(
    ("kind", "where", "line"),
    [
        ("csv", "", "unknown format 'csv': there are pcap, pcapng, db"),
        ("pcap", "Prto = 6", "no such column: Prto: did you mean Proto?"),
        ("pcap", "1; DELETE FROM packet", "where takes one expression: ';' ends a statement"),
        ("pcap", "1) UNION SELECT 1 WHERE (1", "where takes one expression: ')' closes nothing"),
        ("pcap", "(1", "where: '(' is not closed"),
        ("pcap", "SrcAddr = 'x", "where: ' is not closed"),
        ("pcap", "1 -- x", "where takes one expression: '--' begins a comment"),
        ("pcap", "1 /* x", "where takes one expression: '/*' begins a comment"),
        ("pcapng", "1 ORDER BY 2", 'near "ORDER": syntax error'),
        ("pcapng", "SrcPort = ", 'near ")": syntax error'),
        ("pcap", "Proto = 6 ADN 1", 'near "ADN": syntax error: did you mean AND?'),
        ("db", "Proto = 6", "where: export db takes no expression, it copies every row"),
    ],
)
async def test_a_wrong_export_is_refused_in_one_line(
    collector: Collector, kind: str, where: str, line: str
) -> None:
    error = await collector.shell.refusal(collector.shell.export(kind, where))
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, line)


async def test_a_session_without_packets_exports_valid_empty_files(collector: Collector) -> None:
    for kind in ("pcap", "pcapng"):
        assert oracle.info(await exported(collector, kind))["Number of packets"] == "0"
    assert not list(collector.directory.glob("packets-*"))


async def test_an_export_that_is_called_off_leaves_no_snapshot_and_no_file_open(
    collector: Collector,
) -> None:
    agent = await collector.agent()
    await agent.send(packets=many_packets(30_000, size=1000))
    await collector.shell.until("SELECT count(*) FROM packet", 30_000)
    for kind in ("pcap", "db"):
        call = collector.shell.stub.Export(pb.ExportRequest(format=kind))
        async for _ in call:  # type: ignore[attr-defined]
            call.cancel()
            break
    await agent.send(flows=flow_batch([]))
    async with asyncio.timeout(20):
        while list(collector.directory.glob("export-*")):
            await asyncio.sleep(0.02)
    await collector.capture.store.flush()
