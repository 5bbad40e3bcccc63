"""What a doctor makes of nodes, quotas and an agent's word, without a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from nshell.cluster import doctornodes, doctorplace, manifests
from nshell.cluster.doctorprobe import of_facts
from nshell.cluster.doctorreport import Check, Report, named
from nshell.cluster.doctorrights import Right, lines, rules
from nshell.cluster.manifests import Deployment

if TYPE_CHECKING:
    from nshell.cluster.manifests import Object

PLAN = Deployment(image="localhost/netobserv-shell:1")


def node(name: str = "n1", *, kernel: str = "6.12.3", **how: Any) -> Object:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/os": "linux", "zone": "a"}},
        "spec": {"taints": how.get("taints", []), "unschedulable": how.get("cordoned", False)},
        "status": {
            "conditions": [{"type": "Ready", "status": how.get("ready", "True")}],
            "images": [{"names": how.get("images", [])}],
            "nodeInfo": {
                "kernelVersion": kernel,
                "operatingSystem": how.get("system", "linux"),
                "architecture": "amd64",
                "containerRuntimeVersion": "containerd://1.7",
            },
        },
    }


@pytest.mark.parametrize(
    ("kernel", "status", "words"),
    [
        ("6.12.3-generic", "ok", "TCX"),
        ("6.6.0", "ok", "TCX"),
        ("5.15.0-91", "ok", "clsact"),
        ("5.10.0", "warning", "locked memory"),
        ("5.4.0-150", "problem", "older than 5.8"),
        ("4.18.0-553.el8_10.x86_64", "warning", "older than 5.8"),
        ("", "warning", "cannot be told"),
    ],
)
def test_a_kernel_is_judged_by_what_came_with_its_version(
    kernel: str, status: str, words: str
) -> None:
    (check,) = doctornodes.of_nodes([node(kernel=kernel)])
    assert check.status == status
    assert words in check.text


def test_nodes_that_are_alike_share_a_line() -> None:
    many = [node(f"n{number}") for number in range(9)]
    (check,) = doctornodes.of_nodes(many)
    assert check.text.startswith("n0, n1, n2 and 6 more: Linux 6.12.3")
    assert named(["b", "a"]) == "a, b"


def test_taints_and_states_are_told() -> None:
    taint = {"key": "gpu", "effect": "NoSchedule"}
    texts = [c.text for c in doctornodes.of_nodes([node(taints=[taint], ready="False")])]
    assert any("tainted gpu:NoSchedule: agents tolerate it" in text for text in texts)
    assert any("not ready" in text for text in texts)
    (check,) = doctornodes.of_nodes([node(system="windows")])
    assert check.text == "n1: windows: no agent runs there"


@pytest.mark.parametrize(
    "how",
    [{"taints": [{"key": "x", "effect": "NoExecute"}]}, {"cordoned": True}, {"ready": "Unknown"}],
)
def test_the_collector_needs_a_node_without_taint(how: dict[str, Any]) -> None:
    (check,) = doctornodes.room_for_collector([node(**how)])
    assert check.status == "problem"
    assert doctornodes.room_for_collector([node(**how), node("n2")]) == []


def test_where_no_node_is_chosen_the_nearest_is_told() -> None:
    nodes = [node("worker-1"), node("worker-2")]
    plan = Deployment(image="i", nodes=("worker1",), node_labels=(("zone", "b"), ("zome", "a")))
    left, found = doctornodes.chosen(nodes, plan)
    assert left == []
    assert [(c.text, c.fix) for c in found] == [
        ("--node worker1: there is no such node", "did you mean 'worker-1'?"),
        ("-l zone=b: no node has it", "there are a"),
        ("-l zome=a: no node has it", "did you mean 'zone'?"),
    ]
    left, found = doctornodes.chosen(nodes, Deployment(image="i", nodes=("worker-2",)))
    assert ([each["metadata"]["name"] for each in left], found) == (["worker-2"], [])


@pytest.mark.parametrize(
    ("image", "listed", "status"),
    [
        ("localhost/netobserv-shell:1", ["localhost/netobserv-shell:1"], "ok"),
        ("localhost/netobserv-shell:1", ["localhost/netobserv-shell:2"], "problem"),
        ("netobserv", ["registry.example/library/netobserv:latest"], "ok"),
        ("registry.example/netobserv:1", [], "ok"),
    ],
)
def test_an_image_is_looked_for_where_kubelets_tell_of_it(
    image: str, listed: list[str], status: str
) -> None:
    (check,) = doctornodes.image([node(images=listed)], image)
    assert check.status == status


def test_an_image_among_too_many_may_be_there_all_the_same() -> None:
    crowded = node()
    crowded["status"]["images"] = [{"names": [f"x:{number}"]} for number in range(50)]
    (check,) = doctornodes.image([crowded], "localhost/netobserv-shell:1")
    assert check.status == "warning"


def quota(hard: dict[str, str], used: dict[str, str]) -> Object:
    return {"metadata": {"name": "few"}, "status": {"hard": hard, "used": used}}


@pytest.mark.parametrize(
    ("hard", "used", "told"),
    [
        ({"pods": "10"}, {"pods": "6"}, 0),
        ({"pods": "10"}, {"pods": "7"}, 1),
        ({"requests.cpu": "250m"}, {}, 0),
        ({"requests.cpu": "0.2"}, {}, 1),
        ({"requests.memory": "1Gi"}, {}, 0),
        ({"requests.memory": "855Mi"}, {}, 1),
        ({"limits.memory": "5Gi"}, {"limits.memory": "1Gi"}, 1),
        ({"services": "0"}, {}, 0),
    ],
)
def test_a_quota_is_compared_with_what_agents_and_collector_take(
    hard: dict[str, str], used: dict[str, str], told: int
) -> None:
    # Three agents of 50m, 200Mi and at most 800Mi; a collector of 100m, 256Mi, 2Gi.
    found = list(doctorplace.quotas([quota(hard, used)], 3, manifests.objects(PLAN)))
    assert len(found) == told


@pytest.mark.parametrize(
    ("level", "admits", "status"),
    [
        ("privileged", True, "ok"),
        ("", True, "ok"),
        ("baseline", True, "problem"),
        ("restricted", False, "warning"),
    ],
)
def test_pod_security_below_privileged_is_told_with_its_remedy(
    level: str, admits: bool, status: str
) -> None:
    labels = {"pod-security.kubernetes.io/enforce": level} if level else {}
    there = {"metadata": {"name": "x", "labels": labels}}
    plan = Deployment(image="i", namespace="x", make_namespace=False)
    (check,) = doctorplace.pod_security(there, plan, admits=admits)
    assert check.status == status
    assert bool(check.fix) == (status != "ok")


def test_policies_that_permit_no_agent_are_told() -> None:
    mild = {"metadata": {"name": "mild"}, "spec": {}}
    strong = {"metadata": {"name": "strong"},
              "spec": {"hostNetwork": True, "allowedCapabilities": ["*"]}}  # fmt: skip
    assert doctorplace.policies([]) == []
    assert "none permits" in doctorplace.policies([mild])[0].text
    assert "to use strong" in doctorplace.policies([mild, strong])[0].text


def test_an_agents_word_becomes_findings() -> None:
    facts = {"kernel": "6.1", "machine": "x86_64", "attach": "clsact", "btf": "", "problem": "",
             "features": {"dns": "", "tcp": "no BTF"}}  # fmt: skip
    good, bad = of_facts(facts)
    assert (good.status, bad.status) == ("ok", "warning")
    assert "clsact" in good.text
    assert bad.text == "feature tcp does not work: no BTF"
    (none,) = of_facts({**facts, "problem": "bpf(2) failed", "capabilities": []})
    assert none.status == "problem"
    assert "capabilities: none" in none.text


def test_rights_are_merged_as_roles_and_lines_spell_them() -> None:
    rights = [
        Right("get", "apps", "daemonsets", namespace="x"),
        Right("list", "apps", "daemonsets", namespace="x"),
        Right("get", "apps", "deployments", namespace="x"),
        Right("list", "apps", "deployments", namespace="x"),
        Right("get", "", "pods", "log", namespace="x", needed=False),
    ]
    assert rules(rights) == [
        {"apiGroups": ["apps"], "resources": ["daemonsets", "deployments"],
         "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    ]  # fmt: skip
    assert lines(rights)[0] == ("get, list daemonsets.apps in namespace x", True)
    assert lines(rights)[2] == ("get pods/log in namespace x", False)


def test_what_comes_from_a_cluster_stays_on_its_line() -> None:
    report = Report([Check("ok", "nodes", "evil\x1b[2J\nproblem: none")])
    (line, *_) = report.text().splitlines()
    assert "\x1b" not in line
    assert line.endswith("problem: none")
    assert json.loads(report.json())["ok"] is True


def test_this_host_is_examined_without_a_cluster() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nshell.cli", "doctor", "--local", "--format", "json"],
        capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert done.returncode == (0 if told["ok"] else 1)
    assert "kernel" in told["nodes"]["localhost"]
