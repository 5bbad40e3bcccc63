"""How long a session on a cluster may live, and how such limits are told.

Invariant: imports nothing; who issues certificates and who ends sessions mean
the same numbers.
"""

from __future__ import annotations

LONGEST_SECONDS = 24 * 3600
"""From its start: its certificates hold no longer, so nobody could come back to it."""
KEEP_SECONDS = 3600
"""What a detached session has captured waits so long for a shell to fetch it."""

_UNITS = ((3600, "h"), (60, "m"), (1, "s"))
_SIZES = (("Gi", 1 << 30), ("G", 10**9), ("Mi", 1 << 20), ("M", 10**6), ("Ki", 1 << 10))


def duration_text(seconds: float) -> str:
    """ "10m", "1h30m", "0.5s": as it would be typed."""
    if seconds != int(seconds):
        return f"{seconds:g}s"
    rest, parts = int(seconds), []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def size_text(count: int) -> str:
    """ "64Mi", "1G", "1,234 bytes": as it would be typed, if that is short."""
    for unit, size in _SIZES:
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return f"{count:,} bytes"
