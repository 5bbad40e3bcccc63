"""What an agent costs: packets per CPU-second from ring to stream, and its memory.

A real agent process on loopback; its own program is run over one frame
(BPF_PROG_TEST_RUN on the loaded program) as fast as the ring drains, so the
kernel's share is not the agent's. The other end takes messages and forgets them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc.aio

from agent.kernel.bpf import prog_fd_by_id, run_program
from agent.proto import agentlink_pb2 as pb
from agent.proto import agentlink_pb2_grpc as rpc
from tests.classifier import frames as f

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECONDS = 4.0
BURST = 1000
FRAMES = {
    "64 B": f.udp4("10.0.0.1", "10.0.1.1", payload=bytes(22)),
    "1,500 B": f.udp4("10.0.0.1", "10.0.1.1", payload=bytes(1458)),
}


class _Sink(rpc.AgentLinkServicer):
    """Sends one state and counts what comes."""

    def __init__(self) -> None:
        self.packets = 0
        self.stats = pb.Stats()
        self.acknowledged = asyncio.Event()

    async def Connect(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[pb.FromAgent], context: Any
    ) -> None:
        state = pb.DesiredState(generation=1, flows=False, packets=True)
        await context.write(pb.ToAgent(state=state))
        async for message in request_iterator:
            self.packets += message.packets.count
            if message.HasField("stats"):
                self.stats = message.stats
            if message.HasField("ack"):
                self.acknowledged.set()


def run() -> dict[str, float]:
    """Packets per CPU-second and resident MB."""
    return asyncio.run(_run())


async def _run() -> dict[str, float]:
    sink = _Sink()
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        target = f"unix:{folder}/s"
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 << 20)])
        rpc.add_AgentLinkServicer_to_server(sink, server)
        server.add_insecure_port(target)
        await server.start()
        words = ["--connect", target, "--interface", "lo", "--lease", "5"]
        agent = await asyncio.create_subprocess_exec(sys.executable, "-m", "agent.main", *words)
        try:
            await asyncio.wait_for(sink.acknowledged.wait(), 20)
            await asyncio.sleep(2)
            results["agent RSS idle, MB"] = _rss(agent.pid)
            program = _program_of(agent.pid)
            for name, frame in FRAMES.items():
                rate = await _measure(sink, agent.pid, program, frame)
                results[f"agent packets/CPU-s, {name}"] = rate
            results["agent RSS under load, MB"] = _peak(agent.pid)
            os.close(program)
        finally:
            with contextlib.suppress(ProcessLookupError):
                agent.terminate()
            await agent.wait()
            await server.stop(None)
    return results


async def _measure(sink: _Sink, pid: int, program: int, frame: bytes) -> float:
    loop = asyncio.get_running_loop()
    packets, cpu, end = sink.packets, _cpu_seconds(pid), loop.time() + SECONDS
    while loop.time() < end:
        await asyncio.to_thread(run_program, program, frame, repeat=BURST)
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.5)
    return (sink.packets - packets) / (_cpu_seconds(pid) - cpu)


def _program_of(pid: int) -> int:
    """Descriptor of the ingress program that this process holds."""
    for link in Path(f"/proc/{pid}/fdinfo").iterdir():
        text = link.read_text()
        if "prog_id:" in text and "prog_type:\t3" in text:
            number = int(text.split("prog_id:")[1].split()[0])
            listed = subprocess.run(
                ["bpftool", "-j", "prog", "show", "id", str(number)],
                capture_output=True, check=True,
            )  # fmt: skip
            if json.loads(listed.stdout)["name"] == "nobs_eth_in":
                return prog_fd_by_id(number)
    raise RuntimeError("the agent holds no program")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status(pid: int, name: str) -> float:
    line = next(
        x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith(name)
    )
    return int(line.split()[1]) / 1024


def _rss(pid: int) -> float:
    return _status(pid, "VmRSS:")


def _peak(pid: int) -> float:
    return _status(pid, "VmHWM:")


if __name__ == "__main__":
    for what, value in run().items():
        print(f"{what:40} {value:12,.0f}")
