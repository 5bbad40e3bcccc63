"""Pods that are nobody's: no scheduler takes them on, and the test writes what a node
would write into their status."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.cluster.api import Api

# Namespaces of these tests are NetObserv's own by their names: infra, not app.


class Team:
    """A namespace, and pods in it that exist for the API server alone."""

    def __init__(self, api: Api, name: str) -> None:
        self._api = api
        self.name = name
        self.address = f"198.18.{secrets.randbelow(256)}.{secrets.randbelow(256)}"
        """Of no network that a cluster has."""

    def pod(self, name: str, address: str = "", *, labels: dict[str, str] | None = None) -> None:
        """One that a node has just taken on and given the address."""
        self._api.apply({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.name, "labels": labels or {}},
            "spec": {
                "schedulerName": "nobody",
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "main", "image": "none.invalid/none:none"}],
            },
        })  # fmt: skip
        if address:
            self.status(name, podIP=address, startTime=now(), phase="Running")

    def status(self, name: str, **status: str) -> None:
        resource = self._api.client.resources.get(api_version="v1", kind="Pod")
        resource.status.patch(
            name=name, namespace=self.name, content_type="application/merge-patch+json",
            body={"apiVersion": "v1", "kind": "Pod", "status": status},
        )  # fmt: skip

    def service(self, name: str, address: str = "") -> str:
        """Its cluster address."""
        spec: dict[str, Any] = {
            "ports": [{"port": 80, "protocol": "TCP"}],
            "selector": {"app": name},
        }
        made = self._api.apply(
            {"apiVersion": "v1", "kind": "Service",
             "metadata": {"name": name, "namespace": self.name},
             "spec": spec | ({"clusterIP": address} if address else {})}
        )  # fmt: skip
        return str(made["spec"]["clusterIP"])

    def delete(self, kind: str, name: str) -> None:
        self._api.delete(
            {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": self.name}}
        )


def now() -> str:
    """As a kubelet writes it: whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
