"""`netobserv shell` and `attach` on a cluster: brought up, cut off, left, come back to, gone."""

from __future__ import annotations

import re
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from nshell.shell.exits import Exit
from tests.cluster import shell as shells
from tests.cluster.relay import as_account, relayed
from tests.session import NETOBSERV
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nshell.cluster.manifests import Object
    from tests.cluster.api import Api
    from tests.cluster.nodes import Nodes
    from tests.cluster.shell import ClusterShell

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

PROMPT = "netobserv>"
UP_SECONDS = 150.0
GONE_SECONDS = 90.0
OWN_ROWS = "SELECT 'rows', sum('{}' IN (SrcAddr, DstAddr)), count(*) > 0 FROM flow"


@pytest.fixture
def there(api: Api, kubeconfig: str, image: str) -> ClusterShell:
    return shells.in_new_namespace(api, kubeconfig, image)


def run(
    *words: str, timeout: float = UP_SECONDS + GONE_SECONDS
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NETOBSERV, *words],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=timeout,
    )  # fmt: skip


def wait_gone(api: Api, there: ClusterShell, name: str) -> None:
    """Nothing of the session is left: its owner, its workloads, its pods."""
    api.wait_gone(there.owner(name))
    end = time.monotonic() + GONE_SECONDS
    query = {"namespace": there.namespace, "label_selector": f"netobserv.io/session={name}"}
    while left := [
        (kind, item["metadata"]["name"])
        for version, kind in (("v1", "Pod"), ("apps/v1", "DaemonSet"), ("v1", "Secret"))
        for item in api.items(version, kind, **query)
    ]:
        assert time.monotonic() < end, f"still there: {left}"
        time.sleep(0.3)


def test_a_session_is_cut_off_left_and_come_back_to(
    api: Api, nodes: Nodes, there: ClusterShell, kubeconfig: str, tmp_path: Path
) -> None:
    name, count = "travels", len(nodes.names)
    with relayed(kubeconfig, tmp_path) as (relay, through):
        words = ["--kubeconfig", through, "--agent-namespace", there.namespace]
        command = [NETOBSERV, "shell", *words, "--image", there.image, "--session", name]
        began = time.monotonic()
        with Terminal(command, columns=250) as terminal:
            try:
                terminal.wait_for("collector", seconds=UP_SECONDS)
                terminal.wait_for(PROMPT, seconds=UP_SECONDS)
                print(f"command to prompt: {time.monotonic() - began:.1f} s")
                assert f"session {name} in namespace {there.namespace}:" in terminal.text()
                # In place: nothing of the progress stays on the screen.
                assert "starting" not in terminal.text()
                terminal.wait_for(f"applied {count}/{count}", seconds=UP_SECONDS)
                terminal.wait_until(
                    lambda: seen_rows(terminal), "the nodes' own traffic", seconds=UP_SECONDS
                )
                terminal.type("filter port 9\n")
                terminal.wait_for("filter 1")

                relay.cut()
                terminal.wait_for("no connection to the collector, trying again: ")
                terminal.type("status\n")
                terminal.wait_for("status: the collector does not answer")
                relay.mend()
                terminal.wait_for("connected to the collector again")
                terminal.type("sql SELECT count(*) AS there FROM filter_log;\n")
                terminal.wait_for("1 row")

                terminal.type("detach\n")
                assert terminal.wait_end(seconds=30) == Exit.OK
                text = " ".join(terminal.text().split())
                assert f"netobserv attach {name} --kubeconfig {through}" in text
                assert f"--agent-namespace {there.namespace}" in text

                again = run("shell", *there.words(name), "-c", "status")
                assert again.returncode == Exit.USAGE
                assert again.stderr.startswith(f"netobserv: session {name} is there already in ")
                assert again.stderr.count("\n") == 1

                wrong = run("attach", "travel", *words)
                assert wrong.returncode == Exit.USAGE
                assert wrong.stderr == (
                    f"netobserv: no session 'travel' in namespace {there.namespace}:"
                    f" did you mean '{name}'?\n"
                )
                (collector,) = api.items(
                    "v1", "Pod", namespace=there.namespace,
                    label_selector="app.kubernetes.io/component=collector",
                )  # fmt: skip
                own = OWN_ROWS.format(collector["status"]["podIP"])
                commands = ("filter list", "agents", own)
                asked = [word for each in commands for word in ("-c", each)]
                back = run("attach", *words, *asked, "--format", "csv")
                assert back.returncode == Exit.OK, back.stderr
                assert "port 9" in back.stdout
                assert all(node in back.stdout for node in nodes.names)
                # What agents and collector say to each other is not the cluster's traffic.
                assert "rows,0,1" in back.stdout
                assert "session ended: " in back.stderr
                wait_gone(api, there, name)
            finally:
                there.remove(name)


