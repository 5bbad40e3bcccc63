"""A collector that is killed and started again on the same files."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc.aio

from agent.proto import agentlink_pb2 as agent_pb
from nshell.proto import session_pb2 as pb
from nshell.tasks import Tasks
from tests.collector import oracle
from tests.collector.probe import (
    PATIENCE,
    Agent,
    Shell,
    connected_agent,
    connected_shell,
    interface,
    interfaces,
)
from tests.collector.test_process import collector_process, ended
from tests.collector.wiretap import many_flows, many_packets

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import pytest

STORE = str(256 << 20)
"""More than is ever sent here; packet files are an eighth of it, so there are several."""


@dataclass(slots=True)
class Sender:
    """One run of an agent over several collectors: what it has sent, and its next number."""

    node: str
    run: str = "run-1"
    seq: int = 0
    flows: int = 0
    packets: int = 0
    memo: bytes = b""

    @asynccontextmanager
    async def connected(self, target: str) -> AsyncIterator[Agent]:
        listed = interfaces(interface(2, "eth0"), interface(3, "eth1"))
        async with connected_agent(
            target,
            node=self.node,
            run_id=self.run,
            first_seq=self.seq + 1,
            listed=listed,
            memo=self.memo,
        ) as agent:
            try:
                yield agent
            finally:
                self.seq = agent.seq

    async def send(self, agent: Agent, *, flows: int = 0, packets: int = 0, seed: int = 0) -> None:
        if flows:
            self.flows += flows
            await agent.send(flows=many_flows(flows, seed=seed))
        if packets:
            self.packets += packets
            await agent.send(packets=many_packets(packets, size=300, start_ns=seed * 10**7))

    async def report(self, agent: Agent, **counters: int) -> None:
        for _ in range(3):
            await agent.send(
                stats=agent_pb.Stats(
                    time_ns=10**18,
                    counters=counters,
                    flows_sent=self.flows,
                    packets_sent=self.packets,
                    hits=[
                        agent_pb.RuleHits(
                            generation=1, index=0, kind=agent_pb.FLOWS, packets=50, bytes=500
                        )
                    ],
                )
            )


@asynccontextmanager
async def collector(
    directory: Path, *arguments: str
) -> AsyncIterator[tuple[subprocess.Popen[bytes], Shell]]:
    """One that resumes, with a shell that comes without the lease's knowledge."""
    arguments = ("--resume", "--packets", "--lease", "60", "--store-limit", STORE, *arguments)
    with collector_process(directory, *arguments) as process:
        async with connected_shell(f"unix:{directory}/s") as shell:
            yield process, shell


async def killed(process: subprocess.Popen[bytes], directory: Path) -> None:
    await killed_without_socket(process)
    # The next one binds it anew.
    (directory / "s").unlink()


def check_files(data: Path, packets: int) -> None:
    """Rows and files agree, and whoever reads them finds nothing wrong."""
    database = sqlite3.connect(data / "session.db")
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        database.close()
    files = sorted(data.glob("packets-*.pcapng"))
    assert sum(int(oracle.info(path)["Number of packets"]) for path in files) == packets


async def test_nothing_committed_is_lost_when_it_is_killed_under_load(short_path: Path) -> None:
    target, data = f"unix:{short_path}/s", short_path / "data"
    senders = [Sender("node-a"), Sender("node-b", run="run-b")]
    seen = {"flow": 0, "packet": 0}

    async def flood(sender: Sender) -> None:
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            async with sender.connected(target) as agent:
                for seed in range(10_000):
                    await sender.send(agent, flows=2000, packets=1500, seed=seed)
                    # So that the disk budget has nothing to remove before the kill.
                    await asyncio.sleep(0.01)

    async with collector(short_path, "--filter", "protocol tcp") as (process, shell):
        await shell.add_filter("port", "80", timeout_ms=1)
        async with Tasks("senders", on_error=_fail) as tasks:
            floods = [tasks.start(flood(each), name=each.node) for each in senders]
            await shell.until("SELECT count(*) >= 40000 FROM packet", 1)
            for table in seen:
                seen[table] = int(str((await shell.row(f"SELECT count(*) FROM {table}"))[0]))
            await killed(process, short_path)
            await asyncio.wait(floods)
    assert seen["packet"] >= 40_000
    async with collector(short_path) as (process, shell):
        status = await shell.status()
        assert [(rule.id, rule.text) for rule in status.rules] == [
            (1, "protocol tcp"),
            (2, "port 80"),
        ]
        assert (status.generation, status.packets, status.notices[:]) == (3, True, [])
        assert [agent.connected for agent in status.agents] == [False, False]
        for table, before in seen.items():
            ((count, first, last),) = await shell.rows(
                f"SELECT count(*), min(rowid), max(rowid) FROM {table}"
            )
            assert isinstance(count, int)
            assert count >= before
            assert (first, last) == (1, count)
            seen[table] = count
        assert (status.flow_rows, status.packet_rows) == (seen["flow"], seen["packet"])
        check_files(data, seen["packet"])
        # All goes on: numbers of rows, files, filters and generations.
        lost = sum(each.flows + each.packets for each in senders) - sum(seen.values())
        assert lost > 0
        for sender in senders:
            async with sender.connected(target) as agent:
                state = await agent.state(lambda state: state.generation == 3)
                assert [rule.id for rule in state.rules] == [1, 2]
                await sender.send(agent, flows=10, packets=20)
                await sender.report(agent, ring_lost_full=3)
                await shell.until(f"SELECT count(*) FROM counter WHERE Node = '{sender.node}'", 1)
        await shell.until("SELECT sum(Count) FROM loss WHERE Stage = 'collector'", lost)
        await shell.until("SELECT count(*) FROM flow", seen["flow"] + 20)
        await shell.until("SELECT max(rowid) FROM packet", seen["packet"] + 40)
        data_, summary = await shell.export("pcapng")
        assert summary.packets == seen["packet"] + 40
        path = short_path / "export.pcapng"
        path.write_bytes(data_)
        names = {frame.interface for frame in oracle.frames(path)}
        assert names == {"node-a:eth0", "node-b:eth0"}
        check_files(data, summary.packets)
        assert (await shell.add_filter("port", "443")).filter_ids == [3]
        await shell.stub.Stop(pb.StopRequest())  # type: ignore[misc]
        assert await ended(process) == (0, "", "")


