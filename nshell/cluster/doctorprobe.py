"""Asks nodes themselves: a pod on each runs `netobserv-agent --check` and goes.

Invariant: whatever happens, a probe's pods end by themselves, and one object owns
them and whatever else was made for them; it is deleted when the block ends.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nshell.cluster import manifests
from nshell.cluster.api import FIELD_MANAGER, ApiError
from nshell.cluster.deploy import ROLES, found
from nshell.cluster.doctorreport import Check, grouped
from nshell.cluster.progress import stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nshell.cluster.api import Api
    from nshell.cluster.manifests import Deployment, Object

MOST = 50
"""Nodes that are probed."""
_SECONDS = 60.0
_GONE_SECONDS = 60.0
_FINAL = ("ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError")
"""What does not get better by itself."""
_POLL_SECONDS = 0.5
_KINDS = ("Namespace", "ServiceAccount", "SecurityContextConstraints")
"""That a probe needs of what a session makes."""


@dataclass(slots=True)
class Probe:
    """One round over some nodes. Its calls wait."""

    api: Api
    plan: Deployment
    say: Callable[[str], None]
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each node's agent told."""
    problems: dict[str, str] = field(default_factory=dict)
    """Why one told nothing."""

    def run(self, nodes: Sequence[str]) -> list[Check]:
        """Ask them and clean up; ApiError where the server refuses what is needed."""
        chosen = list(nodes)[:MOST]
        # Of a session's own names it uses none: a session may be there.
        plan = replace(self.plan, session=f"doctor-{secrets.token_hex(3)}")
        items = manifests.objects(plan)
        role = next(item for item in items if item["kind"] == manifests.CLUSTER_ROLE)
        owner = f"{ROLES}/{plan.owner}"
        self.say(f"probing {len(chosen)} of {len(nodes)} nodes with pods of {plan.image}")
        try:
            made = self.api.request("POST", ROLES, role | {"rules": []}, fieldManager=FIELD_MANAGER)
            self._make(items, made, plan)
            self._await(plan, self._pods(items, made, plan, chosen))
        finally:
            with suppress(ApiError):
                self.api.delete(owner)
        return [*self._checks(chosen), *self._await_gone(plan)]

    def _make(self, items: Sequence[Object], role: Object, plan: Deployment) -> None:
        wanted = [
            item
            for item in items
            if item["kind"] in _KINDS and item["metadata"]["name"] != plan.collector
        ]
        for item in manifests.owned(wanted, role):
            manager = f"{FIELD_MANAGER}-{plan.session}" if item["kind"] == "Namespace" else None
            self.api.apply(item, manager=manager)

    def _pods(
        self, items: Sequence[Object], role: Object, plan: Deployment, nodes: Sequence[str]
    ) -> dict[str, str]:
        """Node by pod; the agents' own template, so that it is what would be refused."""
        daemons = next(item for item in items if item["kind"] == "DaemonSet")
        pods = {}
        for number, node in enumerate(nodes):
            name = f"netobserv-{plan.session}-{number}"
            (pod,) = manifests.owned([_pod(daemons, name, node, plan)], role)
            try:
                self.api.apply(pod)
            except ApiError as error:
                if error.status == 0:
                    raise
                self.problems[node] = str(error)
            else:
                pods[name] = node
        return pods

    def _await(self, plan: Deployment, pods: dict[str, str]) -> None:
        """Until each has told or the time is over."""
        here = f"/api/v1/namespaces/{plan.namespace}/pods"
        waiting, deadline = dict(pods), time.monotonic() + _SECONDS
        last: dict[str, str] = {}
        while waiting and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            listed = self.api.get(here, labelSelector=f"netobserv.io/session={plan.session}")
            for pod in listed["items"]:
                name = pod["metadata"]["name"]
                if name in waiting and self._told(pod, f"{here}/{name}/log", waiting[name]):
                    del waiting[name]
                last[name] = str(stage(pod))
        for name, node in waiting.items():
            self.problems[node] = f"no answer within {_SECONDS:.0f} s: {last.get(name, 'no pod')}"

    def _told(self, pod: Object, log: str, node: str) -> bool:
        """Whether no more can be expected of this pod."""
        now = stage(pod)
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            if now.word in _FINAL:
                self.problems[node] = f"its pod does not start: {now}"
            return now.word in _FINAL
        try:
            text = self.api.text(log, tailLines=5)
        except ApiError as error:
            if not error.status:
                raise
            text = ""  # no container ever ran
        for line in reversed(text.splitlines()):
            with suppress(ValueError):
                if isinstance(facts := json.loads(line), dict):
                    self.facts[node] = facts
                    return True
        self.problems[node] = f"its pod told nothing: {stage(pod, said=text.strip())}"
        return True

    def _await_gone(self, plan: Deployment) -> list[Check]:
        """Nothing to be said when all of it is."""
        deadline = time.monotonic() + _GONE_SECONDS
        here = f"/api/v1/namespaces/{plan.namespace}/pods"
        while time.monotonic() < deadline:
            owner = found(self.api, f"{ROLES}/{plan.owner}")
            if owner is None and not self._left(here, plan) and not self._is_ending(plan):
                return []
            time.sleep(_POLL_SECONDS)
        text = f"{plan.session} is not gone yet after {_GONE_SECONDS:.0f} s"
        return [Check("warning", "probe", text, "`netobserv cleanup` removes what stays")]

    def _is_ending(self, plan: Deployment) -> bool:
        """Whether the namespace goes too: no session shares it."""
        there = found(self.api, f"/api/v1/namespaces/{plan.namespace}")
        if there is None or not plan.make_namespace:
            return False
        owners = there["metadata"].get("ownerReferences", [])
        return all(found(self.api, f"{ROLES}/{owner['name']}") is None for owner in owners)

    def _left(self, here: str, plan: Deployment) -> list[Object]:
        selector = f"netobserv.io/session={plan.session}"
        items: list[Object] = self.api.get(here, labelSelector=selector)["items"]
        return items

    def _checks(self, nodes: Sequence[str]) -> list[Check]:
        found = []
        for node in nodes:
            if node in self.facts:
                found += [(node, check) for check in of_facts(self.facts[node])]
            else:
                told = self.problems.get(node, "it told nothing")
                found.append((node, Check("problem", "probe", told)))
        return grouped(found)


