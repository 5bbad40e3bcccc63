"""However a session ends, nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import network
from tests.network import sh
from tests.session import Session, once, session

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.network import Host, Pair

pytestmark = pytest.mark.kernel

LEASE = 5.0
"""Of collector and agent with --local, seconds."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What a session could leave: all of it belongs to this host or this machine."""

    programs: frozenset[int]
    maps: frozenset[int]
    links: frozenset[int]
    filters: str
    directories: frozenset[str]
    processes: frozenset[str]

    @classmethod
    def of(cls, host: Host) -> Traces:
        return cls(
            _ids("prog"),
            _ids("map"),
            _ids("link"),
            host.run("tc", "qdisc", "show") + host.run("tc", "filter", "show", "dev", "eth0",
                                                       "ingress"),
            frozenset(str(p) for p in _session_directories()),
            frozenset(_processes()),
        )  # fmt: skip


def _ids(kind: str) -> frozenset[int]:
    listed = json.loads(sh("bpftool", "-j", kind, "show") or "[]")
    return frozenset(entry["id"] for entry in listed if _is_ours(entry, kind))


def _is_ours(entry: dict[str, object], kind: str) -> bool:
    """Programs and maps of other users of this machine come and go."""
    if kind == "prog":
        return str(entry.get("name", "")).startswith("nobs_")
    return kind == "link" or entry.get("name") in {"rulesets", "flows0", "homes", "ring"}


def _session_directories() -> list[Path]:
    places = {os.environ.get("XDG_RUNTIME_DIR", "/tmp"), "/tmp"}
    return [found for place in places for found in Path(place).glob("netobserv-*")]


def _processes() -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if (
            b"nshell.collector.main" in words
            or b"agent.main" in words
            or (b"agent.kernel.compile" in words)
        ):
            found.append(entry.name)
    return found


def left_behind(host: Host, before: Traces, *, seconds: float) -> Traces | None:
    """What is still there after so long, None if nothing."""
    end = time.monotonic() + seconds
    while (now := Traces.of(host)) != before:
        if time.monotonic() > end:
            return now
        time.sleep(0.25)
    return None


def by_quit(live: Session) -> None:
    assert live.quit() == 0


def by_end_of_input(live: Session) -> None:
    live.close()


def by_sigterm(live: Session) -> None:
    os.kill(live.pid, signal.SIGTERM)
    assert live.wait() == 130


def by_sigint(live: Session) -> None:
    os.kill(live.pid, signal.SIGINT)
    assert live.wait() == 130


def by_killing_the_shell(live: Session) -> None:
    live.kill()


def by_killing_the_collector(live: Session) -> None:
    os.kill(live.processes()["collector"], signal.SIGKILL)
    assert live.wait() == 3
    assert any("collector" in line for line in live.narration)


def by_killing_shell_and_collector(live: Session) -> None:
    collector = live.processes()["collector"]
    live.kill()
    os.kill(collector, signal.SIGKILL)


@pytest.mark.parametrize(
    "end",
    [by_quit, by_sigterm, by_sigint, by_killing_the_shell, by_killing_the_collector],
)
@pytest.mark.parametrize("attach", ["tcx", "clsact"])
def test_nothing_is_left(pair: Pair, end: Callable[[Session], None], attach: str) -> None:
    before = Traces.of(pair.ours)
    with session(pair.ours, "--packets", "--attach", attach, "--filter", "port 1-100") as live:
        pair.peer.run("ping", "-q", "-c", "2", "-i", "0.05", pair.ours4)
        assert Traces.of(pair.ours).programs != before.programs, "the capture runs"
        end(live)
        assert left_behind(pair.ours, before, seconds=3 * LEASE) is None


def test_when_shell_and_collector_are_killed_the_next_start_removes_the_files(pair: Pair) -> None:
    before = Traces.of(pair.ours)
    with session(pair.ours, "-i", "eth0") as live:
        by_killing_shell_and_collector(live)
        time.sleep(2 * LEASE)
        now = Traces.of(pair.ours)
        assert (now.programs, now.links, now.processes) == (
            before.programs, before.links, before.processes,
        )  # fmt: skip
        assert once(pair.ours, "shell", "--local", "-i", "eth0", "-c", "status").returncode == 0
        assert left_behind(pair.ours, before, seconds=LEASE) is None


@pytest.mark.parametrize("attach", ["tcx", "clsact"])
def test_a_killed_agent_is_started_again_and_captures_under_the_same_filters(
    pair: Pair, attach: str
) -> None:
    before = Traces.of(pair.ours)
    with session(pair.ours, "-i", "eth0", "--attach", attach, "--filter", "port 7001") as live:
        killed = live.processes()["agent"]
        os.kill(killed, signal.SIGKILL)
        end = time.monotonic() + 20
        while live.processes().get("agent") in (None, killed) and time.monotonic() < end:
            time.sleep(0.2)
        live.do("wait until SELECT count(*) = 1 FROM agent WHERE Connected timeout 20s;", "wait 1s")
        filters = pair.ours.run("tc", "filter", "show", "dev", "eth0", "ingress")
        assert filters.count("direct-action") == (1 if attach == "clsact" else 0), (
            "swept, not doubled"
        )
        pair.ours.start_python(network.SINK, pair.ours4, "7001,7002")
        pair.peer.python(network.UDP_SEND, pair.ours4, "7001,7002", 10, 100, 1000)
        live.settle("SELECT sum(Packets) FROM flow", least=10)
        assert live.sql("SELECT DISTINCT DstPort FROM flow") == [{"DstPort": 7001}]
        assert any("agent" in line and "again" in line for line in live.narration)
        assert live.quit() == 0
        assert left_behind(pair.ours, before, seconds=LEASE) is None
