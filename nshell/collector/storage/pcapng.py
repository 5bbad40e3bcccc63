"""Blocks of the pcapng format, and the classic pcap header.

Invariant: every block ends on a 4-byte boundary with zero padding and states
its length at both ends, so a reader can walk a file from either side.
Reference: draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SECTION_HEADER = 0x0A0D0D0A
INTERFACE_DESCRIPTION = 1
NAME_RESOLUTION = 4
ENHANCED_PACKET = 6

_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_UNKNOWN_LENGTH = 0xFFFFFFFFFFFFFFFF

_SHB_HARDWARE, _SHB_OS, _SHB_USERAPPL = 2, 3, 4
_IF_NAME, _IF_DESCRIPTION, _IF_MAC, _IF_TSRESOL = 2, 3, 6, 9
_EPB_FLAGS = 2
_NRB_IPV4, _NRB_IPV6 = 1, 2
_NRB_BYTES = 256 << 10
"""Of a block of names: readers refuse blocks that are too long for them."""
_NANOSECONDS = b"\x09"
_OPTION_LIMIT = 0xFFFF

EPB_HEAD = np.dtype(
    [
        ("type", "<u4"),
        ("total", "<u4"),
        ("interface", "<u4"),
        ("time_high", "<u4"),
        ("time_low", "<u4"),
        ("cap_len", "<u4"),
        ("orig_len", "<u4"),
    ]
)
EPB_TAIL = np.dtype(
    [
        ("flags_code", "<u2"),
        ("flags_length", "<u2"),
        ("flags", "<u4"),
        ("end_of_options", "<u4"),
        ("total", "<u4"),
    ]
)
EPB_OVERHEAD = EPB_HEAD.itemsize + EPB_TAIL.itemsize
"""Bytes of a packet's block beside the padded packet."""

FLAGS_OPTION = (_EPB_FLAGS, 4)
"""Code and length of the option that tells the direction."""

INBOUND, OUTBOUND = 1, 2
"""Values of that option."""

PCAP_SNAPLEN = 262_144
_PCAP_NANOSECOND_MAGIC = 0xA1B23C4D


def option(code: int, value: bytes) -> bytes:
    """One option, padded; a value longer than the format allows is cut."""
    value = value[:_OPTION_LIMIT]
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def block(kind: int, body: bytes) -> bytes:
    """One block round a body that is already padded."""
    total = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + total + body + total


def section_header(*, hardware: str, system: str, application: str) -> bytes:
    """First block of a file."""
    body = struct.pack("<IHHQ", _BYTE_ORDER_MAGIC, 1, 0, _UNKNOWN_LENGTH)
    for code, text in (
        (_SHB_HARDWARE, hardware),
        (_SHB_OS, system),
        (_SHB_USERAPPL, application),
    ):
        body += option(code, text.encode())
    return block(SECTION_HEADER, body + option(0, b""))


def interface_description(*, link_type: int, name: str, description: str, mac: bytes) -> bytes:
    """Introduces an interface; packets name it by its place among these blocks."""
    body = struct.pack("<HHI", link_type, 0, 0)
    body += option(_IF_NAME, name.encode()) + option(_IF_DESCRIPTION, description.encode())
    if len(mac) == 6:
        body += option(_IF_MAC, mac)
    body += option(_IF_TSRESOL, _NANOSECONDS)
    return block(INTERFACE_DESCRIPTION, body + option(0, b""))


def name_resolution(names: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
    """Blocks with the names of addresses, none where there is none; names are ASCII."""
    body = b""
    for address, several in names.items():
        packed = ip_address(address).packed
        value = packed + b"".join(name.encode() + b"\0" for name in several)
        body += option(_NRB_IPV4 if len(packed) == 4 else _NRB_IPV6, value)
        if len(body) >= _NRB_BYTES:
            yield block(NAME_RESOLUTION, body + option(0, b""))
            body = b""
    if body:
        yield block(NAME_RESOLUTION, body + option(0, b""))


def pcap_header(link_type: int) -> bytes:
    """First bytes of a classic pcap file with nanosecond times."""
    return struct.pack("<IHHiIII", _PCAP_NANOSECOND_MAGIC, 2, 4, 0, 0, PCAP_SNAPLEN, link_type)


PCAP_RECORD = np.dtype(
    [("seconds", "<u4"), ("nanoseconds", "<u4"), ("cap_len", "<u4"), ("orig_len", "<u4")]
)
