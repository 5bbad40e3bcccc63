"""Rows per second of the collector, from wire bytes to committed rows.

What is measured is the store as the server runs it: parsing of the messages,
decoding, inserts and commits; the clock stops when the last row is committed.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from agent.proto import agentlink_pb2 as pb
from nshell.collector.decode.rows import GenerationKey
from nshell.collector.interfaces import Interface
from nshell.collector.storage.store import Store
from tests.collector.wiretap import many_flows

_RUNS = 5
_BATCHES = 40
_BATCH_ROWS = 10_000
_LIMIT_BYTES = 4 << 30


async def _once(directory: Path, batches: list[bytes]) -> tuple[float, float]:
    """Rows per second of wall time and of processor time."""
    store = Store(directory, limit_bytes=_LIMIT_BYTES)
    store.generation(1, GenerationKey((1, 2, 3), 1))
    store.node("node-a", "192.0.2.1")
    store.interfaces("node-a", (Interface(2, "eth0", b"\x02\x00\x00\x00\x00\x02"),))
    await store.flush()
    wall, cpu = time.perf_counter(), time.process_time()
    for data in batches:
        batch = pb.FlowBatch.FromString(data)
        await store.flows("node-a", batch, received_s=int(time.time()))
    await store.flush()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rows = store.totals.flow_rows
    await store.close()
    assert rows == _BATCHES * _BATCH_ROWS
    return rows / wall, rows / cpu


def run() -> dict[str, float]:
    """Medians of several runs."""
    batches = [many_flows(_BATCH_ROWS, seed=seed).SerializeToString() for seed in range(_BATCHES)]
    results = []
    for _ in range(_RUNS):
        with tempfile.TemporaryDirectory(prefix="bench-rows-") as directory:
            results.append(asyncio.run(_once(Path(directory), batches)))
    walls, cpus = zip(*results, strict=True)
    return {
        "flow_rows_per_second": statistics.median(walls),
        "flow_rows_per_cpu_second": statistics.median(cpus),
    }


if __name__ == "__main__":
    for name, value in run().items():
        print(f"{name:32} {value:12,.0f}")
