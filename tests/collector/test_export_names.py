"""Names in exported files: of addresses, and of who is at the other end of an interface."""

from __future__ import annotations

import struct
import subprocess
from ipaddress import ip_address
from typing import TYPE_CHECKING

import dpkt
import pytest

from nshell.collector import schema
from nshell.collector.storage import pcapng
from tests.collector.probe import interface, interfaces
from tests.collector.wiretap import Packet, address, packet_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.collector.conftest import Collector

START_MS = 1_700_000_000_000
"""Of the clock in packet_batch: a packet of second N is N seconds later."""


def frame(src: str, dst: str) -> bytes:
    """An Ethernet frame with an empty TCP segment."""
    ends = [ip_address(text) for text in (src, dst)]
    tcp = dpkt.tcp.TCP(sport=40000, dport=443, flags=16)
    packet: dpkt.ip.IP | dpkt.ip6.IP6
    if ends[0].version == 4:
        packet = dpkt.ip.IP(src=ends[0].packed, dst=ends[1].packed, p=6, data=tcp)
        return b"\x02" * 12 + b"\x08\x00" + bytes(packet)
    packet = dpkt.ip6.IP6(src=ends[0].packed, dst=ends[1].packed, nxt=6, data=tcp, plen=20)
    return b"\x02" * 12 + b"\x86\xdd" + bytes(packet)


def packet(src: str, dst: str, *, second: int = 1, ifindex: int = 2) -> Packet:
    etype = 0x0800 if ip_address(src).version == 4 else 0x86DD
    return Packet(
        data=frame(src, dst), src=src, dst=dst, etype=etype, time_ns=second * 10**9, ifindex=ifindex
    )


async def stored(collector: Collector, packets: Sequence[Packet], **how: object) -> None:
    agent = await collector.agent(**how)
    await agent.send(packets=packet_batch(packets))
    await collector.shell.until("SELECT count(*) FROM packet", len(packets))


async def answered(collector: Collector, *rows: tuple[str, str, int, int]) -> None:
    """Rows of dns_name; times in seconds of the packets."""
    for number, (ip, name, first, last) in enumerate(rows):
        times = (START_MS + first * 1000, START_MS + last * 1000)
        collector.capture.store.put(schema.DNS_NAME, number, (ip, name, *times))
    await collector.capture.store.flush()


async def owned(collector: Collector, *rows: tuple[str, str, str, int, int | None]) -> None:
    """Rows of ip_owner: address, NAMESPACE/NAME, type, from and to."""
    table = next(each for each in schema.TABLES if each.name == "ip_owner")
    for number, (ip, name, kind, first, last) in enumerate(rows):
        namespace, _, own = name.rpartition("/")
        known = {
            "Address": ip,
            "Type": kind,
            "Namespace": namespace or None,
            "Name": own,
            "ValidFromMs": START_MS + first * 1000,
            "ValidToMs": None if last is None else START_MS + last * 1000,
        }
        cells = tuple(known.get(column) for column in table.names)
        collector.capture.store.put(table, ("test", number), cells)
    await collector.capture.store.flush()


async def exported(collector: Collector, kind: str = "pcapng", where: str = "") -> Path:
    content, _ = await collector.shell.export(kind, where)
    path = collector.directory.parent / f"export.{kind}"
    path.write_bytes(content)
    return path


