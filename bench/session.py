"""A whole session: start to first row, filter changes, memory of both processes."""

from __future__ import annotations

import re
import time
from pathlib import Path
from statistics import median, quantiles

from tests import network
from tests.session import Session, session

STARTS = 5
CHANGES = 100
LOAD_PACKETS = 60_000


def run() -> dict[str, float]:
    """Seconds, milliseconds and megabytes, as the names say."""
    with network.pair() as pair:
        pair.peer.start("ping", "-q", "-i", "0.02", "-c", "100000", pair.ours4)
        firsts = [_first_row(pair) for _ in range(STARTS)]
        results = {"start to first row, s": median(firsts)}
        with session(pair.ours, "-i", "eth0", "--packets") as live:
            time.sleep(2)
            idle = {name: _rss(pid) for name, pid in live.processes().items()}
            results |= _changes(live)
            results |= _load(pair, live)
            results["collector RSS idle, MB"] = idle["collector"]
    return results


def _first_row(pair: network.Pair) -> float:
    begun = time.monotonic()
    with session(pair.ours, "-i", "eth0") as live:
        live.do("wait until SELECT count(*) > 0 FROM flow timeout 20s;")
        return time.monotonic() - begun


def _changes(live: Session) -> dict[str, float]:
    live.do("filter port 1")
    mark = len(live.narration)
    for number in range(CHANGES):
        live.tell(f"filter replace 1 protocol udp port {1 + number % 7}")
    live.do("filter clear")
    found = [re.search(r"applied 1/1 in ([\d.]+) ms", line) for line in live.narration[mark:]]
    times = [float(match[1]) for match in found if match][:CHANGES]
    return {
        "filter change, p50 ms": median(times),
        "filter change, p95 ms": quantiles(times, n=20)[18],
    }


def _load(pair: network.Pair, live: Session) -> dict[str, float]:
    pair.ours.start_python(network.SINK, pair.ours4, "7001")
    pair.peer.python(network.UDP_SEND, pair.ours4, "7001", LOAD_PACKETS, 200, 20_000)
    live.settle("SELECT count(*) FROM packet WHERE DstPort = 7001", least=LOAD_PACKETS, seconds=60)
    peaks = {name: _peak(pid) for name, pid in live.processes().items()}
    lost = live.value("SELECT ifnull(sum(Count), 0) FROM loss")
    return {
        "collector RSS under load, MB": peaks["collector"],
        f"lost of {LOAD_PACKETS:,} packets at 20,000/s": float(lost),
    }


def _status(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no {name}")


def _rss(pid: int) -> float:
    return _status(pid, "VmRSS:")


def _peak(pid: int) -> float:
    return _status(pid, "VmHWM:")


if __name__ == "__main__":
    for what, value in run().items():
        print(f"{what:45} {value:10,.2f}")
