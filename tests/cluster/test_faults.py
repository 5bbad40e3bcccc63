"""Whatever fails, what a session made is gone within its lease, and what was captured is kept.

Looked at from outside: the API server, and the kernel of the nodes where their
namespaces are on this machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nshell.shell.exits import Exit
from tests.cluster import leftovers
from tests.cluster import shell as shells
from tests.cluster.leftovers import Traces, processes, wait_nothing
from tests.cluster.relay import relayed
from tests.network import until
from tests.session import Session, once

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.cluster.api import Api
    from tests.cluster.nodes import Nodes
    from tests.cluster.shell import ClusterShell

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

LEASE = ("--lease", "5")
TABLES = ("flow", "packet")
UP_SECONDS = 120.0


@dataclass(slots=True)
class Watched:
    """A session and what it could leave behind."""

    api: Api
    nodes: Nodes
    name: str
    live: Session
    traces: Traces = field(default_factory=Traces)

    def pids(self, component: str) -> dict[str, int]:
        """By node; skips where the nodes' processes are not on this machine."""
        self.nodes.inside(self.nodes.names[0])
        return processes(self.api, self.name, component)

    def note(self) -> None:
        """Remember what its agents hold in the kernel now."""
        if self.nodes.testbed is not None:
            pids = self.pids("agent")
            assert sorted(pids) == sorted(self.nodes.names)
            before = len(self.traces.ids)
            self.traces.note(pids.values())
            assert len(self.traces.ids) > before

    def applied(self) -> bool:
        """Whether every agent is connected and does what it is to do."""
        done = self.live.value(
            "SELECT count(*) FROM agent WHERE Connected = 1"
            " AND Generation = (SELECT max(Generation) FROM filter_log)"
        )
        return bool(done == len(self.nodes.names))

    def wait_gone(self) -> None:
        """All of it."""
        wait_nothing(lambda: leftovers.objects(self.api, self.name))
        if self.nodes.testbed is not None:
            wait_nothing(lambda: self.traces.left(self.nodes))
            wait_nothing(lambda: [str(pid) for pid in self.pids("agent").values()])


@pytest.fixture(scope="module")
def there(api: Api, nodes: Nodes, kubeconfig: str, image: str) -> ClusterShell:
    assert nodes
    return shells.in_new_namespace(api, kubeconfig, image)


@contextlib.contextmanager
def watched(
    there: ClusterShell, nodes: Nodes, *names: str, options: Sequence[str] = (), through: str = ""
) -> Iterator[list[Watched]]:
    """Sessions that come up at the same time, with all their agents at work."""
    words = {name: there.words(name) for name in names}
    if through:
        # The last one's way to the API server.
        last = words[names[-1]]
        last[last.index("--kubeconfig") + 1] = through
    lives = [Session(None, *options, place=words[name]) for name in names]
    try:
        made = [
            Watched(there.api, nodes, name, live) for name, live in zip(names, lives, strict=True)
        ]
        for each in made:
            each.live.do()
        for each in made:
            until(each.applied, UP_SECONDS)
            each.note()
        yield made
    finally:
        for live in lives:
            live.close()
        for name in names:
            there.remove(name)


def test_shells_that_are_interrupted_killed_or_cut_off_are_followed_by_their_sessions(
    there: ClusterShell, nodes: Nodes, kubeconfig: str, tmp_path: Path
) -> None:
    names = ("interrupted", "killed", "cut")
    with (
        relayed(kubeconfig, tmp_path) as (relay, through),
        watched(there, nodes, *names, options=LEASE, through=through) as sessions,
    ):
        interrupted, killed, cut = sessions
        interrupted.live.tell("wait 10m")
        os.kill(interrupted.live.pid, signal.SIGINT)
        killed.live.kill()
        relay.cut()
        assert interrupted.live.wait(timeout=60) == Exit.INTERRUPTED
        for each in sessions:
            each.wait_gone()
        # The shell that is cut off cannot know; it ends all the same.
        assert cut.live.quit(timeout=60) in (Exit.OK, Exit.FAILED, Exit.NO_AGENT)


