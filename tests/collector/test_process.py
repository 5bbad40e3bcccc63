"""The collector as a process of its own: options, lease, signals, and what it leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from agent.proto import agentlink_pb2 as agent_pb
from nshell.proto import session_pb2 as pb
from tests.collector import oracle
from tests.collector.probe import PATIENCE, connected_agent, connected_shell
from tests.collector.wiretap import Flow, Packet, flow_batch, many_packets, packet_batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WATCHER = """
import asyncio, sys, grpc.aio
from nshell.proto import session_pb2 as pb
from nshell.proto.session_pb2_grpc import SessionStub
async def main():
    async with grpc.aio.insecure_channel(sys.argv[1]) as channel:
        await channel.channel_ready()
        async for status in SessionStub(channel).Watch(pb.WatchRequest(interval_ms=50)):
            print(status.generation, flush=True)
asyncio.run(main())
"""


@contextmanager
def collector_process(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A collector on directory/s with its files in directory/data; killed at the end."""
    command = [sys.executable, "-m", "nshell.collector.main", "--listen", f"unix:{directory}/s"]
    command += ["--directory", str(directory / "data"), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def ended(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    """Status and what it wrote, once it has ended."""
    out, err = await asyncio.to_thread(process.communicate, None, PATIENCE)
    return process.returncode, out.decode(), err.decode()


def run_refused(directory: Path, *arguments: str) -> str:
    """The line on stderr of a collector that does not start."""
    with collector_process(directory, *arguments) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, b"")
    (line,) = err.decode().splitlines()
    return line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--filter", "prot tcp"],
            "netobserv-collector: unknown predicate 'prot': did you mean 'port' or 'protocol'?",
        ),
        (
            ["--snaplen", "5"],
            "netobserv-collector: snaplen 5 is out of range: 14 to 262144, or 0 for all",
        ),
        (
            ["--filter", "port 80"] * 65,
            "netobserv-collector: 64 filters are the limit: delete one first, see `filter list`",
        ),
        (
            ["--filter", "pod shop/web"],
            "netobserv-collector: pod needs a cluster session: here a filter takes addresses, "
            "such as `peer_ip`",
        ),
    ],
)
def test_a_wrong_option_is_one_line_and_makes_nothing(
    short_path: Path, arguments: list[str], line: str
) -> None:
    assert run_refused(short_path, *arguments) == line
    assert list(short_path.iterdir()) == []


def test_an_unknown_option_names_the_nearest(short_path: Path) -> None:
    line = run_refused(short_path, "--lesae", "5")
    assert line.startswith("netobserv-collector: No such option")
    assert "--lesae" in line
    assert "--lease" in line


def test_a_directory_that_holds_a_session_is_left_alone(short_path: Path) -> None:
    taken = short_path / "data"
    taken.mkdir()
    (taken / "session.db").write_text("theirs")
    assert run_refused(short_path) == (
        f"netobserv-collector: {taken} already holds a session: choose another"
    )
    assert [(path.name, path.read_text()) for path in taken.iterdir()] == [("session.db", "theirs")]


def test_an_address_that_cannot_be_bound_is_one_line_and_leaves_nothing(
    short_path: Path,
) -> None:
    listen = f"unix:{short_path}/missing/s"
    line = run_refused(short_path, "--listen", listen)
    assert line == f"netobserv-collector: cannot listen on {listen}"
    assert list(short_path.iterdir()) == []


async def test_without_a_shell_the_lease_ends_everything(short_path: Path) -> None:
    with collector_process(short_path, "--lease", "2") as process:
        async with connected_agent(f"unix:{short_path}/s") as agent:
            await agent.send(packets=packet_batch([Packet()]))
            status = await ended(process)
    assert status == (0, "", "")
    assert agent.stopped == "no shell for the lease"
    assert list(short_path.iterdir()) == []