async def test_what_is_counted_goes_on_and_nothing_twice(short_path: Path) -> None:
    target, sender = f"unix:{short_path}/s", Sender("node-a")
    filters = ("--filter", "port 80")
    async with (
        collector(short_path, *filters) as (process, shell),
        sender.connected(target) as agent,
    ):
        await agent.state(lambda state: state.generation == 1)
        await sender.send(agent, flows=10)
        await sender.report(agent, packet_lost_ring=5, seen=100)
        await shell.until("SELECT sum(FlowHits) FROM filter_log", 50)
        await shell.until("SELECT Value FROM counter WHERE Name = 'seen'", 100)
        await shell.change(packets=False)
        await killed(process, short_path)
    tables = ("agent", "interface", "counter", "loss", "filter_log")
    async with collector(short_path) as (process, shell):
        rows = {name: await shell.rows(f"SELECT rowid, * FROM {name}") for name in tables}
        assert [row[0] for row in rows["loss"]] == [1]
        async with sender.connected(target) as agent:
            state = await agent.state(lambda state: state.generation == 3)
            assert (state.flows, state.packets) == (True, False)
            await sender.send(agent, flows=1)
            await sender.report(agent, packet_lost_ring=7, seen=130)
            await shell.until("SELECT Value FROM counter WHERE Name = 'seen'", 130)
            await shell.until("SELECT sum(Count) FROM loss", 7)
            # Of the first generation, which no agent is told of any more.
            assert await shell.row("SELECT sum(FlowHits) FROM filter_log") == [50]
            status = await shell.status()
            assert (status.rules[0].flow_hits, status.lost, status.flow_rows) == (50, 7, 11)
            for name in ("agent", "interface", "counter"):
                after = await shell.rows(f"SELECT rowid, * FROM {name}")
                assert [row[:2] for row in after] == [row[:2] for row in rows[name]]
            assert [row[0] for row in await shell.rows("SELECT rowid FROM loss")] == [1, 2]
            await killed(process, short_path)
    # And once more; meanwhile the agent was started anew.
    again = Sender("node-a", run="run-2")
    async with collector(short_path) as (process, shell), again.connected(target) as agent:
        await again.report(agent, packet_lost_ring=1, seen=10)
        await shell.until("SELECT Value FROM counter WHERE Name = 'seen'", 140)
        await shell.until("SELECT sum(Count) FROM loss", 8)
        assert await shell.rows("SELECT * FROM loss WHERE Stage = 'collector'") == []


async def test_packets_that_no_committed_row_has_are_cut_off_the_file(short_path: Path) -> None:
    target, data = f"unix:{short_path}/s", short_path / "data"
    sender = Sender("node-a")
    async with collector(short_path) as (process, shell), sender.connected(target) as agent:
        await sender.send(agent, packets=50)
        await shell.until("SELECT count(*) FROM packet", 50)
        await killed(process, short_path)
    (segment,) = data.glob("packets-*.pcapng")
    whole = segment.stat().st_size
    with segment.open("ab") as file:
        # A whole block, and half of another one.
        file.write(segment.read_bytes()[-144:] + b"\x06\0\0\0\x90\0\0\0half")
    (data / "packets-000002.pcapng").write_bytes(segment.read_bytes()[:200])
    async with collector(short_path) as (process, shell), sender.connected(target) as agent:
        assert (await shell.status()).packet_rows == 50
        assert segment.stat().st_size == whole
        await sender.send(agent, packets=5)
        await shell.until("SELECT count(*) FROM packet", 55)
        assert await shell.rows("SELECT DISTINCT Segment FROM packet") == [[1], [3]]
        assert await shell.rows("SELECT * FROM loss") == []
    check_files(data, 55)


