"""Numbers as a line of small blocks, scaled to themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Marks:
    """Characters that a terminal can show."""

    levels: str
    """Of a sparkline, the lowest first."""
    more: str
    """Something is left out here."""


FULL = Marks("▁▂▃▄▅▆▇█", "…")
ASCII = Marks("_.:-=+*#", "~")


def sparkline(values: Sequence[float | None], *, width: int, marks: str = FULL.levels) -> str:
    """The latest of them, the last one at the right end; a gap where there was none."""
    recent = [None if v is None or not math.isfinite(v) else v for v in values[-width:]]
    known = [value for value in recent if value is not None]
    if not known:
        return " " * width
    low, high = min(known), max(known)
    step = (high - low) / (len(marks) - 1)
    drawn = (" " if v is None else marks[_level(v - low, step)] for v in recent)
    return "".join(drawn).rjust(width)


def _level(above: float, step: float) -> int:
    return int(above / step + 0.5) if step and math.isfinite(step) else 0


def marks_for(encoding: str, environment: Mapping[str, str]) -> Marks:
    """Blocks, unless the terminal's encoding, its type or the locale says that it has none."""
    set_by = [name for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)]
    locale = environment[set_by[0]] if set_by else ""
    poor = environment.get("TERM", "") in ("linux", "dumb", "vt100", "vt220", "ansi")
    if poor or locale in ("C", "POSIX") or not encoding.lower().startswith("utf"):
        return ASCII
    return FULL
