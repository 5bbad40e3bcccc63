"""Limits of a session: when capturing stops, what is then still there, and until when."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import grpc
import pytest

from nshell.cluster.certificates import Authority
from nshell.collector.lease import Lease
from nshell.collector.lifetime import NS, Lifetime, Limits
from nshell.lifetime import duration_text, size_text
from nshell.proto import session_pb2 as pb
from nshell.tasks import Tasks
from nshell.tls import expires_at
from tests.collector.probe import PATIENCE, Agent, Shell, connected_agent, connected_shell
from tests.collector.test_process import collector_process, ended
from tests.collector.wiretap import Flow, Packet, flow_batch, many_flows, packet_batch

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator
    from pathlib import Path

HOUR = 3600 * NS


def lifetime(*, started_ns: int = 0, lease: Lease | None = None, **limits: float) -> Lifetime:
    """Of a session that began now unless told otherwise."""
    return Lifetime(
        Limits(**limits),  # type: ignore[arg-type]
        lease or Lease(60),
        grown=lambda: 0,
        started_ns=started_ns or time.time_ns(),
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(600, "10m"), (5400, "1h30m"), (90, "1m30s"), (0.5, "0.5s"), (0, "0s"), (86400, "24h")],
)
def test_durations_are_told_as_they_are_typed(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(64 << 20, "64Mi"), (10**9, "1G"), (3 << 30, "3Gi"), (1234, "1,234 bytes")],
)
def test_sizes_are_told_as_they_are_typed(count: int, text: str) -> None:
    assert size_text(count) == text


def test_a_session_with_a_shell_ends_at_its_own_limit_alone() -> None:
    assert lifetime(started_ns=5).ends_ns == 0
    limited = lifetime(started_ns=5 * NS, max_seconds=10)
    assert (limited.ends_ns, limited.kept_until_ns) == (15 * NS, 0)


def test_a_detached_session_leaves_time_to_fetch_it_before_its_certificates_end() -> None:
    start = 100 * HOUR
    alone = lifetime(started_ns=start, lease=Lease(60, detached=True), keep_seconds=3600)
    assert (alone.ends_ns, alone.kept_until_ns) == (start + 23 * HOUR, start + 24 * HOUR)
    limited = lifetime(started_ns=start, lease=Lease(60, detached=True), max_seconds=60)
    assert (limited.ends_ns, limited.kept_until_ns) == (start + 60 * NS, start + 60 * NS + HOUR)
    moved = Lifetime(
        Limits(keep_seconds=60),
        Lease(60, detached=True),
        grown=lambda: 0,
        started_ns=start,
        certificate_ends_ns=start + HOUR,
    )
    assert (moved.ends_ns, moved.kept_until_ns) == (start + HOUR - 60 * NS, start + HOUR)


def test_what_a_detached_session_captured_waits_from_the_last_shell_on() -> None:
    made = lifetime(started_ns=time.time_ns() - 2 * HOUR, max_seconds=1, keep_seconds=600)
    made.end("max-time of 1s reached")
    with made.lease.held():
        assert made.kept_until_ns == 0
        made.detach()
    left = (made.kept_until_ns - time.time_ns()) / NS
    assert 500 < left <= 600


async def test_a_detached_lease_does_not_run_out_until_a_shell_has_come_and_gone() -> None:
    lease = Lease(0.01)
    async with Tasks("test", on_error=_fail) as tasks:
        with lease.held():
            lease.detach()
        running = tasks.start(lease.run_out(), name="lease")
        await asyncio.sleep(0.1)
        assert not running.done()
        with lease.held():
            assert not lease.detached
        await asyncio.wait_for(running, PATIENCE)


def test_the_end_of_a_certificate_is_read_from_it() -> None:
    credentials = Authority().collector("127.0.0.1")
    assert abs(expires_at(credentials.certificate) - time.time() - 86400) < 60
    assert expires_at(b"nothing of the kind") == 0


class Running:
    """A collector process with an agent and a shell."""

    def __init__(self, process: subprocess.Popen[bytes], shell: Shell, agent: Agent) -> None:
        self.process, self.shell, self.agent = process, shell, agent


@asynccontextmanager
async def running(directory: Path, *arguments: str) -> AsyncIterator[Running]:
    target = f"unix:{directory}/s"
    with collector_process(directory, "--packets", *arguments) as process:
        async with connected_shell(target) as shell, connected_agent(target) as agent:
            yield Running(process, shell, agent)


async def observed(shell: Shell, ready: object = None) -> pb.Status:
    """The status as somebody sees it who is no shell; the first that is as wanted."""
    async with asyncio.timeout(PATIENCE):
        call = shell.stub.Watch(pb.WatchRequest(interval_ms=20, observe=True))
        async for status in call:  # type: ignore[attr-defined]
            if ready is None or ready(status):  # type: ignore[operator]
                call.cancel()
                found: pb.Status = status
                return found
    raise AssertionError("the session ended")


async def test_at_max_time_every_node_captures_nothing_and_everything_stays_to_be_asked(
    short_path: Path,
) -> None:
    async with running(short_path, "--max-time", "3", "--lease", "30") as made:
        agent, shell = made.agent, made.shell
        before = await shell.status()
        assert (before.ends_ns - before.started_ns, before.ended) == (3 * NS, "")
        await agent.send(flows=flow_batch([Flow()] * 3))
        await agent.send(packets=packet_batch([Packet()] * 2))
        state = await agent.state(lambda state: not state.flows and not state.packets)
        status = await shell.status(lambda status: bool(status.ended))
        assert status.ended == "max-time of 3s reached"
        assert status.generation == state.generation == 2
        assert (status.flows, status.packets, status.agents[0].connected) == (True, True, True)
        # What left the node just before is taken as ever.
        await agent.send(flows=flow_batch([Flow()]))
        await shell.until("SELECT count(*) FROM flow", 4)
        assert (await shell.export("pcapng"))[1].packets == 2
        for change in ({"paused": False}, {"flows": True}, {"packets": False}):
            error = await shell.refusal(shell.change(**change))
            assert (error.code(), error.details()) == (
                grpc.StatusCode.INVALID_ARGUMENT,
                "capturing has ended: max-time of 3s reached; what was captured is all here",
            )
        await shell.refusal(shell.add_filter("port", "80"))
        assert (await shell.status()).generation == 2
        totals = await shell.stub.Stop(pb.StopRequest())  # type: ignore[misc]
        assert (totals.flow_rows, totals.packet_rows) == (4, 2)


async def test_at_max_bytes_capturing_stops_whatever_the_disk_budget_removed(
    short_path: Path,
) -> None:
    limits = ("--max-bytes", str(6 << 20), "--store-limit", str(2 << 20), "--lease", "30")
    async with running(short_path, *limits) as made:
        for seed in range(400):
            await made.agent.send(flows=many_flows(500, seed=seed))
            if made.agent.states and not made.agent.states[-1].flows:
                break
            await asyncio.sleep(0.02)
        status = await made.shell.status(lambda status: bool(status.ended))
        assert status.ended == "max-bytes of 6Mi reached"
        assert status.max_bytes == 6 << 20
        evicted = "SELECT count(*) > 0 FROM loss WHERE Stage = 'disk_budget'"
        await made.shell.until(evicted, 1)


async def test_a_detached_session_goes_on_alone_and_is_over_when_nobody_fetched_it(
    short_path: Path,
) -> None:
    options = ("--lease", "0.5", "--max-time", "4", "--keep-time", "1.5")
    async with running(short_path, *options) as made:
        shell, agent = made.shell, made.agent
        watch = shell.stub.Watch(pb.WatchRequest(interval_ms=20))
        assert (await anext(aiter(watch))).shells == 1  # type: ignore[arg-type]
        reply = await shell.stub.Detach(pb.DetachRequest())  # type: ignore[misc]
        watch.cancel()
        status = await observed(shell, lambda status: not status.shells)
        assert (status.detached, status.ended) == (True, "")
        assert reply.ends_ns == status.ends_ns == status.started_ns + 4 * NS
        assert reply.kept_until_ns == reply.ends_ns + 3 * NS // 2
        await asyncio.sleep(1)
        await agent.send(flows=flow_batch([Flow()] * 3))
        await shell.until("SELECT count(*) FROM flow", 3)
        status = await observed(shell, lambda status: bool(status.ended))
        assert status.kept_until_ns >= status.ends_ns + NS
        assert await ended(made.process) == (0, "", "")
        assert agent.stopped == "nobody came back for it: max-time of 4s reached"
    assert not (short_path / "data").exists()


async def test_a_shell_that_comes_takes_the_detachment_back(short_path: Path) -> None:
    async with running(short_path, "--lease", "0.5", "--detached") as made:
        await asyncio.sleep(1)
        assert (await observed(made.shell)).detached
        status = await made.shell.status()
        assert (status.detached, status.shells, status.lease_seconds) == (False, 1, 1)
        # It has gone again.
        assert await ended(made.process) == (0, "", "")
        assert made.agent.stopped == "no shell for the lease"


async def test_a_look_from_outside_neither_holds_the_lease_nor_takes_a_detachment_back(
    short_path: Path,
) -> None:
    async with running(short_path, "--lease", "1") as made:
        with suppress(grpc.aio.AioRpcError):
            while True:
                assert (await observed(made.shell)).shells == 0
        assert (await ended(made.process))[0] == 0
        assert made.agent.stopped == "no shell for the lease"


async def test_the_end_of_capturing_ends_an_overlay_and_refuses_the_next(short_path: Path) -> None:
    async with running(short_path, "--max-time", "2", "--lease", "30") as made:
        call = made.shell.overlay()
        await call.write(pb.OverlayRequest(label="why", rules=[pb.Words(words=["port", "9"])]))
        first = await call.read()
        assert first.generation == 2
        await made.agent.state(lambda state: not state.flows and state.generation == 3)
        await call.done_writing()
        lifted = await call.read()
        assert lifted.generation >= 3
        status = await made.shell.status()
        assert [agent.connected for agent in status.agents] == [True]
        second = made.shell.overlay()
        await second.write(pb.OverlayRequest(label="why", features=["dns"]))
        error = await made.shell.refusal(second.read())
        assert "capturing has ended" in (error.details() or "")


def _fail(error: BaseException) -> None:
    raise error