async def test_a_shell_that_is_killed_starts_the_lease(short_path: Path) -> None:
    target = f"unix:{short_path}/s"
    with collector_process(short_path, "--lease", "2") as process:
        shell = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WATCHER, target, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert shell.stdout is not None
            # Longer than the lease: it is the shell that keeps the collector.
            for _ in range(60):
                assert await asyncio.wait_for(shell.stdout.readline(), PATIENCE) == b"1\n"
            assert process.poll() is None
        finally:
            shell.kill()
            await shell.wait()
        assert await ended(process) == (0, "", "")
    assert list(short_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order(short_path: Path, number: signal.Signals) -> None:
    with collector_process(short_path, "--keep") as process:
        async with connected_agent(f"unix:{short_path}/s") as agent:
            agent.drains = [agent_pb.FromAgent(flows=flow_batch([Flow()] * 3))]
            await agent.state(lambda state: state.generation == 1)
            process.send_signal(number)
            assert await ended(process) == (0, "", "")
    assert agent.stopped == "a signal"
    data = short_path / "data"
    # The log has gone into the database, which is one file now.
    assert sorted(path.name for path in data.iterdir()) == ["collector.log", "session.db"]
    database = sqlite3.connect(data / "session.db")
    try:
        assert database.execute("SELECT count(*) FROM flow").fetchall() == [(3,)]
    finally:
        database.close()


async def test_stop_answers_when_what_the_agents_drained_is_committed(short_path: Path) -> None:
    target = f"unix:{short_path}/s"
    with collector_process(short_path, "--lease", "30", "--packets") as process:
        async with connected_shell(target) as shell, connected_agent(target) as agent:
            await agent.send(flows=flow_batch([Flow()] * 2))
            agent.drains = [
                agent_pb.FromAgent(flows=flow_batch([Flow()] * 3)),
                agent_pb.FromAgent(packets=packet_batch([Packet()] * 4)),
                agent_pb.FromAgent(
                    stats=agent_pb.Stats(time_ns=1, counters={"packet_lost_ring": 9})
                ),
            ]
            totals = await shell.stub.Stop(pb.StopRequest())  # type: ignore[misc]
            assert (totals.flow_rows, totals.packet_rows, totals.lost) == (5, 4, 9)
        assert await ended(process) == (0, "", "")
    assert list(short_path.iterdir()) == []


async def test_an_agent_that_never_says_goodbye_does_not_keep_it(short_path: Path) -> None:
    target = f"unix:{short_path}/s"
    with collector_process(short_path, "--lease", "30") as process:
        async with connected_shell(target) as shell, connected_agent(target) as agent:
            await agent.state(lambda state: state.generation == 1)
            agent.call.write = _never  # type: ignore[assignment]
            await shell.stub.Stop(pb.StopRequest())  # type: ignore[misc]
        assert (await ended(process))[0] == 0


async def _never(_: object) -> None:
    await asyncio.Event().wait()


async def test_files_of_others_in_the_directory_are_kept(short_path: Path) -> None:
    data = short_path / "data"
    data.mkdir()
    (data / "notes").write_text("mine")
    with collector_process(short_path, "--lease", "0.3") as process:
        assert (await ended(process))[0] == 0
    assert [path.name for path in data.iterdir()] == ["notes"]


async def test_its_files_and_its_socket_are_for_the_owner_alone(short_path: Path) -> None:
    target = f"unix:{short_path}/s"
    with collector_process(short_path):
        async with connected_shell(target) as shell, connected_agent(target) as agent:
            await agent.send(packets=packet_batch([Packet()]))
            await shell.until("SELECT count(*) FROM packet", 1)
        data = short_path / "data"
        paths = [short_path / "s", data, *data.iterdir()]
        assert len(paths) > 4
        assert [oct(path.stat().st_mode & 0o077) for path in paths] == ["0o0"] * len(paths)


async def test_it_serves_on_an_address_of_the_network_too(short_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        target = f"127.0.0.1:{free.getsockname()[1]}"
    with collector_process(short_path, "--listen", target, "--lease", "30") as process:
        async with connected_shell(target) as shell:
            assert (await shell.status()).session == "capture"
            await shell.stub.Stop(pb.StopRequest())  # type: ignore[misc]
        assert (await ended(process))[0] == 0


async def test_after_a_kill_the_packet_file_can_be_read(short_path: Path) -> None:
    target = f"unix:{short_path}/s"
    with collector_process(short_path, "--lease", "30") as process:
        async with connected_shell(target) as shell, connected_agent(target) as agent:
            for number in range(20):
                await agent.send(packets=many_packets(300, size=500, start_ns=number * 10**6))
            await shell.until("SELECT count(*) > 0 FROM packet", 1)
            os.kill(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.wait, PATIENCE)
    path = short_path / "data" / "packets-000001.pcapng"
    assert int(oracle.info(path)["Number of packets"]) > 0
