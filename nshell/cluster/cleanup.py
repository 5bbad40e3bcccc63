"""Removes whatever is left of any session, made to its end or not.

Invariant: nothing is touched that does not bear our labels; a namespace goes only
if it is ours and nobody else's things are in it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nshell.cluster import deploy
from nshell.cluster.api import FIELD_MANAGER, ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nshell.cluster.api import Api
    from nshell.cluster.manifests import Object

_GONE_SECONDS = 90.0
_POLL_SECONDS = 0.3
_FORBIDDEN, _NOT_FOUND, _CONFLICT = 403, 404, 409
_OURS = f"{deploy.MANAGED}={FIELD_MANAGER}"


@dataclass(frozen=True, slots=True)
class Kind:
    """Where objects of one kind are."""

    group_version: str
    plural: str
    name: str
    namespaced: bool = True
    selector: str = f"{_OURS},{deploy.SESSION}"

    def path(self, namespace: str = "") -> str:
        """Of all of them, or those of a namespace."""
        base = "apis" if "/" in self.group_version else "api"
        within = f"namespaces/{namespace}/" if namespace else ""
        return f"/{base}/{self.group_version}/{within}{self.plural}"


_RBAC = "rbac.authorization.k8s.io/v1"
OWNERS = Kind(_RBAC, "clusterroles", "clusterrole", namespaced=False)
NAMESPACES = Kind("v1", "namespaces", "namespace", namespaced=False, selector=_OURS)
KINDS = (
    # Owners first: what they own goes with them, also what comes into being meanwhile.
    OWNERS,
    Kind(_RBAC, "clusterrolebindings", "clusterrolebinding", namespaced=False),
    Kind("security.openshift.io/v1", "securitycontextconstraints", "securitycontextconstraints",
         namespaced=False),
    Kind("apps/v1", "deployments", "deployment"),
    Kind("apps/v1", "daemonsets", "daemonset"),
    Kind("apps/v1", "replicasets", "replicaset"),
    Kind("v1", "pods", "pod"),
    Kind("v1", "services", "service"),
    Kind("v1", "secrets", "secret"),
    Kind("v1", "serviceaccounts", "serviceaccount"),
)  # fmt: skip
_MADE_BY_OTHERS = ("replicasets", "pods")
"""Made by what is removed: they need no line of their own."""
_FOREIGN = (
    *(each for each in KINDS if each.namespaced),
    Kind("apps/v1", "statefulsets", "statefulset"),
    Kind("batch/v1", "jobs", "job"),
    Kind("v1", "configmaps", "configmap"),
    Kind("v1", "persistentvolumeclaims", "persistentvolumeclaim"),
)
_OF_EVERY_NAMESPACE = {
    "configmap": ("kube-root-ca.crt", "openshift-service-ca.crt"),
    "serviceaccount": ("default", "builder", "deployer"),
}
_TOKEN = "kubernetes.io/service-account-token"  # noqa: S105 - the type's name


@dataclass(frozen=True, slots=True)
class Left:
    """One object of ours."""

    kind: Kind
    name: str
    namespace: str = ""
    going: bool = field(default=False, compare=False)
    """It is being deleted already."""

    @property
    def path(self) -> str:
        return f"{self.kind.path(self.namespace)}/{self.name}"

    def __str__(self) -> str:
        return f"{self.kind.name} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


@dataclass(slots=True)
class Outcome:
    """Of a cleanup."""

    removed: list[Left] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def _left(kind: Kind, metadata: Object) -> Left:
    going = "deletionTimestamp" in metadata
    return Left(kind, metadata["name"], metadata.get("namespace", ""), going)


class Cleanup:
    """Of one namespace, or of all. Its calls wait."""

    def __init__(self, api: Api, namespace: str | None) -> None:
        """namespace: of agents and collectors; None: any."""
        self._api = api
        self._namespace = namespace
        self._kept: set[str] = set()
        """Namespaces that others use too."""

    def find(self) -> list[Left]:
        """What there is, in the order in which it is to be removed."""
        left = [each for kind in KINDS for each in self._listed(kind)]
        return left + [each for each in self._listed(NAMESPACES) if each.name not in self._kept]

    def run(self, left: list[Left], *, tell: Callable[[Left], None]) -> Outcome:
        """Remove it and return when it is gone; tells of each as it is removed."""
        outcome = Outcome()
        # Before its owners go, for the last of them takes it along.
        spared = [each for each in left if each.kind is NAMESPACES and self._spare(each, outcome)]
        for each in left:
            if each not in spared and self._remove(each, outcome):
                outcome.removed.append(each)
                if each.kind.plural not in _MADE_BY_OTHERS:
                    tell(each)
        self._await_gone(outcome)
        return outcome

    def _listed(self, kind: Kind) -> list[Left]:
        namespace = (self._namespace or "") if kind.namespaced else ""
        try:
            items = self._api.get(kind.path(namespace), labelSelector=kind.selector)["items"]
        except ApiError as error:
            # A kind that this server does not have.
            if error.status == _NOT_FOUND:
                return []
            raise
        return [each for item in items if self._is_meant(each := _left(kind, item["metadata"]))]

    def _is_meant(self, each: Left) -> bool:
        if self._namespace is None or each.kind.namespaced:
            return True
        if each.kind is NAMESPACES:
            return each.name == self._namespace
        return each.name.startswith(f"netobserv.{self._namespace}.")

    def _remove(self, each: Left, outcome: Outcome) -> bool:
        """Whether it was there and is to go."""
        try:
            return self._api.delete(each.path)
        except ApiError as error:
            if error.status == _CONFLICT:
                # It is going already.
                return True
            outcome.problems.append(f"{each} stays: {error}")
            return False

    def _spare(self, namespace: Left, outcome: Outcome) -> bool:
        """Whether others use it too; then nothing of ours owns it any more."""
        try:
            others = self._others(namespace.name)
            if not others:
                return False
            self._disown(namespace)
        except ApiError as error:
            outcome.problems.append(f"{namespace} stays: {error}")
        else:
            outcome.problems.append(f"{namespace} stays: {others} is in it")
        self._kept.add(namespace.name)
        return True

    def _others(self, namespace: str) -> str:
        """Something in a namespace that is not ours."""
        for kind in _FOREIGN:
            try:
                items = self._api.get(
                    kind.path(namespace), labelSelector=f"{deploy.MANAGED}!={FIELD_MANAGER}"
                )["items"]
            except ApiError as error:
                if error.status == _NOT_FOUND:
                    continue
                raise
            for item in items:
                name = item["metadata"]["name"]
                of_all = name in _OF_EVERY_NAMESPACE.get(kind.name, ())
                if not of_all and item.get("type") != _TOKEN:
                    return f"{kind.name} {name}"
        return ""

    def _disown(self, namespace: Left) -> None:
        item: Object = self._api.get(namespace.path)
        if item["metadata"].pop("ownerReferences", None):
            self._api.request("PUT", namespace.path, item)

    def _await_gone(self, outcome: Outcome) -> None:
        deadline = time.monotonic() + _GONE_SECONDS
        stuck = {problem.partition(" stays")[0] for problem in outcome.problems}
        left: list[Left] = []
        while time.monotonic() < deadline:
            left = [each for each in self.find() if str(each) not in stuck]
            if not left:
                return
            time.sleep(_POLL_SECONDS)
        outcome.problems += [f"{each} stays: it does not go away" for each in left]