def hosts(path: Path) -> list[tuple[str, ...]]:
    """The ends of every packet as tshark names them, by what the file tells and nothing else."""
    fields = [
        "-e",
        "ip.src_host",
        "-e",
        "ip.dst_host",
        "-e",
        "ipv6.src_host",
        "-e",
        "ipv6.dst_host",
    ]
    done = subprocess.run(
        ["tshark", "-r", str(path), "-N", "n", "-T", "fields", *fields],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return [tuple(filter(None, line.split("\t"))) for line in done.stdout.splitlines()]


def blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """A walk of the file: type and body of each block."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        kind, total = struct.unpack_from("<II", data, at)
        assert total % 4 == 0
        assert struct.unpack_from("<I", data, at + total - 4) == (total,)
        yield kind, data[at + 8 : at + total - 4]
        at += total


def names(path: Path) -> dict[str, list[str]]:
    """Records of the name blocks, which all come before the first packet."""
    kinds = [kind for kind, _ in blocks(path)]
    found = {}
    for kind, body in blocks(path):
        if kind != pcapng.NAME_RESOLUTION:
            continue
        at = 0
        while (head := struct.unpack_from("<HH", body, at)) != (0, 0):
            record, length = head
            value = body[at + 4 : at + 4 + length]
            size = {1: 4, 2: 16}[record]
            texts = value[size:].split(b"\0")
            assert texts.pop() == b""
            found[str(ip_address(value[:size]))] = [text.decode() for text in texts]
            at += 4 + length + -length % 4
        assert at + 4 == len(body)
        assert kinds.index(pcapng.NAME_RESOLUTION) < kinds.index(pcapng.ENHANCED_PACKET)
    return found


def descriptions(path: Path) -> list[str]:
    done = subprocess.run(
        ["tshark", "-r", str(path), "-n", "-T", "fields", "-e", "frame.interface_description"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.splitlines()


async def test_addresses_in_the_packets_carry_the_names_of_their_owners(
    collector: Collector,
) -> None:
    await stored(
        collector, [packet("10.0.0.1", "10.0.0.2"), packet("fd00::1", "fd00::2"),
                    packet("10.0.0.1", "192.0.2.1")]
    )  # fmt: skip
    await owned(
        collector,
        ("10.0.0.1", "shop/web-1", "Pod", 0, None),
        ("10.0.0.2", "shop/db", "Service", 0, 5),
        ("fd00::1", "shop/web-1", "Pod", 0, None),
        ("fd00::2", "node1", "Node", 0, None),
        ("10.0.0.99", "shop/quiet", "Pod", 0, None),
    )
    path = await exported(collector)
    assert hosts(path) == [
        ("shop/web-1", "shop/db"), ("shop/web-1", "node1"), ("shop/web-1", "192.0.2.1"),
    ]  # fmt: skip
    assert names(path) == {
        "10.0.0.1": ["shop/web-1"], "10.0.0.2": ["shop/db"],
        "fd00::1": ["shop/web-1"], "fd00::2": ["node1"],
    }  # fmt: skip


async def test_a_name_is_of_who_had_the_address_while_its_packets_passed(
    collector: Collector,
) -> None:
    await stored(collector, [packet("10.0.0.1", "10.0.0.2", second=each) for each in (10, 30)])
    await owned(
        collector,
        ("10.0.0.1", "shop/before", "Pod", 0, 5),
        ("10.0.0.1", "shop/first", "Pod", 6, 20),
        ("10.0.0.1", "shop/second", "Pod", 21, 40),
        ("10.0.0.1", "shop/after", "Pod", 41, None),
    )
    assert names(await exported(collector)) == {"10.0.0.1": ["shop/first", "shop/second"]}
    assert hosts(await exported(collector))[0][0] == "shop/second"
    early = await exported(collector, where="TimeNs < 1700000020000000000")
    assert names(early) == {"10.0.0.1": ["shop/first"]}
    assert hosts(early) == [("shop/first", "10.0.0.2")]


async def test_an_address_without_owner_has_the_name_that_dns_gave_it(
    collector: Collector,
) -> None:
    await stored(collector, [packet("10.0.0.1", "10.0.0.2", second=9)])
    await answered(
        collector,
        ("10.0.0.2", "old.example", 1, 2),
        ("10.0.0.2", "new.example", 1, 8),
        ("10.0.0.2", "later.example", 10, 11),
        ("10.0.0.1", "we\\000ird \u202e.example", 1, 8),
    )
    path = await exported(collector)
    assert names(path) == {
        "10.0.0.1": ["we\\000ird__.example"], "10.0.0.2": ["old.example", "new.example"],
    }  # fmt: skip
    assert hosts(path) == [("we\\000ird__.example", "new.example")]


async def test_a_file_without_anything_to_name_has_no_names(collector: Collector) -> None:
    await stored(collector, [packet("10.0.0.1", "10.0.0.2")])
    assert names(await exported(collector)) == {}
    await answered(collector, ("192.0.2.7", "elsewhere.example", 0, 9))
    assert names(await exported(collector)) == {}
    assert names(await exported(collector, where="SrcPort = 1")) == {}


async def test_a_classic_pcap_has_no_names(collector: Collector) -> None:
    await stored(collector, [packet("10.0.0.1", "10.0.0.2")])
    await answered(collector, ("10.0.0.2", "a.example", 0, 9))
    assert hosts(await exported(collector, "pcap")) == [("10.0.0.1", "10.0.0.2")]


async def test_every_reader_takes_a_file_with_very_many_names(collector: Collector) -> None:
    many = [f"10.9.{number >> 8}.{number & 255}" for number in range(6000)]
    await stored(collector, [packet(ip, "10.0.0.2") for ip in many])
    long = "n" * 30  # Wireshark shows 63 characters of a name
    await answered(collector, *((ip, f"{long}.{ip}.example", 0, 9) for ip in many))
    path = await exported(collector)
    assert len(names(path)) == 6000
    assert sum(kind == pcapng.NAME_RESOLUTION for kind, _ in blocks(path)) > 1
    assert hosts(path)[2999] == (f"{long}.10.9.11.183.example", "10.0.0.2")
    with path.open("rb") as file:
        assert len(list(dpkt.pcapng.Reader(file))) == 6000


async def test_an_interface_is_described_with_the_pod_at_its_other_end(
    collector: Collector,
) -> None:
    veth = interface(7, "veth12")
    veth.peer_addresses.extend([address("10.0.0.1"), address("fd00::1")])
    stranger = interface(8, "veth13")
    stranger.peer_addresses.append(address("10.0.0.77"))
    await stored(
        collector,
        [packet("10.0.0.1", "10.0.0.2", ifindex=number) for number in (7, 8, 2)],
        listed=interfaces(interface(2, "eth0"), veth, stranger),
    )
    await collector.shell.until(
        "SELECT Peer FROM interface WHERE IfIndex = 7", '["10.0.0.1", "fd00::1"]'
    )
    assert await collector.shell.row("SELECT Peer FROM interface WHERE IfIndex = 2") == [None]
    await owned(
        collector,
        ("10.0.0.1", "shop/web-1", "Pod", 0, None),
        ("fd00::1", "shop/web-1", "Pod", 0, None),
    )
    assert descriptions(await exported(collector)) == [
        "interface 7 (veth12) of node node-a: pod shop/web-1",
        "interface 8 (veth13) of node node-a",
        "interface 2 (eth0) of node node-a",
    ]


@pytest.mark.parametrize("name", ["", "a\0b", "\n"])
def test_no_name_ends_a_record_early(name: str) -> None:
    from nshell.collector.query.names import _written  # noqa: PLC0415

    assert "\0" not in _written(name)
    assert "\n" not in _written(name)
