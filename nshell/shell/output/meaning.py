"""What a column of numbers means, by its name in the result, and how people read it.

A query that gives a column another name decides: `sum(Bytes) AS total_bytes`
is read as bytes, `AS x` is a number. What is computed any further, such as
`Bytes * 8`, is a number too: nobody knows its unit.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import TYPE_CHECKING

from nshell.shell.units import human_bytes, human_duration

if TYPE_CHECKING:
    from collections.abc import Callable

_KEEPS_UNIT = re.compile(
    r"(?:sum|total|min|max|avg|abs|round|coalesce|ifnull)\s*\(\s*(?:distinct\s+)?"
    r"(?P<inner>.+?)\s*(?:,\s*\d+(?:\.\d+)?\s*)?\)",
    re.IGNORECASE | re.DOTALL,
)
"""A function whose value has the unit of its first argument."""
_NAME = re.compile(r"""(?:\w+\.)?["`\[]?(?P<name>\w+)["`\]]?""")
_KINDS = (
    # Inodes and the like, which end as a unit does.
    (re.compile(r"NetNs"), ""),
    (re.compile(r"\w*Bytes|Bytes(?:In|Out|Sent|Received)|(?:\w+_)?bytes|bytes_\w+"), "bytes"),
    (re.compile(r"TimeReceived"), "epoch s"),
    (re.compile(r"Time\w*(?:Rtt|SynAck)Ns|\w*(?:Rtt|Latency|Duration)Ns|\w+_ns"), "ns"),
    (re.compile(r"Time\w*Ns"), "epoch ns"),
    (re.compile(r"Time\w*Ms|Valid(?:From|To)Ms"), "epoch ms"),
    (re.compile(r"\w+[a-z]Ms|\w+_ms"), "ms"),
    (re.compile(r"\w+Seconds"), "s"),
)
_SECONDS = {"s": 1.0, "ms": 1e-3, "ns": 1e-9}
_DIGITS = {"s": 0, "ms": 3, "ns": 9}
_EARLIEST, _LATEST = 10**8, 10**11
"""Seconds since 1970 that may be a time; what else stands there is shown as it is."""


def reader(column: str) -> Callable[[float], str] | None:
    """How numbers in a column of that name are read; None: as they are."""
    kind = _kind(column)
    if kind == "bytes":
        return _bytes
    if kind.startswith("epoch "):
        unit = kind.removeprefix("epoch ")
        return lambda number: _moment(number, _DIGITS[unit])
    if kind in _SECONDS:
        factor = _SECONDS[kind]
        return lambda number: human_duration(number * factor)
    return None


def _kind(column: str) -> str:
    text, times_only = column.strip(), False
    while (call := _KEEPS_UNIT.fullmatch(text)) is not None:
        # A sum of moments is none.
        times_only = times_only or text[:3].lower() in ("sum", "tot")
        text = call["inner"]
    named = _NAME.fullmatch(text)
    if named is None:
        return ""
    kind = next((kind for known, kind in _KINDS if known.fullmatch(named["name"])), "")
    return "" if times_only and kind.startswith("epoch") else kind


def _bytes(number: float) -> str:
    return human_bytes(number) if number >= 0 else f"-{human_bytes(-number)}"


def _moment(number: float, digits: int) -> str:
    """Local time, to the last digit there is."""
    whole, part = divmod(int(number), 10**digits)
    if not _EARLIEST <= whole < _LATEST:
        return str(number)
    try:
        text = datetime.fromtimestamp(whole).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return str(number)
    return f"{text}.{part:0{digits}d}" if digits else text


def readable(number: float) -> bool:
    """Whether it can be put into a unit at all."""
    return math.isfinite(number)