async def test_rows_whose_packets_did_not_reach_the_disk_are_counted_as_lost(
    short_path: Path,
) -> None:
    target, data = f"unix:{short_path}/s", short_path / "data"
    sender = Sender("node-a")
    async with collector(short_path) as (process, shell), sender.connected(target) as agent:
        await sender.send(agent, packets=50)
        await shell.until("SELECT count(*) FROM packet", 50)
        await killed(process, short_path)
    (segment,) = data.glob("packets-*.pcapng")
    os.truncate(segment, segment.stat().st_size - 1000)
    async with collector(short_path) as (process, shell):
        ((count,),) = await shell.rows("SELECT count(*) FROM packet")
        assert isinstance(count, int)
        assert 40 < count < 50
        await shell.until("SELECT sum(Count) FROM loss WHERE Stage = 'store'", 50 - count)
        assert (await shell.export("pcapng"))[1].packets == count
    check_files(data, count)


async def test_a_signal_leaves_all_to_the_next_and_the_agents_go_on(short_path: Path) -> None:
    target, sender = f"unix:{short_path}/s", Sender("node-a")
    async with (
        collector(short_path, "--max-time", "60", "--detached") as (process, shell),
        sender.connected(target) as agent,
    ):
        await sender.send(agent, flows=7)
        await shell.until("SELECT count(*) FROM flow", 7)
        await shell.add_filter("port", "80", "as", "web")
        process.terminate()
        assert await ended(process) == (0, "", "")
        assert agent.stopped == ""
    async with collector(short_path, "--max-time", "60") as (process, shell):
        async with sender.connected(target) as agent:
            assert (await shell.row("SELECT count(*) FROM flow")) == [7]
            watch = shell.stub.Watch(pb.WatchRequest(observe=True))
            status = await anext(aiter(watch))  # type: ignore[arg-type]
            assert (status.detached, status.ends_ns - status.started_ns) == (True, 60 * 10**9)
            assert [(each.id, each.name) for each in status.rules] == [(1, "web")]
            assert await shell.row("SELECT filter_name(1), filter_name(2)") == ["web", None]
            await shell.stub.Stop(pb.StopRequest())  # type: ignore[misc]
            assert agent.stopped == "a shell asked for it"
        assert await ended(process) == (0, "", "")
    assert list(short_path.iterdir()) == []


async def test_an_end_that_was_reached_is_not_undone_by_a_crash(short_path: Path) -> None:
    target, sender = f"unix:{short_path}/s", Sender("node-a")
    async with collector(short_path, "--max-time", "1") as (process, shell):
        await shell.status(lambda status: bool(status.ended))
        await killed(process, short_path)
    async with collector(short_path, "--max-time", "1") as (process, shell):
        status = await shell.status()
        assert status.ended == "max-time of 1s reached"
        async with sender.connected(target) as agent:
            state = await agent.state(lambda state: state.generation == status.generation)
            assert (state.flows, state.packets) == (False, False)


