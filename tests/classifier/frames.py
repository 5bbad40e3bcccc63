"""Frames for tests, layer by layer or whole: ``tcp4(src, dst, ...)`` and its like.

Lengths are consistent and the IPv4 header checksum is right; transport checksums
are zero. Addresses are text.

Whole frames take keywords: ``vlans`` (tag control fields, outermost first),
``options`` (IPv4, padded to words), ``extensions`` (IPv6, see ``ipv6``), and of
their protocol: ``sport``, ``dport``, ``flags``, ``kind``, ``code``, ``payload``.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

IPV4, IPV6, ARP, VLAN, QINQ = 0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8
HOP_BY_HOP, ROUTING, FRAGMENT, ESP, AH, NO_NEXT, DEST_OPTS, MOBILITY = (
    0, 43, 44, 50, 51, 59, 60, 135,
)  # fmt: skip
ICMP, TCP, UDP, DCCP, ICMPV6, SCTP, UDPLITE = 1, 6, 17, 33, 58, 132, 136
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

_MACS = bytes.fromhex("020000000002020000000001")

Extension = tuple[int, bytes]
"""Number of an extension header and what follows its next-header byte."""


def ethernet(etype: int, payload: bytes = b"", *, vlans: Sequence[int] = ()) -> bytes:
    """Of two tags, the outer one is 802.1ad."""
    tags = b""
    for depth, tci in enumerate(vlans):
        outer = depth < len(vlans) - 1
        tags += struct.pack(">HH", QINQ if outer else VLAN, tci)
    return _MACS + tags + struct.pack(">H", etype) + payload


def ipv4(
    src: str,
    dst: str,
    *,
    proto: int,
    payload: bytes = b"",
    options: bytes = b"",
    ident: int = 0,
    offset: int = 0,
    more: bool = False,
) -> bytes:
    """``offset`` of a fragment is in bytes, a multiple of 8."""
    options += bytes(-len(options) % 4)
    header = struct.pack(
        ">BBHHHBBH4s4s",
        0x45 + len(options) // 4,
        0,
        20 + len(options) + len(payload),
        ident,
        more << 13 | offset // 8,
        64,
        proto,
        0,
        IPv4Address(src).packed,
        IPv4Address(dst).packed,
    )
    header += options
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


def ipv6(
    src: str,
    dst: str,
    *,
    proto: int,
    payload: bytes = b"",
    extensions: Sequence[Extension] = (),
) -> bytes:
    """``extensions`` come in order; ``extension`` and ``fragment6`` make them."""
    numbers = [number for number, _ in extensions] + [proto]
    chain = b"".join(
        bytes([following]) + rest
        for (_, rest), following in zip(extensions, numbers[1:], strict=True)
    )
    body = chain + payload
    head = struct.pack(">IHBB", 6 << 28, len(body), numbers[0], 64)
    return head + IPv6Address(src).packed + IPv6Address(dst).packed + body


def extension(number: int, *, units: int = 0) -> Extension:
    """A header of 8 * (units + 1) bytes; AH, which counts in words, of 4 * (units + 2)."""
    size = 4 * (units + 2) if number == AH else 8 * (units + 1)
    return number, bytes([units]) + bytes(size - 2)


def fragment6(
    *, offset: int = 0, more: bool = False, ident: int = 0, reserved: int = 0
) -> Extension:
    """``offset`` is in bytes, a multiple of 8; ``reserved`` stands where others have a length."""
    return FRAGMENT, struct.pack(">BHI", reserved, offset | more, ident)


def tcp(
    *, sport: int = 40000, dport: int = 80, flags: int = ACK, payload: bytes = b"", seq: int = 1
) -> bytes:
    return struct.pack(">HHIIBBHHH", sport, dport, seq, 0, 0x50, flags, 65535, 0, 0) + payload


def udp(*, sport: int = 40000, dport: int = 53, payload: bytes = b"") -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


def sctp(*, sport: int = 40000, dport: int = 80, payload: bytes = b"") -> bytes:
    return struct.pack(">HHII", sport, dport, 1, 0) + payload


def icmp(*, kind: int = 8, code: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">BBHHH", kind, code, 0, 1, 1) + payload


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2]))
    if len(data) % 2:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def tcp4(
    src: str,
    dst: str,
    *,
    sport: int = 40000,
    dport: int = 80,
    flags: int = ACK,
    payload: bytes = b"",
    seq: int = 1,
    options: bytes = b"",
    vlans: Sequence[int] = (),
) -> bytes:
    segment = tcp(sport=sport, dport=dport, flags=flags, payload=payload, seq=seq)
    packet = ipv4(src, dst, proto=TCP, payload=segment, options=options)
    return ethernet(IPV4, packet, vlans=vlans)


def tcp6(
    src: str,
    dst: str,
    *,
    sport: int = 40000,
    dport: int = 80,
    flags: int = ACK,
    payload: bytes = b"",
    extensions: Sequence[Extension] = (),
    vlans: Sequence[int] = (),
) -> bytes:
    segment = tcp(sport=sport, dport=dport, flags=flags, payload=payload)
    packet = ipv6(src, dst, proto=TCP, payload=segment, extensions=extensions)
    return ethernet(IPV6, packet, vlans=vlans)


def udp4(
    src: str,
    dst: str,
    *,
    sport: int = 40000,
    dport: int = 53,
    payload: bytes = b"",
    options: bytes = b"",
    vlans: Sequence[int] = (),
) -> bytes:
    datagram = udp(sport=sport, dport=dport, payload=payload)
    packet = ipv4(src, dst, proto=UDP, payload=datagram, options=options)
    return ethernet(IPV4, packet, vlans=vlans)


def udp6(
    src: str,
    dst: str,
    *,
    sport: int = 40000,
    dport: int = 53,
    payload: bytes = b"",
    extensions: Sequence[Extension] = (),
    vlans: Sequence[int] = (),
) -> bytes:
    datagram = udp(sport=sport, dport=dport, payload=payload)
    packet = ipv6(src, dst, proto=UDP, payload=datagram, extensions=extensions)
    return ethernet(IPV6, packet, vlans=vlans)


def icmp4(src: str, dst: str, *, kind: int = 8, code: int = 0, payload: bytes = b"") -> bytes:
    message = icmp(kind=kind, code=code, payload=payload)
    return ethernet(IPV4, ipv4(src, dst, proto=ICMP, payload=message))


def icmp6(src: str, dst: str, *, kind: int = 128, code: int = 0, payload: bytes = b"") -> bytes:
    message = icmp(kind=kind, code=code, payload=payload)
    return ethernet(IPV6, ipv6(src, dst, proto=ICMPV6, payload=message))


def sctp4(src: str, dst: str, *, sport: int = 40000, dport: int = 80) -> bytes:
    return ethernet(IPV4, ipv4(src, dst, proto=SCTP, payload=sctp(sport=sport, dport=dport)))


def esp4(src: str, dst: str, *, spi: int = 80, payload: bytes = bytes(16)) -> bytes:
    """The SPI stands where a port would."""
    return ethernet(IPV4, ipv4(src, dst, proto=ESP, payload=struct.pack(">II", spi, 1) + payload))


def frag4(
    src: str,
    dst: str,
    *,
    proto: int = UDP,
    offset: int,
    payload: bytes,
    more: bool = False,
    ident: int = 1,
) -> bytes:
    """One fragment; ``payload`` is this part of the transport data, as it is."""
    packet = ipv4(src, dst, proto=proto, payload=payload, ident=ident, offset=offset, more=more)
    return ethernet(IPV4, packet)


def frag6(
    src: str,
    dst: str,
    *,
    proto: int = UDP,
    offset: int,
    payload: bytes,
    more: bool = False,
    ident: int = 1,
) -> bytes:
    """One fragment; ``payload`` is this part of the transport data, as it is."""
    chain = (fragment6(offset=offset, more=more, ident=ident),)
    return ethernet(IPV6, ipv6(src, dst, proto=proto, payload=payload, extensions=chain))


def arp(sender: str, target: str, *, reply: bool = False, vlans: Sequence[int] = ()) -> bytes:
    body = struct.pack(">HHBBH", 1, IPV4, 6, 4, 2 if reply else 1)
    body += _MACS[6:] + IPv4Address(sender).packed + bytes(6) + IPv4Address(target).packed
    return ethernet(ARP, body, vlans=vlans)
