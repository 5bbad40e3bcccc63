"""Durations, sizes and counts, as people write and read them.

Parsing is strict: what is not wholly understood is an error that names it.
"""

from __future__ import annotations

import re
import time

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|h|m|s)")
_BYTES = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate(("k", "M", "G", "T"), start=1)},
    **{unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti"), start=1)},
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z]*)")
_MOST_DIGITS = 20


def whole_number(text: str, low: int, high: int) -> int | None:
    """The number that it is, if it is one between these, both included."""
    # Of longer ones Python says no number at all.
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        return None
    return int(text) if low <= int(text) <= high else None


def parse_duration(text: str) -> float:
    """Seconds of "1h30m", "250ms", "2s"; ValueError says what is wrong."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        hint = f": did you mean {text}s?" if text.isdecimal() else ", for instance 2s or 1m30s"
        raise ValueError(f"{text!r} is not a duration{hint}")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def parse_size(text: str) -> int:
    """Bytes of "64Mi", "1G", "4096" (Kubernetes quantities); ValueError says what is wrong."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size, for instance 64Mi or 1G")
    number, unit = match.groups()
    if unit not in _BYTES:
        near = {known.lower(): known for known in _BYTES}.get(unit.lower().removesuffix("b"))
        hint = f": did you mean {number}{near}?" if near else ""
        raise ValueError(f"{text!r} has no known unit (k M G T, Ki Mi Gi Ti){hint}")
    size = float(number) * _BYTES[unit]
    if size >= 1 << 63:
        raise ValueError(f"{text!r} is too large")
    return int(size)


def human_bytes(count: float) -> str:
    """ "1.2 MB": decimal units, as disks and links are measured."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.95 or unit == "TB":
            break
        value /= 1000
    return f"{count:,.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def human_rate(per_second: float) -> str:
    """ "1.2k/s"."""
    for limit, divisor, unit in ((999.5, 1, ""), (999_950, 1e3, "k"), (9.9995e8, 1e6, "M")):
        if per_second < limit:
            digits = 0 if divisor == 1 else 1
            return f"{per_second / divisor:.{digits}f}{unit}/s"
    return f"{per_second / 1e9:.1f}G/s"


def clock(at: float) -> str:
    """ "14:03:07", local time of seconds since 1970."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def human_elapsed(seconds: float) -> str:
    """ "00:12:03"; hours go on past 99."""
    whole = max(0, int(seconds))
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def human_ms(milliseconds: float) -> str:
    """ "42 ms", "1.3 s"."""
    if milliseconds < 9.95:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 9999.5 else f"{milliseconds / 1000:.1f} s"


def human_duration(seconds: float) -> str:
    """ "850 ns", "12.3 us", "1.20 ms", "3.21 s", "2m05s", "26h00m": three digits that count."""
    sign, size = ("-", -seconds) if seconds < 0 else ("", seconds)
    if size >= 99.95:
        whole = round(size)
        if whole < 3600:
            return f"{sign}{whole // 60}m{whole % 60:02d}s"
        return f"{sign}{whole // 3600}h{whole % 3600 // 60:02d}m"
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if size * factor >= 0.9995:
            return f"{sign}{_three_digits(size * factor)} {unit}"
    return f"{sign}{size * 1e9:.0f} ns"


def _three_digits(value: float) -> str:
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def plural(count: int, noun: str) -> str:
    """ "1 row", "1,234 rows"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def brief(text: str, *, most: int = 120) -> str:
    """A text of at most so many characters; what is cut is said by an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