async def test_a_session_that_is_over_is_not_begun_again_by_whoever_starts_next(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody deletes its ClusterRole, for there is no way to the API server.
    monkeypatch.setenv("KUBECONFIG", str(short_path / "missing"))
    options, log = ("--resume", "--owner", "netobserv.a.b"), short_path / "data" / "collector.log"
    with collector_process(short_path, *options, "--lease", "0.2") as process:
        await wait_for(lambda: log.exists() and log.read_text().count("cannot delete") > 0)
        await killed_without_socket(process)
    with collector_process(short_path, *options, "--lease", "60") as process:
        await wait_for(lambda: log.read_text().count("cannot delete") > 1)
        assert "the session is over: no shell for the lease" in log.read_text()
        assert not (short_path / "s").exists()
        await killed_without_socket(process)
    left = sorted(path.name for path in (short_path / "data").iterdir())
    assert "session_state" in left


async def killed_without_socket(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    await asyncio.to_thread(process.wait, PATIENCE)


async def test_what_the_store_has_grown_by_counts_on_after_a_crash(short_path: Path) -> None:
    target, sender = f"unix:{short_path}/s", Sender("node-a")
    limit, state = ("--max-bytes", str(3 << 20)), short_path / "data" / "session_state"
    for part in range(2):
        async with collector(short_path, *limit) as (process, shell):
            assert not (await shell.status()).ended
            async with sender.connected(target) as agent:
                # Somewhat more than half of it.
                await sender.send(agent, packets=5000, seed=part)
                await shell.until("SELECT count(*) FROM packet", 5000 * (part + 1))
                if part:
                    status = await shell.status(lambda status: bool(status.ended))
                    assert status.ended == "max-bytes of 3Mi reached"
                else:
                    await wait_for(lambda: '"grown_bytes": 0' not in state.read_text())
                    await killed(process, short_path)


async def test_a_fresh_collector_says_what_an_earlier_one_took_along(short_path: Path) -> None:
    sender = Sender("node-a", seq=40, flows=500, packets=100)
    target = f"unix:{short_path}/s"
    async with collector(short_path) as (_, shell), sender.connected(target) as agent:
        await sender.send(agent, flows=10)
        await sender.report(agent)
        await shell.until("SELECT Count FROM loss WHERE Stage = 'collector'", 600)
        status = await shell.status()
        assert status.notices[:] == [
            "an earlier collector was lost with its rows: node-a had sent some to it, see `losses`"
        ]


async def test_a_collector_on_another_node_goes_on_with_filters_limits_and_detachment(
    short_path: Path,
) -> None:
    first, second = short_path / "1", short_path / "2"
    first.mkdir()
    second.mkdir()
    sender, limit = Sender("node-a"), ("--max-time", "100")
    async with collector(first, *limit) as (process, shell):
        async with sender.connected(f"unix:{first}/s") as agent:
            await shell.add_filter("port", "80")
            await shell.add_filter("port", "443")
            await shell.change(delete_filters=pb.FilterIds(ids=[1]))
            await shell.stub.Detach(pb.DetachRequest())  # type: ignore[misc]
            status = await looked(shell, lambda status: status.detached)
            await sender.report(agent)
            await wait_for(lambda: b'"detached": true' in agent.memo)
            await killed(process, first)
        sender.memo = agent.memo
    # Its files are on a node that is gone.
    target = f"unix:{second}/s"
    async with collector(second, *limit) as (_, shell), sender.connected(target) as agent:
        state = await agent.state(lambda state: state.generation > status.generation)
        assert [rule.id for rule in state.rules] == [2]
        after = await looked(shell, lambda status: status.detached)
        assert (after.started_ns, after.ends_ns) == (status.started_ns, status.ends_ns)
        assert [(rule.id, rule.text) for rule in after.rules] == [(2, "port 443")]
        assert (await shell.add_filter("port", "22")).filter_ids == [3]
        # What another agent kept is older by now.
        late = Sender("node-b", run="run-b", seq=5, memo=sender.memo)
        async with late.connected(target) as other:
            state = await other.state(lambda state: bool(state.rules))
            assert [rule.id for rule in state.rules] == [2, 3]


async def looked(shell: Shell, ready: Callable[[pb.Status], bool]) -> pb.Status:
    """The first status that is as wanted, seen by one who is no shell."""
    async with asyncio.timeout(PATIENCE):
        call = shell.stub.Watch(pb.WatchRequest(interval_ms=20, observe=True))
        async for status in call:  # type: ignore[attr-defined]
            if ready(status):
                call.cancel()
                found: pb.Status = status
                return found
    raise AssertionError("the session ended")


async def wait_for(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not ready():
            await asyncio.sleep(0.02)


async def test_a_database_that_cannot_be_read_keeps_no_collector_from_starting(
    short_path: Path,
) -> None:
    data = short_path / "data"
    data.mkdir()
    (data / "session.db").write_text("not a database at all, and more than a header long" * 9)
    async with collector(short_path) as (_, shell):
        (notice,) = (await shell.status()).notices
        assert notice.startswith("the rows of the collector before this one are lost: ")
        assert await shell.row("SELECT count(*) FROM flow") == [0]


async def test_a_database_that_was_not_made_to_its_end_is_made_anew(short_path: Path) -> None:
    data = short_path / "data"
    data.mkdir()
    with sqlite3.connect(data / "session.db") as half:
        half.execute("CREATE TABLE flow (a)")
    half.close()
    async with collector(short_path) as (_, shell):
        assert (await shell.status()).notices[:] == []
        assert await shell.row("SELECT count(*) FROM flow") == [0]


async def test_two_collectors_never_work_in_one_directory(short_path: Path) -> None:
    async with collector(short_path) as (_, shell):
        await shell.status()
        with collector_process(short_path, "--resume", "--listen", "127.0.0.1:1") as second:
            status, _, line = await ended(second)
        assert (status, line) == (
            2,
            f"netobserv-collector: another collector works in {short_path}/data\n",
        )
        assert (await shell.status()).session == "capture"


def _fail(error: BaseException) -> None:
    raise error
