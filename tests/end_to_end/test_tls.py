"""A real agent and a real collector with a network between them, and mutual TLS on it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from nshell.cluster.certificates import Authority
from tests import network

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.network import Pair

pytestmark = pytest.mark.kernel

PORT = 7700
_ASK = """
import asyncio, pathlib, sys
from nshell.shell.client import Client
async def main():
    client = Client()
    await client.connect(sys.argv[1], tls=pathlib.Path(sys.argv[2]))
    while not any(agent.connected for agent in (await client.status()).agents):
        await asyncio.sleep(0.1)
    print("connected", flush=True)
    sys.stdin.readline()
    for _ in range(50):
        answer = await client.query("SELECT Node, sum(Packets) FROM flow WHERE Proto = 1")
        rows = [row async for chunk in answer.chunks for row in chunk]
        if rows[0][1] and rows[0][1] >= 6:
            break
        await asyncio.sleep(0.2)
    print(*rows[0], flush=True)
    await client.stop()
    await client.close()
asyncio.run(main())
"""


def start_collector(pair: Pair, directory: Path, issuer: Authority) -> str:
    """In the peer, on its address; where it listens."""
    target = f"{pair.peer4}:{PORT}"
    issuer.collector(pair.peer4).write(directory / "collector")
    pair.peer.start(
        sys.executable, "-m", "nshell.collector.main", "--listen", target, "--tls",
        str(directory / "collector"), "--directory", str(directory / "data"),
    )  # fmt: skip
    network.until(lambda: f":{PORT} " in pair.peer.run("ss", "-Hltn"))
    return target


def agent(target: str, tls: Path, *options: str) -> Sequence[str]:
    return (sys.executable, "-m", "agent.main", "--connect", target, "--tls", str(tls),
            "--node", "over-there", *options)  # fmt: skip


def test_a_capture_across_a_network(pair: Pair, tmp_path: Path) -> None:
    issuer = Authority()
    target = start_collector(pair, tmp_path, issuer)
    issuer.agents().write(tmp_path / "agent")
    issuer.shells().write(tmp_path / "shell")
    captured = network.Tcpdump(
        pair.peer, "eth0", str(tmp_path / "wire.pcap"), "tcp", "port", str(PORT)
    )
    running = pair.ours.start(*agent(target, tmp_path / "agent"), stderr=subprocess.PIPE)
    shell = pair.peer.start_python(
        _ASK, target, tmp_path / "shell", stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    pair.ours.run("ping", "-q", "-c", "3", "-i", "0.2", pair.peer4)
    out, err = shell.communicate(b"\n", timeout=30)
    assert out.split() == [b"over-there", b"6"], err
    assert running.wait(20) == 0
    assert running.stderr is not None
    assert running.stderr.read() == b"netobserv-agent: ended: a shell asked for it\n"
    captured.stop()
    wire = (tmp_path / "wire.pcap").read_bytes()
    assert len(wire) > 5000
    assert b"over-there" not in wire
    assert b"AgentLink" not in wire


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Status and the only line that it wrote."""
    _, err = process.communicate(timeout=60)
    lines = err.decode().splitlines()
    assert len(lines) == 1, err.decode()
    (line,) = lines
    return process.returncode, line


def test_an_agent_that_may_not_in_says_why(pair: Pair, tmp_path: Path) -> None:
    issuer = Authority()
    target = start_collector(pair, tmp_path, issuer)
    issuer.shells().write(tmp_path / "shell")
    Authority().agents().write(tmp_path / "stranger")
    Authority().agents().write(tmp_path / "trusting")
    (tmp_path / "trusting" / "ca.crt").write_bytes(issuer.ca)
    as_shell, stranger, trusting, nobody = (
        pair.ours.start(*agent(target, tmp_path / name, "--lease", "3"), stderr=subprocess.PIPE)
        for name in ("shell", "stranger", "trusting", "nobody")
    )
    assert ended(as_shell) == (
        0,
        "netobserv-agent: ended: refused by the collector: "
        "AgentLink takes an agent's certificate, and this is a shell's",
    )
    status, line = ended(stranger)
    assert (status, line.split(": ")[:3]) == (
        0, ["netobserv-agent", "ended", "no collector for 3 s"]
    )  # fmt: skip
    assert "CERTIFICATE_VERIFY_FAILED" in line
    _, line = ended(trusting)
    assert line.endswith("Socket closed, as by a collector that refuses the certificate")
    assert ended(nobody) == (
        3, f"netobserv-agent: --tls: {tmp_path}/nobody/ca.crt: No such file or directory"
    )  # fmt: skip
