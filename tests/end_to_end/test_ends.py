"""However a session ends, nothing stays behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import network
from tests.network import sh
from tests.session import Session, once, session
from tests.shell.processes import alive, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.network import Host, Pair

pytestmark = pytest.mark.kernel

LEASE = 5.0
"""Of collector and agent with --local, seconds."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What one session has made, read while it runs; other sessions may come and go."""

    programs: frozenset[int]
    maps: frozenset[int]
    links: frozenset[int]
    pids: frozenset[int]
    directory: Path
    before: str
    """The host's qdiscs and filters before the session."""

    @classmethod
    def of(cls, live: Session, before: str) -> Traces:
        processes = live.processes()
        ids = {kind: _held(processes["agent"], kind) for kind in ("prog_id", "map_id", "link_id")}
        text = live.narrate("status")
        directory = Path(text.split("directory")[1].split()[0])
        assert directory.is_dir()
        assert len(ids["prog_id"]) >= 4
        return cls(
            ids["prog_id"], ids["map_id"], ids["link_id"],
            frozenset((live.pid, *processes.values())), directory, before,
        )  # fmt: skip

    def left(self, host: Host) -> list[str]:
        """What of it is still there."""
        found = [
            f"{kind} {number}"
            for kind, made in (("prog", self.programs), ("map", self.maps), ("link", self.links))
            for number in made & _existing(kind)
        ]
        found += [f"process {pid}" for pid in self.pids if alive(pid)]
        found += [str(self.directory)] if self.directory.exists() else []
        now = tc(host)
        return found + ([now] if now != self.before else [])


def tc(host: Host) -> str:
    show = host.run("tc", "qdisc", "show")
    for hook in ("ingress", "egress"):
        show += host.run("tc", "filter", "show", "dev", "eth0", hook, check=False)
    return show


def _held(pid: int, what: str) -> frozenset[int]:
    """Ids of the BPF objects that a process has open."""
    text = "".join(f.read_text() for f in Path(f"/proc/{pid}/fdinfo").iterdir())
    return frozenset(int(n) for n in re.findall(rf"^{what}:\s+(\d+)", text, re.MULTILINE))


def _existing(kind: str) -> frozenset[int]:
    # It fails where an object goes while it lists them: others have theirs.
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(AssertionError):
            listed = json.loads(sh("bpftool", "-j", kind, "show") or "[]")
            return frozenset(entry["id"] for entry in listed)
        time.sleep(0.1)
    raise AssertionError(f"bpftool {kind} show fails again and again")


def left_behind(traces: Traces, host: Host, *, seconds: float) -> list[str]:
    """What is still there after so long."""
    end = time.monotonic() + seconds
    while left := traces.left(host):
        if time.monotonic() > end:
            return left
        time.sleep(0.25)
    return []


def by_quit(live: Session) -> None:
    assert live.quit() == 0


def by_end_of_input(live: Session) -> None:
    live.end_input()
    assert live.wait() == 0


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
    [by_quit, by_end_of_input, by_sigterm, by_sigint, by_killing_the_shell,
     by_killing_the_collector],
)  # fmt: skip
@pytest.mark.parametrize("attach", ["tcx", "clsact"])
def test_nothing_is_left(pair: Pair, end: Callable[[Session], None], attach: str) -> None:
    before = tc(pair.ours)
    with session(pair.ours, "--packets", "--attach", attach, "--filter", "port 1-100") as live:
        pair.peer.run("ping", "-q", "-c", "2", "-i", "0.05", pair.ours4)
        traces = Traces.of(live, before)
        assert len(traces.links) == (2 if attach == "tcx" else 0)
        assert (tc(pair.ours) != before) == (attach == "clsact")
        end(live)
        assert left_behind(traces, pair.ours, seconds=3 * LEASE) == []


def test_when_shell_and_collector_are_killed_the_next_start_removes_the_files(pair: Pair) -> None:
    with session(pair.ours, "-i", "eth0") as live:
        traces = Traces.of(live, tc(pair.ours))
        by_killing_shell_and_collector(live)
        # Any start removes it, another session's too.
        files = str(traces.directory)
        eventually(lambda: traces.left(pair.ours) in ([files], []), "nothing but the files")
        assert once(pair.ours, "shell", "--local", "-i", "eth0", "-c", "status").returncode == 0
        assert traces.left(pair.ours) == []


@pytest.mark.parametrize("attach", ["tcx", "clsact"])
def test_a_killed_agent_is_started_again_and_captures_under_the_same_filters(
    pair: Pair, attach: str
) -> None:
    before = tc(pair.ours)
    with session(pair.ours, "-i", "eth0", "--attach", attach, "--filter", "port 7001") as live:
        first = Traces.of(live, before)
        killed = live.processes()["agent"]
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: live.processes().get("agent") not in (None, killed), "another agent")
        live.do("wait until SELECT count(*) = 1 FROM agent WHERE Connected timeout 20s;", "wait 1s")
        filters = pair.ours.run("tc", "filter", "show", "dev", "eth0", "ingress")
        assert filters.count("direct-action") == (1 if attach == "clsact" else 0), "swept"
        pair.ours.start_python(network.SINK, pair.ours4, "7001,7002")
        pair.peer.python(network.UDP_SEND, pair.ours4, "7001,7002", 10, 100, 1000)
        live.settle("SELECT sum(Packets) FROM flow", least=10)
        assert live.sql("SELECT DISTINCT DstPort FROM flow") == [{"DstPort": 7001}]
        assert any("agent" in line and "again" in line for line in live.narration)
        second = Traces.of(live, before)
        assert live.quit() == 0
        assert left_behind(first, pair.ours, seconds=LEASE) == []
        assert left_behind(second, pair.ours, seconds=LEASE) == []
