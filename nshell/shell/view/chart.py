"""Bytes per second by who sends them, stacked, over the last minutes.

Each talker has a mark of its own, so that colour is not needed to tell them
apart, and keeps it for as long as it is among the first.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nshell.shell.escape import escape
from nshell.shell.units import human_bytes, human_elapsed
from nshell.shell.view.layout import cut
from nshell.shell.view.words import clock
from nshell.shell.widths import width_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nshell.shell.values import Cell
    from nshell.shell.view.layout import Line

WINDOWS = ((60, 1), (300, 2), (900, 6), (3600, 24))
"""Seconds shown, and seconds of one bucket."""
TALKERS = 5
OTHERS = "others"
MARKS, ASCII_MARKS = "█▓▒░▚·", "#*+=o."
STYLES = (
    "class:bar", "class:spark", "class:notice", "class:new", "class:number", "class:dim",
)  # fmt: skip
LATE_MS = 2000
"""Flows are told of when their window ends: what is younger is not complete."""
AGAIN_MS = 6000
"""Of this much the buckets may still grow."""
_BOUND_ROWS = 200_000
_BOUND = f"""coalesce(
    (SELECT TimeFlowEndMs FROM flow WHERE rowid = (SELECT max(rowid) FROM flow) - {_BOUND_ROWS}), 0
)"""  # noqa: S608 - a number of ours
_CHART_SQL = """
SELECT Bucket, SrcAddr, max(Name), sum(Bytes) AS Sent, {bound}, min(Least), max(Most) FROM (
    SELECT Bucket, SrcAddr, max(Name) AS Name, max(Bytes) AS Bytes,
        min(Least) AS Least, max(Most) AS Most
    FROM (
        SELECT TimeFlowEndMs / {step_ms} AS Bucket, SrcAddr, DstAddr,
            sum(Bytes * max(coalesce(Sampling, 1), 1)) AS Bytes,
            min(max(coalesce(Sampling, 1), 1)) AS Least,
            max(max(coalesce(Sampling, 1), 1)) AS Most,
            max(coalesce(SrcK8S_Namespace || '/', '') || SrcK8S_Name) AS Name
        FROM flow WHERE TimeFlowEndMs >= max({since_ms}, {bound}) AND TimeFlowEndMs < {until_ms}
            AND SrcAddr IS NOT NULL
        GROUP BY 1, SrcAddr, DstAddr, Node
    ) GROUP BY Bucket, SrcAddr, DstAddr
) GROUP BY Bucket, SrcAddr ORDER BY Sent DESC LIMIT 20000
"""
_FEW_BARS = 3
_WITH_PEAKS = 56
"""Columns; below that the legend has room for names and what is now."""


@dataclass(frozen=True, slots=True)
class _Figures:
    """How bytes per second are written."""

    written: Callable[[float], str]
    wide: int
    """Columns that they take."""


_HUMAN = _Figures(lambda rate: f"{human_bytes(round(rate))}/s", 11)
_EXACT = _Figures(lambda rate: f"{round(rate)}/s", 15)


@dataclass(slots=True)
class Chart:
    """What is known of the window, and how wide it is."""

    zoomed: int = 0
    buckets: dict[int, dict[str, int]] = field(default_factory=dict)
    """Number of the bucket to talker to bytes."""
    sampled: dict[int, set[int]] = field(default_factory=dict)
    """Number of the bucket to the rates its bytes were multiplied by, the least and the most."""
    names: dict[str, str] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)
    """Talker to its mark."""
    until_ms: int = 0
    bound_ms: int = 0
    """What is older was not looked at: there are too many rows."""

    @property
    def seconds(self) -> int:
        return WINDOWS[self.zoomed][0]

    @property
    def step(self) -> int:
        return WINDOWS[self.zoomed][1]

    @property
    def first(self) -> int:
        """Its first bucket."""
        return self.last - self.seconds // self.step + 1

    @property
    def last(self) -> int:
        return (self.until_ms - 1) // (self.step * 1000)

    def zoom(self, by: int) -> None:
        """A longer or a shorter window; what is known of the other does not fit it."""
        zoomed = max(0, min(self.zoomed + by, len(WINDOWS) - 1))
        if zoomed != self.zoomed:
            self.zoomed = zoomed
            self.buckets.clear()
            self.sampled.clear()
            self.until_ms = 0

    def since_ms(self, now_ms: int) -> int:
        """From when on rows are to be asked for."""
        fresh = now_ms - self.seconds * 1000 - LATE_MS
        since = max(fresh, self.until_ms - AGAIN_MS)
        return since // (self.step * 1000) * (self.step * 1000)

    def take(self, now_ms: int, since_ms: int, found: Iterable[Sequence[Cell]]) -> None:
        """Rows of the query: bucket, address, its name, bytes, the bound, rates of sampling."""
        self.until_ms = until(now_ms)
        again = since_ms // (self.step * 1000)
        for number in [n for n in self.buckets if n >= again or n < self.first]:
            del self.buckets[number]
            self.sampled.pop(number, None)
        for bucket, address, name, sent, bound, *rates in found:
            if isinstance(bucket, int) and isinstance(sent, int):
                self.buckets.setdefault(bucket, {})[str(address)] = sent
                known = self.sampled.setdefault(bucket, set())
                known.update(rate for rate in rates if isinstance(rate, int))
            if name:
                self.names[str(address)] = str(name)
            self.bound_ms = bound if isinstance(bound, int) else 0
        self._assign()

    def totals(self) -> dict[str, int]:
        """Bytes of each talker in the window."""
        sums: dict[str, int] = defaultdict(int)
        for number, talkers in self.buckets.items():
            if self.first <= number <= self.last:
                for talker, sent in talkers.items():
                    sums[talker] += sent
        return sums

    @property
    def scaled(self) -> str:
        """What bytes were multiplied by, in words; empty: every packet was looked at."""
        rates = set[int]().union(*self.sampled.values())
        if rates <= {1}:
            return ""
        if len(rates) > 1:
            return ", scaled by sampling"
        return f", times {rates.pop():,} for sampling"

    def _assign(self) -> None:
        sums = self.totals()
        top = sorted(sums, key=lambda talker: (-sums[talker], talker))[:TALKERS]
        self.slots = {talker: slot for talker, slot in self.slots.items() if talker in top}
        free = [slot for slot in range(TALKERS) if slot not in self.slots.values()]
        for talker in top:
            if talker not in self.slots:
                self.slots[talker] = free.pop(0)

    def series(self) -> list[list[float]]:
        """Bytes per second of every mark, bucket by bucket; the others last."""
        count = self.seconds // self.step
        so_far = max(self.until_ms / 1000 - self.last * self.step, 1)
        lines = [[0.0] * count for _ in range(TALKERS + 1)]
        for number, talkers in self.buckets.items():
            at = number - self.first
            seconds = so_far if number == self.last else self.step
            if 0 <= at < count:
                for talker, sent in talkers.items():
                    lines[self.slots.get(talker, TALKERS)][at] += sent / seconds
        return lines


def until(now_ms: int) -> int:
    """The last full second of which everything has arrived."""
    return (now_ms - LATE_MS) // 1000 * 1000


def chart_sql(since_ms: int, now_ms: int, step: int) -> str:
    """Bytes by bucket and sender; what several nodes saw counts once, a sampled packet for all."""
    return _CHART_SQL.format(
        bound=_BOUND, since_ms=since_ms, until_ms=until(now_ms), step_ms=step * 1000
    )


def draw_chart(
    chart: Chart,
    names: Mapping[str, str],
    *,
    width: int,
    height: int,
    unicode: bool = True,
    human: bool = True,
) -> list[Line]:
    """Title, the stacked bars, the time below them, a legend."""
    figures = _HUMAN if human else _EXACT
    marks = MARKS if unicode else ASCII_MARKS
    series = chart.series()
    legend = _legend(chart, series, names, width=width, marks=marks, figures=figures)
    bars = max(1, height - 3 - len(legend))
    bars -= bars % 2 if bars > _FEW_BARS else 0  # the middle has a label
    columns = max(1, width - figures.wide - 1)
    resampled = [_resample(line, columns) for line in series]
    top = _ceiling(max(map(sum, zip(*resampled, strict=True))))
    since = " (too many rows for more)" if chart.bound_ms > chart.first * chart.step * 1000 else ""
    title = f" bytes/s by sender{chart.scaled}, last {human_elapsed(chart.seconds)}{since}"
    lines: list[Line] = [[("class:header", cut(title, width).ljust(width))]]
    for row in reversed(range(bars)):
        label = figures.written(top * (row + 1) / bars) if _labelled(row, bars) else ""
        lines.append(
            [("", f"{label:>{figures.wide}} "), *_bar_row(resampled, marks, row, top / bars)]
        )
    lines.append([("", " " * (figures.wide + 1) + _time_axis(chart, columns))])
    return [*lines, *legend][: max(height, 1)]


def _labelled(row: int, bars: int) -> bool:
    return row == bars - 1 or (bars > _FEW_BARS and row == bars // 2 - 1)


def _bar_row(series: list[list[float]], marks: str, row: int, unit: float) -> Line:
    """One line of the bars, runs of a mark in one piece."""
    line: Line = []
    for values in zip(*series, strict=True):
        slot = _mark_at(values, (row + 0.5) * unit)
        if slot is None and row == 0 and any(values):
            slot = max(range(len(values)), key=values.__getitem__)
        piece = (STYLES[slot], marks[slot]) if slot is not None else ("", " ")
        if line and line[-1][0] == piece[0]:
            line[-1] = (piece[0], line[-1][1] + piece[1])
        else:
            line.append(piece)
    return line


def _mark_at(values: Sequence[float], level: float) -> int | None:
    """Whose part of the bar is at this height."""
    reached = 0.0
    for slot, value in enumerate(values):
        reached += value
        if level <= reached:
            return slot
    return None


def _time_axis(chart: Chart, columns: int) -> str:
    start = clock(chart.first * chart.step * 1_000_000_000)[:8]
    end = clock(chart.until_ms * 1_000_000)[:8]
    if columns < len(start) + len(end) + 1:
        return end[-columns:]
    return start + end.rjust(columns - len(start))


def _legend(
    chart: Chart,
    series: list[list[float]],
    names: Mapping[str, str],
    *,
    width: int,
    marks: str,
    figures: _Figures,
) -> list[Line]:
    talkers = {slot: talker for talker, slot in chart.slots.items()}
    total = sum(map(sum, series)) or 1.0
    entries = []
    for slot in sorted(talkers, key=lambda slot: -sum(series[slot])):
        address = talkers[slot]
        name = chart.names.get(address) or names.get(address, "")
        entries.append((slot, escape(f"{address} {name}".strip())))
    if any(series[TALKERS]):
        entries.append((TALKERS, OTHERS))
    if not entries:
        return [[("class:dim", " no traffic in this window yet")]]
    peaks = width >= _WITH_PEAKS
    taken = 22 + 2 * figures.wide if peaks else 15 + figures.wide
    widest = min(max(width_of(label) for _, label in entries), max(8, width - taken))
    lines: list[Line] = []
    for slot, label in entries:
        line = series[slot]
        shown = cut(label, widest)
        now, peak = (figures.written(rate).rjust(figures.wide) for rate in (line[-1], max(line)))
        most = f" {peak} peak" if peaks else ""
        blank = " " * (widest - width_of(shown))
        text = f" {shown}{blank}  {now} now{most} {100 * sum(line) / total:4.0f}%"
        lines.append([("", " "), (STYLES[slot], marks[slot]), ("", cut(text, width - 2))])
    return lines


def _resample(line: Sequence[float], columns: int) -> list[float]:
    """As many values as there are columns: means where there are fewer."""
    count = len(line)
    if columns >= count:
        return [line[x * count // columns] for x in range(columns)]
    edges = [x * count // columns for x in range(columns + 1)]
    return [sum(line[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]


def _ceiling(value: float) -> float:
    """1, 2 or 5 times a power of ten, not below it."""
    if value <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999999)
