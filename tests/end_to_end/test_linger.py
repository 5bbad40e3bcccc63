"""An agent that would be started again by others: told to stop, it waits to be ended."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from nshell.proto import session_pb2 as pb
from tests.collector.conftest import running, short_path  # noqa: F401 - a fixture
from tests.collector.probe import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.conftest import Collector

pytestmark = pytest.mark.kernel


async def stopped_agent(collector: Collector, *options: str) -> subprocess.Popen[str]:
    """A real one that has said goodbye."""
    words = [sys.executable, "-m", "agent.main", f"--connect={collector.target}", "--node=here"]
    process = subprocess.Popen(
        [*words, "--interface=lo", *options], stderr=subprocess.PIPE, text=True
    )
    await collector.shell.status(lambda s: any(a.connected and a.generation for a in s.agents))
    await collector.shell.stub.Stop(pb.StopRequest())  # type: ignore[misc]
    return process


async def test_it_waits_for_a_signal_without_capturing_and_only_where_asked(
    short_path: Path,  # noqa: F811
) -> None:
    async with running(short_path) as collector:
        process = await stopped_agent(collector, "--linger=60")
        try:
            node = collector.capture.fleet.nodes["here"]
            assert (node.connected, node.error) == (False, "a shell asked for it")
            await asyncio.sleep(0.5)
            assert process.poll() is None
            process.terminate()
            _, said = await asyncio.to_thread(process.communicate, None, PATIENCE)
            assert (process.returncode, said) == (
                0,
                "netobserv-agent: ended: a shell asked for it\n",
            )
        finally:
            process.kill()
            process.communicate()


async def test_without_it_ends_at_once(short_path: Path) -> None:  # noqa: F811
    async with running(short_path) as collector:
        process = await stopped_agent(collector)
        try:
            await asyncio.to_thread(process.wait, PATIENCE)
            assert process.returncode == 0
        finally:
            process.kill()
            process.communicate()
