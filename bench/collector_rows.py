"""Rows per second of the collector, from wire bytes to committed rows.

What is measured is the store as the server runs it: parsing of the messages,
decoding, inserts and commits; the clock stops when the last row is committed.
Once more with a cluster of 1,000 pods, where each row is between two of them.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from pathlib import Path

from agent.proto import agentlink_pb2 as pb
from nshell.collector.decode.rows import GenerationKey
from nshell.collector.interfaces import Interface
from nshell.collector.kube.inventory import Change
from nshell.collector.kube.objects import Owner, Pod
from nshell.collector.storage.store import Store
from tests.collector.wiretap import many_flows

_RUNS = 5
_BATCHES = 40
_BATCH_ROWS = 10_000
_LIMIT_BYTES = 4 << 30
_SPREAD = 2
"""Each end of a flow has so many times 256 addresses."""


def _pods() -> list[Change]:
    """One for each address of the flows."""
    inventory: list[Change] = []
    places = itertools.product((1, 2), range(_SPREAD), range(256))
    for number, (end, third, fourth) in enumerate(places):
        name = f"web-{number % 50}-{number:08x}"
        pod = Pod(
            namespace=f"team-{number % 20}",
            name=name,
            uid=name,
            node=f"node-{number % 10}",
            addresses=(bytes(10) + b"\xff\xff" + bytes((10, end, third, fourth)),),
            host_address=bytes(10) + b"\xff\xff" + bytes((192, 0, 2, number % 10)),
            host_network=False,
            owner=Owner("Deployment", f"web-{number % 50}"),
            started_ms=1,
        )
        inventory.append(Change(None, pod, 2))
    return inventory


async def _once(
    directory: Path, batches: list[bytes], pods: list[Change] | None = None
) -> tuple[float, float]:
    """Rows per second of wall time and of processor time."""
    store = Store(directory, limit_bytes=_LIMIT_BYTES)
    if pods is not None:
        store.owners(pods)
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
    within = [
        many_flows(_BATCH_ROWS, seed=seed, spread=_SPREAD).SerializeToString()
        for seed in range(_BATCHES)
    ]
    plain: list[tuple[float, float]] = []
    named: list[tuple[float, float]] = []
    for _ in range(_RUNS):
        for results, data, pods in ((plain, batches, None), (named, within, _pods())):
            with tempfile.TemporaryDirectory(prefix="bench-rows-") as directory:
                results.append(asyncio.run(_once(Path(directory), data, pods)))
    figures = {}
    for what, results in (("flow_rows", plain), ("named_flow_rows", named)):
        walls, cpus = zip(*results, strict=True)
        figures[f"{what}_per_second"] = statistics.median(walls)
        figures[f"{what}_per_cpu_second"] = statistics.median(cpus)
    return figures


if __name__ == "__main__":
    for name, value in run().items():
        print(f"{name:32} {value:12,.0f}")
