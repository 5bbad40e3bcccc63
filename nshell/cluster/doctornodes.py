"""What the API server says of nodes, and what that means for agents and collector.

Pure: nodes as JSON in, findings out. What hooks a kernel has cannot be asked from
outside: kubelets tell its version, and only a pod on the node tells more.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nshell.cluster.doctorreport import Check, grouped, named
from nshell.shell.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nshell.cluster.manifests import Deployment, Object

_MACHINES = ("amd64", "arm64")
_NEEDED = (5, 8)  # BPF_MAP_TYPE_RINGBUF; CAP_BPF and CAP_PERFMON
_MEMORY_COUNTED = (5, 11)  # maps count as memory of the cgroup, not as locked pages
_TCX = (6, 6)
_IMAGES_TOLD = 50
"""A kubelet tells of so many images."""
_NO_PODS = ("NoSchedule", "NoExecute")


def chosen(nodes: Sequence[Object], plan: Deployment) -> tuple[list[Object], list[Check]]:
    """Those where agents are to run, and what is wrong with the choice."""
    known = [_name(node) for node in nodes]
    found = [
        Check("problem", "nodes", f"--node {name}: there is no such node",
              _hint(did_you_mean(name, known), known))
        for name in plan.nodes if name not in known
    ]  # fmt: skip
    asked = dict(plan.node_labels)
    for key, value in asked.items():
        values = {_labels(node)[key] for node in nodes if key in _labels(node)}
        if value not in values:
            found.append(_no_such_label(key, value, values, nodes))
    left = [
        node
        for node in nodes
        if (not plan.nodes or _name(node) in plan.nodes) and asked.items() <= _labels(node).items()
    ]
    if not left and not found:
        text = "no node is left: none has all that --node and -l ask for" if nodes else "none there"
        found.append(Check("problem", "nodes", text))
    return left, found


def _no_such_label(key: str, value: str, values: set[str], nodes: Sequence[Object]) -> Check:
    if values:
        hint = _hint(did_you_mean(value, values), sorted(values))
    else:
        hint = did_you_mean(key, {each for node in nodes for each in _labels(node)}).lstrip(": ")
    return Check("problem", "nodes", f"-l {key}={value}: no node has it", hint)


def _hint(near: str, known: Sequence[str]) -> str:
    return near.lstrip(": ") or (f"there are {named(known)}" if known else "")


def of_nodes(nodes: Sequence[Object]) -> list[Check]:
    """Each node's kernel and state; nodes that are alike in one line."""
    return grouped((_name(node), check) for node in nodes for check in _of_node(node))


def _of_node(node: Object) -> Iterator[Check]:
    info = node.get("status", {}).get("nodeInfo", {})
    system, machine = info.get("operatingSystem", ""), info.get("architecture", "")
    if system != "linux":
        yield Check("ok", "nodes", f"{system or 'unknown system'}: no agent runs there")
        return
    yield _kernel(str(info.get("kernelVersion", "")), machine, info)
    if machine not in _MACHINES:
        text = f"machine {machine}: the image is made for {' and '.join(_MACHINES)}"
        yield Check("warning", "nodes", text)
    if not _is_ready(node):
        yield Check("warning", "nodes", "not ready: its agent comes when it is")
    if taints := node.get("spec", {}).get("taints"):
        told = ", ".join(sorted({f"{t.get('key')}:{t.get('effect')}" for t in taints}))
        yield Check("ok", "nodes", f"tainted {told}: agents tolerate it")


def _kernel(release: str, machine: str, info: Object) -> Check:
    facts = f"Linux {release}, {machine}, {info.get('containerRuntimeVersion', '')}"
    version = _version(release)
    if not version:
        return Check("warning", "kernel", f"{facts}: how old that is cannot be told")
    if version < _NEEDED:
        # Of these distributors' kernels the version says little.
        backports = bool(re.search(r"\.(el|amzn)\d", release))
        return Check(
            "warning" if backports else "problem", "kernel",
            f"{facts}: older than 5.8, which brought ring buffers, CAP_BPF and CAP_PERFMON",
            "--probe tells whether it has them all the same" if backports else "",
        )  # fmt: skip
    if version < _MEMORY_COUNTED:
        return Check("warning", "kernel", f"{facts}: before 5.11 a limit on locked memory holds",
                     "--probe tells whether an agent keeps within it")  # fmt: skip
    hooks = "TCX links" if version >= _TCX else "clsact"
    return Check("ok", "kernel", f"{facts}: ring buffers, {hooks}; only --probe tells of BTF")


def room_for_collector(nodes: Sequence[Object]) -> list[Check]:
    """It tolerates no taint."""
    free = [
        node
        for node in nodes
        if _labels(node).get("kubernetes.io/os") == "linux"
        and _is_ready(node)
        and not node.get("spec", {}).get("unschedulable")
        and not any(t["effect"] in _NO_PODS for t in node.get("spec", {}).get("taints") or [])
    ]
    if free or not nodes:
        return []
    text = "no node takes the collector: each is tainted, cordoned or not ready"
    return [Check("problem", "nodes", text)]


def image(nodes: Sequence[Object], name: str) -> list[Check]:
    """Where it is, as far as kubelets tell, and where it comes from if it is not."""
    without: list[str] = []
    unsure: list[str] = []
    for node in nodes:
        listed = node.get("status", {}).get("images", [])
        if any(_is_image(name, each) for entry in listed for each in entry.get("names") or []):
            continue
        (unsure if len(listed) >= _IMAGES_TOLD else without).append(_name(node))
    if not without and not unsure:
        return [Check("ok", "image", f"{name} is on every node")] if nodes else []
    missing = named([*without, *unsure])
    if name.startswith("localhost/"):
        return [
            Check("warning" if not without else "problem", "image",
                  f"{name} is not seen on {missing}, and is pulled from nowhere",
                  "load it there, or name another with --image")
        ]  # fmt: skip
    return [Check("ok", "image", f"{name} is pulled on {missing}: the policy is IfNotPresent")]


def _is_image(wanted: str, listed: str) -> bool:
    """Kubelets spell names in full: a short one has a registry and a path before it."""
    last = wanted.rpartition("/")[2]
    full = wanted if ":" in last or "@" in last else f"{wanted}:latest"
    return listed == full or listed.endswith(f"/{full}")


def _version(release: str) -> tuple[int, int] | None:
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match[1]), int(match[2])) if match else None


def _is_ready(node: Object) -> bool:
    return any(
        each["type"] == "Ready" and each["status"] == "True"
        for each in node.get("status", {}).get("conditions", [])
    )


def _name(node: Object) -> str:
    return str(node["metadata"]["name"])


def _labels(node: Object) -> dict[str, Any]:
    return dict(node["metadata"].get("labels") or {})
