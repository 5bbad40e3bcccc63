"""The launcher: children started, watched, ended; the directory gone with them."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nshell.capturing import CaptureOptions
from nshell.local import LocalOptions, LocalSession
from nshell.shell import workdir
from nshell.shell.client import Client
from nshell.shell.errors import SessionLost
from nshell.shell.needs import missing
from tests.shell.fake_netobserv import PROGRAMS
from tests.shell.processes import alive, child, children

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@dataclass(slots=True)
class Heard:
    """What the launcher had to say."""

    notices: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@asynccontextmanager
async def launched(
    base: Path, options: LocalOptions, *, wait: bool = True
) -> AsyncIterator[tuple[LocalSession, Heard]]:
    heard = Heard()
    session = LocalSession(
        options,
        notify=heard.notices.append,
        on_failure=lambda error: heard.failures.append(str(error)),
        programs=PROGRAMS,
        backoff=0.01,
    )
    await session.start()
    try:
        if wait:
            client = Client()
            await client.connect(session.address)
            await client.close()
        yield session, heard
    finally:
        await session.stop()
        assert not list(base.iterdir())


@pytest.fixture
def base(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where session directories go."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    return runtime


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


async def test_both_run_apart_from_the_terminal_and_end_with_the_session(base: Path) -> None:
    async with launched(base, LocalOptions(node="n")) as (session, _):
        collector, agent = child(os.getpid(), "fake_collector"), child(os.getpid(), "fake_agent")
        assert os.getsid(collector) == collector
        assert os.getsid(agent) == agent
        assert Path(f"/proc/{collector}/fd/0").readlink() == Path("/dev/null")
        # Without a name: nothing of it is left however the session ends.
        said = Path(f"/proc/{agent}/fd/2").readlink()
        assert str(said) == f"{session.directory / 'agent.err'} (deleted)"
        assert stat.S_IMODE(session.directory.stat().st_mode) == 0o700
    assert not alive(collector)
    assert not alive(agent)


def test_options_become_arguments_of_the_right_child(base: Path) -> None:
    work = workdir.create(base)
    options = LocalOptions(
        node="n", directory=Path("/keep"), capture=CaptureOptions(
            interfaces=("eth0", "veth*"), filters=("port 80",), flows=False, packets=True,
            snaplen=96, sampling=10, flow_capacity=5, ring_bytes=4096, tcx_anchor="head",
            attach="tcx", store_limit=1 << 30,
        ),
    )  # fmt: skip
    assert options.collector_arguments(work) == [
        f"--listen=unix:{work.path}/s", "--directory=/keep", f"--session={work.name}",
        "--lease=5", "--keep", "--store-limit=1073741824", "--filter=port 80", "--packets",
        "--no-flows", "--snaplen=96", "--sampling=10",
    ]  # fmt: skip
    assert options.agent_arguments(work) == [
        f"--connect=unix:{work.path}/s", "--node=n", "--lease=5", "--interface=eth0",
        "--interface=veth*", "--flow-capacity=5", "--ring-bytes=4096", "--tcx-anchor=head",
        "--attach=tcx",
    ]  # fmt: skip
    work.remove()


def test_what_was_not_said_is_left_to_the_children(base: Path) -> None:
    work = workdir.create(base)
    plain = LocalOptions(node="n")
    assert plain.collector_arguments(work)[1] == f"--directory={work.path}"
    assert plain.collector_arguments(work)[-1] == "--lease=5"
    assert plain.agent_arguments(work)[-1] == "--lease=5"
    work.remove()


async def test_an_agent_that_is_killed_is_started_again(base: Path) -> None:
    async with launched(base, LocalOptions(node="n")) as (_, heard):
        first = child(os.getpid(), "fake_agent")
        os.kill(first, signal.SIGKILL)
        await until(lambda: bool(heard.notices))
        second = await asyncio.to_thread(child, os.getpid(), "fake_agent")
        assert second != first
        assert heard.notices == ["agent on n ended (signal 9): started again"]
        assert not heard.failures


async def test_an_agent_that_keeps_ending_is_given_up(base: Path) -> None:
    async with launched(base, LocalOptions(node="short-lived"), wait=False) as (_, heard):
        await until(lambda: bool(heard.failures))
        assert heard.failures == ["the agent on short-lived keeps ending (status 1)"]
        assert len(heard.notices) == 5


async def test_an_agent_that_cannot_work_here_says_why(base: Path) -> None:
    async with launched(base, LocalOptions(node="cannot"), wait=False) as (_, heard):
        await until(lambda: bool(heard.failures))
        assert heard.failures == ["agent: this kernel has no BPF: use another"]
        assert not heard.notices


async def test_a_collector_that_is_killed_ends_the_session_and_leaves_nothing(base: Path) -> None:
    async with launched(base, LocalOptions(node="stubborn")) as (_, heard):
        agent = child(os.getpid(), "fake_agent")
        os.kill(child(os.getpid(), "fake_collector"), signal.SIGKILL)
        await until(lambda: bool(heard.failures))
        assert heard.failures == ["the collector ended (signal 9)"]
    assert not alive(agent)


async def test_what_ends_after_the_session_was_told_to_is_no_failure(base: Path) -> None:
    async with launched(base, LocalOptions(node="n")) as (session, heard):
        session.expect_end()
        session.kill()
        await until(lambda: not children(os.getpid()))
    assert heard == Heard()


async def test_a_child_that_cannot_be_started_is_one_line(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nshell.local.asyncio.create_subprocess_exec", _no_exec)
    session = LocalSession(
        LocalOptions(node="n"), notify=print, on_failure=lambda _: None, programs=PROGRAMS
    )
    with pytest.raises(SessionLost, match=r"cannot start: .*Cannot allocate memory"):
        await session.start()
    assert not list(base.iterdir())


async def _no_exec(*_: object, **__: object) -> None:
    raise OSError(12, "Cannot allocate memory")


async def test_files_are_kept_where_the_user_wants_them(
    base: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = tmp_path_factory.mktemp("kept") / "session"
    async with launched(base, LocalOptions(node="n", directory=kept)) as (session, _):
        assert session.directory.parent == base
    assert {path.name for path in kept.iterdir()} == {"agent.err", "collector.err"}


def test_a_directory_nobody_holds_is_swept_and_others_are_not(base: Path) -> None:
    held = workdir.create(base)
    left = workdir.create(base)
    (left.path / "flows.db").touch()
    os.close(left.lock_fd)
    foreign = base / f"{workdir.PREFIX}notes"
    foreign.mkdir()
    (base / f"{workdir.PREFIX}link{workdir.SUFFIX}").symlink_to(foreign)
    assert workdir.sweep(base) == [left.path]
    assert held.path.exists()
    assert foreign.exists()
    held.remove()
    assert not held.path.exists()


def test_a_child_that_inherited_the_lock_holds_the_directory(base: Path) -> None:
    work = workdir.create(base)
    heir = os.dup(work.lock_fd)
    os.close(work.lock_fd)
    assert workdir.sweep(base) == []
    os.close(heir)
    assert workdir.sweep(base) == [work.path]


def test_a_runtime_directory_with_too_long_a_name_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    assert workdir.base_directory() != long
    work = workdir.create(workdir.base_directory())
    assert len(str(work.socket)) < 100
    work.remove()


@pytest.mark.parametrize(
    ("capabilities", "btf", "line"),
    [
        (0, True, "needs root (or CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF; CAP_NET_ADMIN, CAP_PERFMON, "
                  "CAP_BPF is missing): run it with sudo, in a container with --privileged"),
        (1 << 12 | 1 << 38, True, "CAP_BPF is missing"),
        (1 << 12 | 1 << 21, True, ""),
        (1 << 12 | 1 << 38 | 1 << 39, True, ""),
        (1 << 12 | 1 << 21, False, "/sys/kernel/btf/vmlinux is missing"),
    ],
)  # fmt: skip
def test_what_the_host_lacks_is_named(
    tmp_path: Path, capabilities: int, btf: bool, line: str
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text(f"Name: x\nCapEff:\t{capabilities:016x}\n")
    if btf:
        (tmp_path / "sys/kernel/btf").mkdir(parents=True)
        (tmp_path / "sys/kernel/btf/vmlinux").touch()
    said = missing(root=tmp_path)
    assert line in said
    assert bool(said) is bool(line)
