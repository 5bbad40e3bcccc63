"""DNS messages of the tests' own making, RFC 1035 4.1."""

from __future__ import annotations

import struct

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "ANY": 255}
RECURSION_DESIRED = 0x0100


def name(*labels: str | bytes) -> bytes:
    """On the wire, uncompressed."""
    packed = [label.encode("latin-1") if isinstance(label, str) else label for label in labels]
    return b"".join(bytes([len(label)]) + label for label in packed) + b"\0"


def query(ident: int, *questions: tuple[bytes, int]) -> bytes:
    """One message that asks for names and types."""
    head = struct.pack(">6H", ident, RECURSION_DESIRED, len(questions), 0, 0, 0)
    return head + b"".join(asked + struct.pack(">HH", kind, 1) for asked, kind in questions)


def longest(*first: str) -> list[str]:
    """Labels of a name that takes all of the 255 bytes it may, starting with these."""
    labels = list(first)
    left = 255 - len(name(*labels))
    while left:
        size = min(63, left - 1)
        if left - 1 - size == 1:  # a label needs two bytes
            size -= 1
        labels.append("x" * size)
        left -= 1 + size
    return labels
