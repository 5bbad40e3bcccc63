"""What one must be allowed to run a session, and what of it one is not.

Invariant: rights to make objects follow from the manifests themselves; only what a
session asks of the API server besides is listed here.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nshell.cluster import manifests
from nshell.cluster.deploy import shell_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nshell.cluster.api import Api
    from nshell.cluster.manifests import Deployment, Object

RBAC = "rbac.authorization.k8s.io"
_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Right:
    """To do one thing to one sort of object."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    name: str = ""
    """The only object that it is needed for; empty: any."""
    namespace: str = ""
    """Where; empty: the whole cluster, or what is in no namespace."""
    needed: bool = True
    """False: a session works without, but tells less."""

    @property
    def full_resource(self) -> str:
        """As a role spells it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def attributes(self) -> dict[str, str]:
        """As a review asks for it."""
        asked = {
            "verb": self.verb, "group": self.group, "resource": self.resource,
            "subresource": self.subresource, "name": self.name, "namespace": self.namespace,
        }  # fmt: skip
        return {key: value for key, value in asked.items() if value}


def needed(
    plan: Deployment, *, path_of: Callable[[Object], str], may: Callable[[Right], bool]
) -> list[Right]:
    """All that a session takes, each once.

    `path_of` tells where the API has an object; `may` is asked about the rights that
    stand in for others.
    """
    items = manifests.objects(plan)
    found = list(_of_objects(items, path_of, plan))
    if not all(may(Right(verb, RBAC, "clusterroles", name=plan.owner)) for verb in _UNCHECKED):
        found += _of_role(items)
    return list(dict.fromkeys([*found, *_besides(plan)]))


_UNCHECKED = ("escalate", "bind")
"""Who has these may give away rights that he has not."""


def _of_objects(
    items: Iterable[Object], path_of: Callable[[Object], str], plan: Deployment
) -> Iterator[Right]:
    for item in items:
        group = item["apiVersion"].rpartition("/")[0]
        meta = item["metadata"]
        made = Right("create", group, path_of(item).split("/")[-2],
                     namespace=meta.get("namespace", ""))  # fmt: skip
        yield made
        name = "" if made.namespace else meta["name"]
        # The owner is made by a request of its own and changed by none.
        for verb in ("get", "delete") if meta["name"] == plan.owner and _owns(item) else ("patch",):
            yield replace(made, verb=verb, name=name)


def _owns(item: Object) -> bool:
    return bool(item["kind"] == manifests.CLUSTER_ROLE)


def _of_role(items: Iterable[Object]) -> Iterator[Right]:
    """What the collector may do: nobody gives away more than he has."""
    for item in items:
        for rule in item.get("rules", []) if _owns(item) else []:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for name in rule.get("resourceNames", [""]):
                        for verb in rule["verbs"]:
                            yield Right(verb, group, resource, name=name)


def _besides(plan: Deployment) -> Iterator[Right]:
    """What a session asks for besides making its objects."""
    here = plan.namespace
    yield Right("get", "", "namespaces", name=here)
    yield Right("list", "", "nodes", needed=False)
    for verb in ("create", "patch"):
        yield Right(verb, "", "secrets", namespace=here)
    yield Right("get", "", "secrets", name=shell_secret(plan.session), namespace=here)
    yield Right("get", "", "services", namespace=here)
    for group, resource in (
        ("", "pods"), ("", "services"), ("apps", "daemonsets"), ("apps", "deployments"),
    ):  # fmt: skip
        yield Right("list", group, resource, namespace=here)
    for resource in ("daemonsets", "deployments"):
        yield Right("get", "apps", resource, namespace=here)
    # A web socket is asked for by GET; newer servers want the right to create as well.
    for verb in ("get", "create"):
        yield Right(verb, "", "pods", "portforward", namespace=here)
    yield Right("get", "", "pods", "log", namespace=here, needed=False)
    yield Right("list", "", "events", namespace=here, needed=False)


class Reviews:
    """Asks the API server, each question once; ApiError where it does not answer."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._answers: dict[Right, bool] = {}

    def may(self, right: Right) -> bool:
        """Whether we are allowed."""
        known = self._answers.get(right)
        if known is None:
            body = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": right.attributes()},
            }
            answer = self._api.request("POST", _REVIEW, body)
            known = self._answers[right] = bool(answer.get("status", {}).get("allowed"))
        return known

    def lacking(self, rights: Sequence[Right]) -> list[Right]:
        """Those that we have not."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="review") as several:
            allowed = list(several.map(self.may, rights))
        return [right for right, has in zip(rights, allowed, strict=True) if not has]


def lines(rights: Iterable[Right]) -> list[tuple[str, bool]]:
    """One for each sort of object: its verbs, its name, where; and whether it is needed."""
    merged: dict[Right, list[str]] = defaultdict(list)
    for right in rights:
        merged[replace(right, verb="")].append(right.verb)
    found = []
    for right, verbs in merged.items():
        what = f"{right.full_resource}.{right.group}" if right.group else right.full_resource
        name = f" {right.name}" if right.name else ""
        where = f" in namespace {right.namespace}" if right.namespace else ""
        found.append((f"{', '.join(verbs)} {what}{name}{where or ' in the cluster'}", right.needed))
    return found


def rules(rights: Iterable[Right]) -> list[Object]:
    """For a role: verbs that go for the same objects in one rule."""
    merged: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for right in rights:
        verbs = merged[right.group, right.full_resource, right.name]
        if right.verb not in verbs:
            verbs.append(right.verb)
    by_verbs: dict[tuple[str, str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource, name), verbs in merged.items():
        by_verbs[group, name, tuple(verbs)].append(resource)
    return [
        {
            "apiGroups": [group],
            "resources": resources,
            **({"resourceNames": [name]} if name else {}),
            "verbs": list(verbs),
        }
        for (group, name, verbs), resources in by_verbs.items()
    ]


def roles(plan: Deployment, rights: Sequence[Right], subject: Object) -> list[Object]:
    """Objects that give a subject these rights and nothing else, namespaced where that does."""
    name = f"netobserv-{plan.session}-operator"
    cluster = [right for right in rights if not right.namespace]
    here = [right for right in rights if right.namespace]
    scopes: tuple[tuple[str, dict[str, Any], list[Right]], ...] = (
        ("ClusterRole", {"name": f"{name}.{plan.namespace}"}, cluster),
        ("Role", {"name": name, "namespace": plan.namespace}, here),
    )
    made: list[Object] = []
    for kind, metadata, those in scopes:
        version = f"{RBAC}/v1"
        role = {"apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules(those)}
        binding = {
            "apiVersion": version,
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": metadata["name"]},
            "subjects": [subject],
        }
        made += [role, binding]
    return made


def namespace_for(plan: Deployment) -> list[Object]:
    """The namespace as an administrator makes it: it stays when sessions go."""
    for item in manifests.objects(replace(plan, make_namespace=True)):
        if item["kind"] == "Namespace":
            labels = {
                key: value
                for key, value in item["metadata"]["labels"].items()
                if key.startswith("pod-security.")
            }
            return [item | {"metadata": item["metadata"] | {"labels": labels}}]
    return []
