"""Sessions on a cluster from outside: listed, copied, stopped; what is left of any, removed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nshell.cluster import manifests
from nshell.cluster.manifests import CLUSTER_ROLE, Deployment
from nshell.shell.exits import Exit
from tests.cluster import leftovers
from tests.cluster import shell as shells
from tests.cluster.leftovers import wait_nothing
from tests.cluster.relay import relayed
from tests.collector import oracle
from tests.network import until
from tests.session import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.cluster.manifests import Object
    from tests.cluster.api import Api
    from tests.cluster.nodes import Nodes
    from tests.cluster.shell import ClusterShell

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

NAME = "leaves"


def run(there: ClusterShell, *words: str) -> subprocess.CompletedProcess[str]:
    """`netobserv WORDS` about the namespace of the test."""
    where = ["--kubeconfig", there.kubeconfig, "--agent-namespace", there.namespace]
    return once(None, words[0], *where, *words[1:], timeout=180)


def listed(there: ClusterShell) -> dict[str, dict[str, Any]]:
    """What `sessions` says, by name."""
    done = run(there, "sessions", "--format", "json")
    assert (done.returncode, done.stderr) == (Exit.OK, "")
    return {each["name"]: each for each in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def there(api: Api, nodes: Nodes, kubeconfig: str, image: str) -> ClusterShell:
    assert nodes
    return shells.in_new_namespace(api, kubeconfig, image)


@pytest.fixture(scope="module")
def detached(there: ClusterShell, api: Api) -> Iterator[None]:
    """A session whose shell has left, and that has captured something."""
    try:
        wanted = "wait until SELECT count(*) > 0 FROM packet timeout 60s"
        done = once(None, "shell", *there.words(NAME), "--packets", "--max-time", "20m",
                    "-c", wanted, "-c", "detach", timeout=240)  # fmt: skip
        assert done.returncode == Exit.OK, done.stderr
        yield
    finally:
        there.remove(NAME)
        wait_nothing(lambda: leftovers.objects(api, NAME))


def test_a_detached_session_is_listed_and_looking_leaves_it_so(
    there: ClusterShell, nodes: Nodes, detached: None
) -> None:
    assert detached is None
    for _ in range(2):
        found = listed(there)[NAME]
        assert (found["namespace"], found["problem"]) == (there.namespace, None)
        assert found["agents"] == f"{len(nodes.names)}/{len(nodes.names)}"
        assert found["state"].startswith("detached, 1")
        assert found["packet_rows"] > 0
        assert found["capturing"] == "flows and packets"
    table = run(there, "sessions")
    assert NAME in table.stdout
    assert "detached" in table.stdout


def test_what_it_has_captured_is_copied_while_it_goes_on(
    there: ClusterShell, tmp_path: Path, detached: None
) -> None:
    assert detached is None
    target = tmp_path / "copy"
    done = run(there, "copy", NAME, str(target))
    assert done.returncode == Exit.OK, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        str(target / "session.db"),
        str(target / "packets.pcapng"),
    ]
    assert sorted(path.name for path in target.iterdir()) == ["packets.pcapng", "session.db"]
    with sqlite3.connect(target / "session.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ((rows,),) = database.execute("SELECT count(*) FROM packet").fetchall()
    database.close()
    # It went on between the two.
    assert int(oracle.info(target / "packets.pcapng")["Number of packets"]) >= rows > 0
    again = run(there, "copy", str(target))
    assert (again.returncode, again.stdout) == (Exit.FAILED, "")
    assert again.stderr == (
        f"netobserv: {target / 'session.db'} is there already: --force replaces it\n"
    )
    assert listed(there)[NAME]["state"].startswith("detached")


def test_a_second_session_lives_beside_it_and_each_is_stopped_by_its_name(
    there: ClusterShell, api: Api, detached: None
) -> None:
    assert detached is None
    with there.session("stays", "--lease", "0") as live:
        states = {name: each["state"] for name, each in listed(there).items()}
        assert states["stays"] == "attached"
        assert states[NAME].startswith("detached")
        unclear = run(there, "stop")
        assert unclear.returncode == Exit.USAGE
        assert unclear.stderr == (
            f"netobserv: 2 sessions in namespace {there.namespace}: which of {NAME}, stays?\n"
        )
        wrong = run(there, "stop", "stay")
        assert wrong.returncode == Exit.USAGE
        assert wrong.stderr == (
            f"netobserv: no session 'stay' in namespace {there.namespace}: did you mean 'stays'?\n"
        )
        done = run(there, "stop", NAME)
        assert (done.returncode, done.stdout) == (Exit.OK, ""), done.stderr
        assert done.stderr.splitlines()[0].startswith("session ended: ")
        wait_nothing(lambda: leftovers.objects(api, NAME))
        # The other one has not noticed, though the namespace was the first one's too.
        assert live.value("SELECT count(*) >= 0 FROM flow") == 1
        assert live.quit(timeout=60) == Exit.OK
    wait_nothing(lambda: leftovers.objects(api, "stays"))


def wait_for_the_namespace(api: Api, there: ClusterShell) -> None:
    """Until it has gone with the last session in it."""
    space: Object = {
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": there.namespace},
    }  # fmt: skip
    api.wait_gone(space)


def test_with_nothing_there_each_says_so(api: Api, there: ClusterShell) -> None:
    wait_for_the_namespace(api, there)
    assert run(there, "cleanup").stderr == "nothing is left of any session\n"
    assert run(there, "cleanup").returncode == Exit.OK
    stopped = run(there, "stop")
    assert (stopped.returncode, stopped.stderr) == (
        Exit.USAGE,
        f"netobserv: no session in namespace {there.namespace}\n",
    )
    assert run(there, "sessions").stderr == "no session\n"
    assert run(there, "sessions", "--format", "json").stdout == "[]\n"


def plain(kind: str, name: str, namespace: str, **labels: str) -> Object:
    """Something small."""
    metadata: Object = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


def test_cleanup_removes_what_was_made_half_and_what_nobody_owns_and_nothing_else(
    api: Api, there: ClusterShell
) -> None:
    wait_for_the_namespace(api, there)
    half = Deployment(
        image="localhost/there-is-no-such:1", namespace=there.namespace, session="half"
    )
    mine = {"app.kubernetes.io/managed-by": "netobserv", "netobserv.io/session": "lost"}
    orphan = plain("Secret", "netobserv-lost-agent", half.namespace, **mine)
    others = plain(
        "Secret", "netobserv-lost-other", half.namespace, **mine | {"netobserv.io/session": "x"}
    )
    others["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "somebody"
    made = manifests.objects(half)
    try:
        for item in (*made, orphan, others):
            api.apply(item)
        done = run(there, "cleanup")
        assert (done.returncode, done.stdout) == (Exit.USAGE, "")
        assert f"  clusterrole {half.owner}\n" in done.stderr
        assert done.stderr.endswith("objects would be removed: --yes removes them\n")
        assert api.exists(orphan)
        done = run(there, "cleanup", "--yes")
        assert done.returncode == Exit.FAILED, done.stderr
        removed = done.stdout.splitlines()
        assert f"removed clusterrole {half.owner}" in removed
        assert f"removed clusterrolebinding {half.owner}" in removed
        assert f"removed secret {half.namespace}/netobserv-lost-agent" in removed
        assert f"removed deployment {half.namespace}/{half.collector}" in removed
        assert f"removed daemonset {half.namespace}/{half.agent}" in removed
        assert f"removed service {half.namespace}/{half.collector}" in removed
        assert f"removed serviceaccount {half.namespace}/{half.agent}" in removed
        assert done.stderr == (
            f"netobserv: namespace {half.namespace} stays: secret netobserv-lost-other is in it\n"
        )
        assert leftovers.objects(api, "half") == leftovers.objects(api, "lost") == []
        assert api.exists(others)
        api.delete(others)
        done = run(there, "cleanup", "--yes")
        assert (done.returncode, done.stdout) == (
            Exit.OK,
            f"removed namespace {half.namespace}\n",
        )
    finally:
        for item in (*made, orphan, others):
            api.delete(item)


def test_a_namespace_that_was_there_before_is_kept(api: Api, there: ClusterShell) -> None:
    name = f"{there.namespace}-kept"
    space: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    account = plain(
        "ServiceAccount", "netobserv-gone-agent", name,
        **{"app.kubernetes.io/managed-by": "netobserv", "netobserv.io/session": "gone"},
    )  # fmt: skip
    try:
        api.apply(space)
        api.apply(account)
        where = ("--kubeconfig", there.kubeconfig, "--agent-namespace", name)
        done = once(None, "cleanup", "--yes", *where)
        assert (done.returncode, done.stdout, done.stderr) == (
            Exit.OK,
            f"removed serviceaccount {name}/netobserv-gone-agent\n",
            "",
        )
        assert api.exists(space)
    finally:
        api.delete(space)


def test_a_collector_deletes_its_owner_also_when_the_server_was_away_just_then(
    api: Api, kubeconfig: str, tmp_path: Path
) -> None:
    role: Object = {
        "apiVersion": shells.RBAC,
        "kind": CLUSTER_ROLE,
        "metadata": {"name": f"netobserv.test.{tmp_path.name.replace('_', '-').lower()}"},
        "rules": [],
    }
    api.apply(role)
    with (
        tempfile.TemporaryDirectory(prefix="c-") as short,
        relayed(kubeconfig, tmp_path) as (
            relay,
            through,
        ),
    ):
        relay.cut()
        process = subprocess.Popen(
            [sys.executable, "-m", "nshell.collector.main", f"--listen=unix:{short}/s",
             f"--directory={short}/data", "--lease=0.5", "--resume",
             f"--owner={role['metadata']['name']}"],
            env={"KUBECONFIG": through, "PATH": "/usr/bin:/bin"}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            log = Path(short) / "data" / "collector.log"
            until(lambda: log.exists() and "cannot delete the ClusterRole" in log.read_text(), 30)
            assert api.exists(role)
            relay.mend()
            api.wait_gone(role)
            # Its pod would be taken away now; it does not begin again by itself.
            time.sleep(0.5)
            assert process.poll() is None
            process.terminate()
            assert process.communicate(timeout=30)[1] == ""
            assert process.returncode == 0
        finally:
            process.kill()
            process.communicate()
            api.delete(role)
