"""`python -m bench [PART...]`: run every part, print one table, write it as JSON.

Figures of a shared machine: read the ratios before the numbers.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = ("kernel", "features", "agent", "collector_rows", "collector_packets", "session",
         "prompt", "cluster")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should be; missed goals are said, nothing fails."""

    limit: float
    at_least: bool = False

    def verdict(self, value: float) -> str:
        met = value >= self.limit if self.at_least else value <= self.limit
        sign = ">=" if self.at_least else "<="
        if met:
            return f"goal {sign} {self.limit:,.6g}: met"
        return f"goal {sign} {self.limit:,.6g}: missed by {abs(value / self.limit - 1):.0%}"


GOALS = {
    "kernel: filter off": Goal(120),
    "kernel: 64 rules / 1 rule": Goal(1.15),
    "collector_rows: flow_rows_per_second": Goal(250_000, at_least=True),
    "agent: agent packets/CPU-s, 64 B": Goal(700_000, at_least=True),
    "agent: agent RSS idle, MB": Goal(80),
    "agent: agent RSS under load, MB": Goal(80),
    "session: start to first row, s": Goal(3),
    "session: filter change, p95 ms": Goal(100),
    "prompt: key to echo, 5,000 rows/s, p95 ms": Goal(30),
    "prompt: key to menu, 5,000 rows/s, p95 ms": Goal(30),
    "prompt: key that ends a watch to prompt, 5,000 rows/s, p95 ms": Goal(30),
    "prompt: key to echo in a view, 5,000 rows/s, p95 ms": Goal(30),
    "cluster: start to prompt, s": Goal(15),
    "cluster: filter change with addresses, p95 ms": Goal(500),
    "cluster: filter change with a selector, p95 ms": Goal(500),
}


def main(parts: list[str]) -> None:
    figures: dict[str, float] = {}
    for part in parts or PARTS:
        measure: Callable[[], dict[str, float]] = importlib.import_module(f"bench.{part}").run
        for name, value in measure().items():
            figures[f"{part}: {name}"] = value
    if "kernel: 1 rule" in figures:
        ratio = figures["kernel: 64 rules"] / figures["kernel: 1 rule"]
        figures["kernel: 64 rules / 1 rule"] = ratio
    for name, value in figures.items():
        verdict = GOALS[name].verdict(value) if name in GOALS else ""
        print(f"{name:62} {value:14,.2f}  {verdict}".rstrip())
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    file = folder / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    machine = {"kernel": platform.release(), "cpus": os.cpu_count(), "python": sys.version}
    file.write_text(json.dumps({"machine": machine, "figures": figures}, indent=2) + "\n")
    print(f"\nwritten to {file}")


if __name__ == "__main__":
    main(sys.argv[1:])
