"""The frames that tests are made of, and how the reference reads them, against tshark."""

from __future__ import annotations

import struct
import subprocess
from ipaddress import ip_address
from typing import TYPE_CHECKING

from nshell.filters import Direction
from tests.classifier import frames as f
from tests.classifier.reference import Packet, parse

if TYPE_CHECKING:
    from pathlib import Path

A4, B4, A6, B6 = "10.0.0.1", "192.168.7.7", "2001:db8::1", "fe80::2"

FIELDS = (
    ("ip.src", "ipv6.src"),
    ("ip.dst", "ipv6.dst"),
    ("tcp.srcport", "udp.srcport", "sctp.srcport"),
    ("tcp.dstport", "udp.dstport", "sctp.dstport"),
    ("icmp.type", "icmpv6.type"),
    ("icmp.code", "icmpv6.code"),
    ("tcp.flags",),
)

CHAIN = (
    f.extension(f.HOP_BY_HOP),
    f.extension(f.DEST_OPTS, units=2),
    f.fragment6(more=True, ident=9),
    f.extension(f.AH, units=4),
    f.extension(f.DEST_OPTS),
)

FRAMES = (
    f.tcp4(A4, B4, sport=5555, dport=81, flags=f.SYN | f.ACK),
    f.tcp4(A4, B4, options=b"\x94\x04\x00\x00", payload=b"abc", vlans=(7,)),
    f.tcp6(A6, B6, sport=1, dport=65535, flags=0xFF),
    f.tcp6(A6, B6, dport=4444, extensions=CHAIN),
    f.udp4(A4, B4, sport=5555, dport=5556, options=bytes(40)),
    f.udp6(A6, B6, sport=5555, dport=5556, vlans=(1, 2)),
    f.sctp4(A4, B4, sport=5555, dport=5556),
    f.icmp4(A4, B4, kind=0, code=0),
    f.icmp4(A4, B4, kind=13, code=9),
    f.icmp6(A6, B6, kind=129, code=0),
    f.esp4(A4, B4),
    f.frag4(A4, B4, offset=0, more=True, payload=f.udp(sport=5555, dport=5556, payload=bytes(8))),
    f.frag4(A4, B4, offset=16, payload=bytes(range(24))),
    f.frag6(A6, B6, offset=0, more=True, payload=f.udp(sport=5555, dport=5556, payload=bytes(8))),
    f.frag6(A6, B6, offset=16, payload=bytes(range(24))),
    f.arp(A4, B4),
)


def test_tshark_reads_the_frames_as_the_reference_does(tmp_path: Path) -> None:
    file = tmp_path / "frames.pcap"
    records = b"".join(struct.pack("<IIII", 0, 0, len(x), len(x)) + x for x in FRAMES)
    file.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + records)
    ours = [as_fields(parse(x, direction=Direction.INGRESS, ifname="eth0")) for x in FRAMES]
    assert read_by_tshark(file) == ours


def test_the_ipv4_header_checksum_is_right() -> None:
    header = f.udp4(A4, B4, options=b"\x94\x04\x00\x00")[14 : 14 + 24]
    assert f.checksum(header) == 0


def read_by_tshark(file: Path) -> list[tuple[str, ...]]:
    """Per frame the first of each group of fields that it has."""
    names = [name for group in FIELDS for name in group]
    command = ["tshark", "-n", "-r", str(file), "-T", "fields", "-E", "occurrence=f"]
    command += ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]
    for name in names:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [grouped(line.split("\t")) for line in done.stdout.splitlines()]


def grouped(cells: list[str]) -> tuple[str, ...]:
    values = iter(cells)
    return tuple("".join(next(values) for _ in group) for group in FIELDS)


def as_fields(packet: Packet) -> tuple[str, ...]:
    """A packet in tshark's spelling."""
    flags = "" if packet.tcp_flags is None else f"0x{packet.tcp_flags:04x}"
    numbers = (packet.sport, packet.dport, packet.icmp_type, packet.icmp_code)
    spelled = ("" if number is None else str(number) for number in numbers)
    return (spell_address(packet.src), spell_address(packet.dst), *spelled, flags)


def spell_address(address: bytes | None) -> str:
    if address is None:
        return ""
    is_mapped = address.startswith(bytes(10) + b"\xff\xff")
    return str(ip_address(address[12:] if is_mapped else address))