def seen_rows(terminal: Terminal) -> bool:
    """Whether the toolbar counts some."""
    found = re.findall(r"REC\s+([\d,]+) rows", terminal.screen()[-1])
    return bool(found) and found[-1] != "0"


@pytest.fixture
def wrong_image(there: ClusterShell) -> Iterator[list[str]]:
    words = there.words("lacks")
    words[words.index("--image") + 1] = "localhost/there-is-no-such:1"
    yield words
    there.remove("lacks")


def test_an_image_that_is_not_there_ends_with_its_reason_and_leaves_nothing(
    api: Api, there: ClusterShell, wrong_image: list[str]
) -> None:
    done = run("shell", *wrong_image, "-c", "status")
    assert done.returncode == Exit.NO_AGENT
    assert "netobserv: the collector does not start: ErrImagePull: " in done.stderr or (
        "netobserv: the collector does not start: ImagePullBackOff: " in done.stderr
    )
    assert "Traceback" not in done.stderr
    wait_gone(api, there, "lacks")


def test_what_cannot_be_had_is_one_line_and_changes_nothing(
    there: ClusterShell, kubeconfig: str, nodes: Nodes, tmp_path: Path
) -> None:
    first = nodes.names[0]
    with relayed(kubeconfig, tmp_path) as (relay, through):
        relay.cut()
        cases = {
            ("--context", "no-such-context"): (Exit.USAGE, "no context 'no-such-context' in "),
            ("--kubeconfig", "/none"): (Exit.USAGE, "no kubeconfig: /none is not there; "),
            ("--kubeconfig", through): (Exit.NO_AGENT, "no answer from the API server at "),
            ("--node", f"{first}x"): (Exit.USAGE, f"no node '{first}x': did you mean '{first}'?"),
            ("--node-label", "no.such/label=x"): (Exit.USAGE, "no node has no.such/label=x"),
        }
        for options, (status, line) in cases.items():
            done = run("shell", *there.words("never"), *options, "-c", "status")
            last = done.stderr.splitlines()[-1]
            assert last.startswith(f"netobserv: {line}"), done.stderr
            assert done.returncode == status
            assert ("; with --local it captures" in last) == (status == Exit.NO_AGENT)
    assert not there.api.exists(there.owner("never"))


RIGHTS = (
    {"apiGroups": [""], "resources": ["namespaces", "pods", "services"],
     "verbs": ["get", "list", "watch", "patch", "create"]},
    {"apiGroups": ["apps"], "resources": ["daemonsets", "deployments"], "verbs": ["get", "list"]},
    {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"],
     "verbs": ["get", "create", "delete"]},
)  # fmt: skip
"""Enough to begin with, and not to go on: no bindings, no service accounts."""


def test_without_a_right_all_is_taken_back_and_the_right_is_named(
    api: Api, there: ClusterShell, kubeconfig: str, tmp_path: Path
) -> None:
    name = f"netobserv-test-{there.namespace[-8:]}"
    account: Object = {
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": "default"},
    }  # fmt: skip
    role: Object = {
        "apiVersion": shells.RBAC, "kind": "ClusterRole", "metadata": {"name": name},
        "rules": list(RIGHTS),
    }  # fmt: skip
    binding: Object = {
        "apiVersion": shells.RBAC, "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
    }  # fmt: skip
    words = there.words("halfway")
    try:
        api.apply(account)
        for rights in ([], list(RIGHTS)):
            api.apply(role | {"rules": rights})
            api.apply(binding)
            limited = as_account(kubeconfig, "default", name, tmp_path / "limited.yaml")
            done = run("shell", *words, "--kubeconfig", limited, "-c", "status")
            line = next(each for each in done.stderr.splitlines() if "forbidden" in each)
            assert line.startswith("netobserv: ")
            assert line.endswith("; `netobserv doctor` says what is needed")
            assert done.returncode == Exit.NO_AGENT
            assert ("clusterrolebindings" in line or "serviceaccounts" in line) == bool(rights)
            wait_gone(api, there, "halfway")
    finally:
        for each in (binding, role, account):
            api.delete(each)
        there.remove("halfway")