def test_a_session_outlives_its_collector_and_its_agents_and_keeps_all_that_was_committed(
    there: ClusterShell, nodes: Nodes
) -> None:
    with watched(there, nodes, "crashes", options=["--packets"]) as (made,):
        live = made.live
        live.do("filter reject port 1")
        until(lambda: bool(live.value("SELECT count(*) FROM packet")), UP_SECONDS)
        counts = [int(live.value(f"SELECT count(*) FROM {each}")) for each in TABLES]
        (pid,) = made.pids("collector").values()
        os.kill(pid, signal.SIGKILL)
        until(lambda: _is_back(made, there, pid), UP_SECONDS)
        for table, before in zip(TABLES, counts, strict=True):
            assert live.value(f"SELECT count(*) FROM {table}") >= before
        (filters,) = live.do("filter list")
        assert [row["id"] for row in filters] == [1]
        until(made.applied, UP_SECONDS)

        crashed = made.pids("agent")[nodes.names[0]]
        os.kill(crashed, signal.SIGKILL)
        until(lambda: _another(made, nodes.names[0], crashed), UP_SECONDS)
        until(made.applied, UP_SECONDS)
        made.note()

        # Moved to another pod, the rows are lost and said to be; the filters are not.
        (pod,) = there.api.items(
            "v1", "Pod",
            label_selector=f"netobserv.io/session={made.name},app.kubernetes.io/component=collector",
        )  # fmt: skip
        (pid,) = made.pids("collector").values()
        there.api.delete(pod)
        until(lambda: _is_back(made, there, pid), UP_SECONDS)
        until(made.applied, UP_SECONDS)
        (filters,) = live.do("filter list")
        assert [row["id"] for row in filters] == [1]
        lost = "SELECT count(*) FROM loss WHERE Stage = 'collector'"
        until(lambda: bool(live.value(lost)), UP_SECONDS)
        assert live.quit(timeout=60) == Exit.OK
        made.wait_gone()


def test_a_node_that_starts_again_comes_back_into_the_session(
    there: ClusterShell, nodes: Nodes
) -> None:
    if nodes.testbed is None:
        pytest.skip("ends a node's programs: NETOBSERV_TESTBED is not set")
    node = nodes.names[-1]
    with watched(there, nodes, "restarts") as (made,):
        recorded = Path(os.environ.get("KUBE_TESTBED_STATE", "/var/lib/kube-testbed")) / "pids"
        before = made.pids("agent")[node]
        for name in (f"{node}-kubelet", f"{node}-containerd"):
            _end(recorded / name)
        collector = made.pids("collector").get(node, 0)
        for pid in filter(None, (before, collector)):
            os.kill(pid, signal.SIGKILL)
        # A runtime that makes containers' directories for itself alone would be of no use.
        subprocess.run(
            [str(nodes.testbed.scripts / "up.sh")],
            check=True, capture_output=True, timeout=120, umask=0o022,
        )  # fmt: skip
        if collector:
            until(lambda: _is_back(made, there, collector), UP_SECONDS)
        until(lambda: _another(made, node, before), UP_SECONDS)
        until(made.applied, UP_SECONDS)
        made.note()
        assert made.live.quit(timeout=60) == Exit.OK
        made.wait_gone()


def _is_back(made: Watched, there: ClusterShell, before: int) -> bool:
    """Whether there is another collector process and the shell has reached it."""
    if before in made.pids("collector").values():
        return False
    where = ["--kubeconfig", there.kubeconfig, "--agent-namespace", there.namespace]
    done = once(None, "sessions", *where, "--format", "json")
    states = {each["name"]: each["state"] or "" for each in json.loads(done.stdout or "[]")}
    return states.get(made.name, "").startswith("attached")


def _another(made: Watched, node: str, before: int) -> bool:
    return made.pids("agent").get(node, before) != before


def _end(recorded: Path) -> None:
    """A process that the scripts have started: its pid, and when it began."""
    pid, began = recorded.read_text().split()
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    assert stat[19] == began, f"{recorded.name} is not what it was"
    os.kill(int(pid), signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), 10)


def _is_zombie(pid: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True
