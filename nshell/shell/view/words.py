"""Cells in words: protocols, flags, times, durations. The caller escapes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.filters.names import PROTOCOLS
from nshell.shell import units
from nshell.shell.units import human_bytes, human_ms

if TYPE_CHECKING:
    from nshell.shell.values import Cell

_PROTOCOL_NAMES = {number: name.upper() for name, number in PROTOCOLS.items()}
_PROTOCOL_NAMES[58] = "ICMPv6"
_FLAGS = (
    (256, "SYN+ACK"), (512, "FIN+ACK"), (1024, "RST+ACK"), (2, "SYN"), (16, "ACK"), (8, "PSH"),
    (1, "FIN"), (4, "RST"), (32, "URG"), (64, "ECE"), (128, "CWR"),
)  # fmt: skip


def protocol_name(number: Cell) -> str:
    """ "TCP"; the number where it has no name."""
    if not isinstance(number, int):
        return ""
    return _PROTOCOL_NAMES.get(number, str(number))


def flag_names(flags: Cell) -> str:
    """ "SYN|ACK"; of a flow, what any of its packets had set."""
    if not isinstance(flags, int):
        return ""
    return "|".join(name for bit, name in _FLAGS if flags & bit)


def clock(nanoseconds: int) -> str:
    """ "14:03:07.123", local time."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{units.clock(seconds)}.{rest // 1_000_000:03d}"


def size(count: Cell) -> str:
    """ "1.2 kB"."""
    return human_bytes(int(count)) if isinstance(count, int | float) else ""


def duration_ms(milliseconds: Cell) -> str:
    """ "450 us", "1.3 ms"."""
    if not isinstance(milliseconds, int | float):
        return ""
    if 0 < milliseconds < 0.95:
        return f"{milliseconds * 1000:.0f} us"
    return human_ms(milliseconds)


def duration_ns(nanoseconds: Cell) -> str:
    return duration_ms(nanoseconds / 1e6) if isinstance(nanoseconds, int | float) else ""


def count(number: Cell) -> str:
    """ "12,345"."""
    return f"{number:,}" if isinstance(number, int | float) else ""


def plain(cell: Cell) -> str:
    """As it is; nothing for NULL."""
    if cell is None:
        return ""
    return cell.hex() if isinstance(cell, bytes) else str(cell)


def with_port(host: str, port: Cell) -> str:
    """ "10.0.0.1:443", "[fd00::1]:443"; ICMP has no port."""
    if port is None:
        return host
    number = plain(port)
    return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"


def way(direction: Cell) -> str:
    """ "in", "out"."""
    return {0: "in", 1: "out"}.get(direction, "") if isinstance(direction, int) else ""


def layer(direction: Cell) -> str:
    """FlowDirection."""
    if not isinstance(direction, int):
        return ""
    return {0: "to node", 1: "from node", 2: "within"}.get(direction, "")
