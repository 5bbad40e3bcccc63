"""A collector in this process that asks the API server for names, and rows in it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.collector.conftest import Collector, running
from tests.collector.wiretap import CLOCK_OFFSET_NS, Flow, flow_batch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from nshell.collector.kube.inventory import Inventory
    from tests.collector.probe import Agent


@contextlib.asynccontextmanager
async def collecting(kubeconfig: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    """A collector that asks the API server as this file says."""
    monkeypatch.setenv("KUBECONFIG", kubeconfig)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with tempfile.TemporaryDirectory(prefix="c-") as directory:
        async with running(Path(directory), kubernetes=True) as made:
            inventory(made)
            yield made


def inventory(collector: Collector) -> Inventory:
    known = collector.capture.inventory
    assert known is not None
    return known


async def until(holds: Any, *, what: str = "") -> None:
    """Within a time that is far more than it takes."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)
    assert holds(), what


async def send(agent: Agent, *ends: tuple[str, str]) -> None:
    """Flows of this moment."""
    at = time.time_ns() - CLOCK_OFFSET_NS
    flows = [Flow(src=src, dst=dst, first_ns=at, last_ns=at + 1) for src, dst in ends]
    await agent.send(flows=flow_batch(flows))


async def names(collector: Collector, count: int) -> list[Any]:
    """Of the sources and destinations of all flows, once there are so many."""
    await collector.shell.until("SELECT count(*) FROM flow", count)
    return await collector.shell.rows(
        "SELECT SrcK8S_Name, DstK8S_Name FROM flow ORDER BY TimeFlowStartMs, rowid"
    )