def of_facts(facts: dict[str, Any]) -> list[Check]:
    """Findings from what an agent's --check told of its node."""
    kernel = f"Linux {facts.get('kernel')}, {facts.get('machine')}"
    if problem := facts.get("problem"):
        held = ", ".join(facts.get("capabilities", [])) or "none"
        return [Check("problem", "probe", f"{kernel}: {problem} (capabilities: {held})")]
    found = []
    features = facts.get("features", {})
    works = [name for name, reason in features.items() if not reason]
    hooks = "TCX links" if facts.get("attach") == "tcx" else "clsact"
    found.append(
        Check("ok", "probe", f"{kernel}: programs load, {hooks}, BTF"
              f" {'missing' if facts.get('btf') else 'readable'};"
              f" features {', '.join(works) or 'none'}")
    )  # fmt: skip
    for name, reason in features.items():
        if reason:
            found.append(Check("warning", "probe", f"feature {name} does not work: {reason}"))
    return found


def _pod(daemons: Object, name: str, node: str, plan: Deployment) -> Object:
    template = deepcopy(daemons["spec"]["template"])
    spec = template["spec"]
    (container,) = spec["containers"]
    container["command"], container["args"] = ["netobserv-agent"], ["--check"]
    container["volumeMounts"] = [m for m in container["volumeMounts"] if m["name"] != "tls"]
    container.pop("env", None)
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] != "tls"]
    spec |= {
        "nodeName": node, "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
        "activeDeadlineSeconds": 2 * int(_SECONDS),
    }  # fmt: skip
    spec.pop("affinity", None)
    spec.pop("nodeSelector", None)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": plan.namespace, **template["metadata"]},
        "spec": spec,
    }
