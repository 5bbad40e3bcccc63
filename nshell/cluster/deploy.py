"""Puts a session on a cluster, and takes it off again.

Invariant: the session's ClusterRole is made first, by a request that fails where
one is there, and owns whatever follows: deleting it undoes all, at any moment.
"""

from __future__ import annotations

import base64
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nshell.cluster import manifests
from nshell.cluster.api import FIELD_MANAGER, ApiError
from nshell.cluster.progress import COLLECTOR, stage
from nshell.shell.errors import CommandError, Interrupted, Refused, did_you_mean
from nshell.shell.units import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nshell.cluster.api import Api
    from nshell.cluster.manifests import Deployment, Object
    from nshell.tls import Credentials

MANAGED, SESSION, COMPONENT = (
    "app.kubernetes.io/managed-by", "netobserv.io/session", "app.kubernetes.io/component",
)  # fmt: skip
ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
_OPENSHIFT = "security.openshift.io/v1"
_GONE_SECONDS = 180.0
"""A kubelet gives up mounting for a pod after two minutes."""
_POLL_SECONDS = 0.25
_NOT_FOUND, _FORBIDDEN, _CONFLICT = 404, 403, 409


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for."""

    deployment: Deployment
    collector_arguments: Sequence[str] = ()
    """Besides those that only the cluster knows."""


class Deployer:
    """Brings one session up. Its calls wait; another thread may cancel() them."""

    def __init__(self, api: Api, *, say: Callable[[str], None]) -> None:
        self._api = api
        self._say = say
        self._cancelled = threading.Event()
        self.made = False
        """There may be something to remove."""

    def cancel(self) -> None:
        """Make nothing more after the call that is under way."""
        self._cancelled.set()

    def deploy(self, request: Request) -> tuple[Deployment, Credentials]:
        """All of it, and what a shell shows.

        ApiError or Refused where it cannot be, and then some of it may be there.
        """
        plan = self._planned(request.deployment)
        self._say(f"deploying session {plan.session} in namespace {plan.namespace}")
        role, *others = _with_role_first(manifests.objects(plan))
        self._claim(role, plan)
        role = self._api.get(f"{ROLES}/{plan.owner}")
        workloads = ("Deployment", "DaemonSet")
        rest = manifests.owned(others, role)
        for item in rest:
            if item["kind"] not in workloads:
                self._apply(item, plan)
        addresses = self._addresses(plan)
        shells = self._secrets(plan, role, addresses)
        plan = replace(
            plan,
            collector_host=addresses[0] if addresses else "",
            collector_arguments=(
                *request.collector_arguments,
                f"--owner={plan.owner}",
                *(f"--own={each}" for each in addresses),
                *(f"--api-server={each}" for each in self._api_servers()),
            ),
        )
        for item in manifests.owned(manifests.objects(plan), role):
            if item["kind"] in workloads:
                self._apply(item, plan)
        return plan, shells

    def _planned(self, deployment: Deployment) -> Deployment:
        """The same, as this cluster needs it; returns once nothing of an earlier one is there."""
        self._check_nodes(deployment)
        if self._found(f"{ROLES}/{deployment.owner}") is not None:
            raise Refused(_exists(deployment))
        self._await_gone(deployment)
        return replace(
            deployment,
            openshift="SecurityContextConstraints" in self._api.kinds(_OPENSHIFT),
            make_namespace=self._may_own_namespace(deployment.namespace),
        )

    def _check_nodes(self, deployment: Deployment) -> None:
        try:
            nodes = self._api.get("/api/v1/nodes")["items"]
        except ApiError as error:
            if error.status != _FORBIDDEN:
                raise
            return
        known = [str(node["metadata"]["name"]) for node in nodes]
        for name in deployment.nodes:
            if name not in known:
                raise Refused(f"no node {name!r}{did_you_mean(name, known) or _listed(known)}")
        wanted = dict(deployment.node_labels)
        if wanted and not any(
            wanted.items() <= node["metadata"].get("labels", {}).items() for node in nodes
        ):
            pairs = ",".join(f"{key}={value}" for key, value in wanted.items())
            raise Refused(f"no node has {pairs}")

    def _may_own_namespace(self, name: str) -> bool:
        """Whether it is not there, or was made by a session that still is."""
        while (there := self._found(f"/api/v1/namespaces/{name}")) is not None:
            owners = there["metadata"].get("ownerReferences", [])
            ours = there["metadata"].get("labels", {}).get(MANAGED) == FIELD_MANAGER
            if "deletionTimestamp" not in there["metadata"]:
                if not ours or not owners:
                    return False
                if any(self._is_there(owner) for owner in owners):
                    return True
            self._wait(f"namespace {name} is being removed: waiting for its end")
        return True

    def _is_there(self, owner: Object) -> bool:
        found = self._found(f"{ROLES}/{owner['name']}")
        return found is not None and found["metadata"]["uid"] == owner["uid"]

    def _await_gone(self, deployment: Deployment) -> None:
        deadline = time.monotonic() + _GONE_SECONDS
        while left := leftovers(self._api, deployment):
            if time.monotonic() > deadline:
                raise ApiError(
                    f"what is left of an earlier session {deployment.session} does not go away"
                    f" ({left[0]}): netobserv cleanup"
                )
            self._wait(f"the earlier session {deployment.session} is being removed: waiting")

    def _wait(self, why: str) -> None:
        self._say(why)
        if self._cancelled.wait(_POLL_SECONDS):
            raise Interrupted("cancelled")

    def _claim(self, role: Object, plan: Deployment) -> None:
        """Make the owner: of two who try, one is told that it exists."""
        self._check()
        self.made = True
        try:
            self._api.request("POST", ROLES, role, fieldManager=FIELD_MANAGER)
        except ApiError as error:
            self.made = error.status == 0
            if error.status == _CONFLICT:
                raise Refused(_exists(plan)) from error
            raise

    def _apply(self, item: Object, plan: Deployment) -> None:
        self._check()
        # Each session owns a part of the namespace: as one manager they would take
        # each other's away.
        manager = f"{FIELD_MANAGER}-{plan.session}" if item["kind"] == "Namespace" else None
        self._api.apply(item, manager=manager)

    def _addresses(self, plan: Deployment) -> list[str]:
        path = f"/api/v1/namespaces/{plan.namespace}/services/{plan.collector}"
        spec = self._api.get(path)["spec"]
        found = spec.get("clusterIPs") or [spec.get("clusterIP", "")]
        return [each for each in found if each and each != "None"]

    def _api_servers(self) -> list[str]:
        """Their own addresses, where they may be known: shells come through them."""
        try:
            there = self._found("/api/v1/namespaces/default/endpoints/kubernetes") or {}
        except ApiError:
            return []
        subsets = there.get("subsets", [])
        return [str(each["ip"]) for subset in subsets for each in subset.get("addresses", [])]

    def _secrets(self, plan: Deployment, role: Object, addresses: list[str]) -> Credentials:
        from nshell.cluster.certificates import Authority  # noqa: PLC0415 - takes a while

        authority = Authority()
        service = f"{plan.collector}.{plan.namespace}.svc"
        made = {
            plan.collector: authority.collector(*addresses, plan.collector, service),
            plan.agent: authority.agents(),
            shell_secret(plan.session): authority.shells(),
        }
        secrets = [_secret(name, plan, each) for name, each in made.items()]
        for item in manifests.owned(secrets, role):
            self._apply(item, plan)
        return made[shell_secret(plan.session)]

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Interrupted("cancelled")

    def _found(self, path: str) -> Object | None:
        return found(self._api, path)


def shell_secret(session: str) -> str:
    """Name of the Secret with the certificate that shells show."""
    return f"netobserv-{session}-shell"


def found(api: Api, path: str) -> Object | None:
    """What is there, if anything is."""
    try:
        return api.get(path)
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise
        return None


def leftovers(api: Api, deployment: Deployment) -> list[str]:
    """What is there of a session besides its owner, as KIND NAME; pods first."""
    here = f"namespaces/{deployment.namespace}"
    paths = {
        "pod": f"/api/v1/{here}/pods",
        "daemonset": f"/apis/apps/v1/{here}/daemonsets",
        "deployment": f"/apis/apps/v1/{here}/deployments",
        "service": f"/api/v1/{here}/services",
    }
    selector = f"{MANAGED}={FIELD_MANAGER},{SESSION}={deployment.session}"
    return [
        f"{kind} {item['metadata']['name']}"
        for kind, path in paths.items()
        for item in api.get(path, labelSelector=selector)["items"]
    ]


def remove(api: Api, deployment: Deployment) -> bool:
    """Delete the owner, and so by and by everything; whether it was there."""
    return api.delete(f"{ROLES}/{deployment.owner}")


def sessions(api: Api, namespace: str) -> list[str]:
    """Names of those whose collectors are in a namespace."""
    selector = f"{MANAGED}={FIELD_MANAGER},{COMPONENT}=collector"
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    listed = api.get(path, labelSelector=selector)["items"]
    return sorted(str(item["metadata"]["labels"][SESSION]) for item in listed)


def collector_pod(api: Api, deployment: Deployment) -> str:
    """Name of the one that runs; ApiError says why there is none."""
    selector = f"{SESSION}={deployment.session},{COMPONENT}={COLLECTOR}"
    path = f"/api/v1/namespaces/{deployment.namespace}/pods"
    pods = api.get(path, labelSelector=selector)["items"]
    there = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    for pod in there:
        if stage(pod).word == "running":
            return str(pod["metadata"]["name"])
    raise ApiError(f"the collector's pod is not there: {stage(there[0]) if there else 'none'}")


def chosen(api: Api, namespace: str, name: str | None) -> str:
    """The session that is meant; Refused says which there are."""
    there = sessions(api, namespace)
    if not there:
        raise Refused(f"no session in namespace {namespace}; --agent-namespace names another")
    if name is None and len(there) > 1:
        raise Refused(f"{plural(len(there), 'session')} in namespace {namespace}: which of"
                      f" {', '.join(there)}?")  # fmt: skip
    if name is not None and name not in there:
        raise Refused(f"no session {name!r} in namespace {namespace}"
                      f"{did_you_mean(name, there) or _listed(there)}")  # fmt: skip
    return name or there[0]


def credentials(api: Api, namespace: str, session: str) -> Credentials:
    """What a shell of this session shows, as its Secret has it."""
    from nshell.tls import CA_FILE, CERTIFICATE_FILE, KEY_FILE, Credentials  # noqa: PLC0415

    name = shell_secret(session)
    data = api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}").get("data", {})
    try:
        texts = [base64.b64decode(data[each]) for each in (CA_FILE, CERTIFICATE_FILE, KEY_FILE)]
    except (KeyError, ValueError) as error:
        raise CommandError(f"Secret {name} in {namespace} holds no certificate") from error
    return Credentials(*texts)


def _with_role_first(objects: Iterable[Object]) -> list[Object]:
    return sorted(objects, key=lambda item: bool(item["kind"] != manifests.CLUSTER_ROLE))


def _secret(name: str, plan: Deployment, made: Credentials) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": name,
            "namespace": plan.namespace,
            "labels": {
                "app.kubernetes.io/name": "netobserv-shell",
                "app.kubernetes.io/instance": plan.session,
                "app.kubernetes.io/part-of": FIELD_MANAGER,
                MANAGED: FIELD_MANAGER,
                SESSION: plan.session,
            },
        },
        "data": {key: base64.b64encode(text).decode() for key, text in made.files().items()},
    }


def _exists(plan: Deployment) -> str:
    where = elsewhere(plan.namespace)
    return (
        f"session {plan.session} is there already in namespace {plan.namespace}:"
        f" netobserv attach {plan.session}{where}, or choose another --session"
    )


def elsewhere(namespace: str) -> str:
    """The option that names it, where that is needed."""
    from nshell.cluster.names import DEFAULT_NAMESPACE  # noqa: PLC0415

    return "" if namespace == DEFAULT_NAMESPACE else f" --agent-namespace {namespace}"


def _listed(names: Sequence[str]) -> str:
    return f": there are {', '.join(names[:8])}" if names else ""
