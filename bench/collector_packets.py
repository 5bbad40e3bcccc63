"""Packets per CPU-second of the collector: decode, packet files and index rows.

What is measured is the store as the server runs it; the clock stops when the
last row is committed. Two sizes: a bare header and a full frame.
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
from tests.collector.wiretap import many_packets

_RUNS = 5
_BATCH_BYTES = 512 << 10
_PACKETS = 200_000
_SIZES = (64, 1514)
_LIMIT_BYTES = 4 << 30


async def _once(directory: Path, batches: list[bytes]) -> tuple[float, float]:
    """Packets per second of wall time and of processor time."""
    store = Store(directory, limit_bytes=_LIMIT_BYTES)
    store.generation(1, GenerationKey((1, 2, 3), 1))
    store.node("node-a", "192.0.2.1")
    store.interfaces("node-a", (Interface(2, "eth0", b"\x02\x00\x00\x00\x00\x02"),))
    await store.flush()
    wall, cpu = time.perf_counter(), time.process_time()
    for data in batches:
        await store.packets("node-a", pb.PacketBatch.FromString(data))
    await store.flush()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    packets = store.totals.packet_rows
    await store.close()
    return packets / wall, packets / cpu


def _batches(size: int) -> list[bytes]:
    per_batch = _BATCH_BYTES // (size + 88)
    return [
        many_packets(per_batch, size=size, start_ns=10**9 + number * 10**7).SerializeToString()
        for number in range(_PACKETS // per_batch)
    ]


def run() -> dict[str, float]:
    """Medians of several runs."""
    medians: dict[str, float] = {}
    for size in _SIZES:
        batches = _batches(size)
        results = []
        for _ in range(_RUNS):
            with tempfile.TemporaryDirectory(prefix="bench-packets-") as directory:
                results.append(asyncio.run(_once(Path(directory), batches)))
        walls, cpus = zip(*results, strict=True)
        medians[f"packets_{size}_per_second"] = statistics.median(walls)
        medians[f"packets_{size}_per_cpu_second"] = statistics.median(cpus)
    return medians


if __name__ == "__main__":
    for name, value in run().items():
        print(f"{name:32} {value:12,.0f}")
