"""What stands in the way of a session in its namespace: admission, quotas, others.

Pure: objects as JSON in, findings out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.cluster.doctorreport import Check, Planned, named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nshell.cluster.manifests import Deployment, Object

_SHORT = 12
"""A sentence of fewer characters says too little alone."""
_ENFORCE = "pod-security.kubernetes.io/enforce"
_SUFFIXES = {
    "": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip
_COUNTED = {
    "pods": ("", ""),
    "cpu": ("requests", "cpu"), "requests.cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"), "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"), "limits.memory": ("limits", "memory"),
}  # fmt: skip
"""What a quota may count and where a container says it."""


def pod_security(namespace: Object | None, plan: Deployment, *, admits: bool) -> list[Check]:
    """Of the namespace that is there; admits: the server looks at its labels."""
    if namespace is not None and "deletionTimestamp" in namespace["metadata"]:
        text = f"{plan.namespace} is being removed: a session waits until it is gone"
        return [Check("warning", "namespace", text)]
    if namespace is None or plan.make_namespace:
        return [Check("ok", "namespace", f"{plan.namespace} is made, labelled privileged")]
    level = (namespace["metadata"].get("labels") or {}).get(_ENFORCE, "")
    name = plan.namespace
    if level in ("privileged", ""):
        told = "enforces privileged" if level else "enforces no level of its own"
        return [Check("ok", "namespace", f"{name} is there and {told}; it is not changed")]
    return [
        Check(
            "problem" if admits else "warning", "namespace",
            f"{name} enforces PodSecurity {level!r}, which refuses agents",
            f"kubectl label --overwrite namespace {name} {_ENFORCE}=privileged",
        )
    ]  # fmt: skip


def policies(listed: Sequence[Object]) -> list[Check]:
    """PodSecurityPolicies, of servers before 1.25."""
    if not listed:
        return []
    fitting = [
        each["metadata"]["name"]
        for each in listed
        if each["spec"].get("hostNetwork")
        and {"*", "BPF"} & set(each["spec"].get("allowedCapabilities") or [])
    ]
    if not fitting:
        text = f"{len(listed)} PodSecurityPolicies, none permits hostNetwork and capability BPF"
        return [Check("warning", "policies", text, "where they are enforced, agents are refused")]
    text = f"PodSecurityPolicies: agents' account must be allowed to use {named(fitting)}"
    return [Check("warning", "policies", text)]


def quotas(listed: Sequence[Object], agents: int, items: Sequence[Object]) -> Iterator[Check]:
    """Whether what a session takes fits in what is left."""
    for quota in listed:
        status = quota.get("status", {})
        for key, hard in status.get("hard", {}).items():
            if key not in _COUNTED:
                continue
            taken = _taken(key, agents, items)
            left = _amount(hard) - _amount(status.get("used", {}).get(key, "0"))
            if taken > left:
                yield Check(
                    "problem", "quota",
                    f"ResourceQuota {quota['metadata']['name']}: {key} {_shown(taken)} are needed,"
                    f" {_shown(max(0.0, left))} of {hard} are left",
                )  # fmt: skip


def limits(listed: Sequence[Object], items: Sequence[Object]) -> Iterator[Check]:
    """Whether a container may be as large as ours are."""
    for limit in listed:
        for rule in limit.get("spec", {}).get("limits", []):
            if rule.get("type") != "Container":
                continue
            for key, most in (rule.get("max") or {}).items():
                ours = max((_of_pod(item, "limits", key) for item in items), default=0.0)
                if ours > _amount(most):
                    text = f"LimitRange {limit['metadata']['name']}: {key} of a container at most"
                    yield Check("problem", "quota", f"{text} {most}, {_shown(ours)} are needed")


def present(plan: Deployment, *, there: bool) -> list[Check]:
    """A session of this name."""
    name = plan.session
    if not there:
        return [Check("ok", "session", f"no session {name} is there yet")]
    return [
        Check("warning", "session", f"session {name} is there in namespace {plan.namespace}",
              "netobserv attach joins it; another --session makes another")
    ]  # fmt: skip


def planned(texts: str, items: Sequence[Object], secrets: Sequence[str]) -> list[Planned]:
    """Every object, with the reason that its manifest gives."""
    documents = ("\n" + texts).split("\n---\n")
    made = []
    for document, item in zip(documents, items, strict=True):
        comment = []
        for line in document.strip().splitlines():
            if not line.startswith("#"):
                break
            comment.append(line.lstrip("# "))
        sentences = " ".join(comment).split(". ")
        why = ". ".join(sentences[: 1 + (len(sentences[0]) < _SHORT)]).rstrip(".")
        made.append(Planned(item["kind"], item["metadata"]["name"], why))
    at = next((i for i, each in enumerate(made) if each.kind == "Service"), len(made))
    why = "Key and certificate for one session, made when it is deployed"
    return [*made[:at], *(Planned("Secret", name, why) for name in secrets), *made[at:]]


def _taken(key: str, agents: int, items: Sequence[Object]) -> float:
    counts = {"DaemonSet": agents, "Deployment": 1}
    kind, resource = _COUNTED[key]
    return sum(
        counts[item["kind"]] * (_of_pod(item, kind, resource) if kind else 1.0)
        for item in items
        if item["kind"] in counts
    )


def _of_pod(item: Object, kind: str, resource: str) -> float:
    template: Mapping[str, Object] = item.get("spec", {}).get("template", {})
    containers = template.get("spec", {}).get("containers", [])
    return sum(_amount(each["resources"].get(kind, {}).get(resource, "0")) for each in containers)


def _amount(quantity: object) -> float:
    text = str(quantity)
    number = text.rstrip("".join(_SUFFIXES))
    try:
        return float(number) * _SUFFIXES[text[len(number) :]]
    except (ValueError, KeyError):
        return 0.0


def _shown(amount: float) -> str:
    return f"{amount / 2**20:.0f}Mi" if amount >= 2**20 else f"{amount:g}"
