"""`netobserv shell` on the cluster: the same driver as on one host, gone from the API server after.

What is left of a session that failed is removed through its ClusterRole, which
owns all of it; then a test that hoped for less says so by itself.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.cluster.manifests import CLUSTER_ROLE, Deployment
from tests.session import Session
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.cluster.manifests import Object
    from tests.cluster.api import Api

RBAC = "rbac.authorization.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class ClusterShell:
    """Opens shells whose sessions live in one namespace, a new one."""

    api: Api
    kubeconfig: str
    image: str
    namespace: str

    def deployment(self, session: str) -> Deployment:
        """Names of what a session makes."""
        return Deployment(image=self.image, namespace=self.namespace, session=session)

    def words(self, session: str) -> list[str]:
        """Options that lead there."""
        return [
            "--kubeconfig", self.kubeconfig, "--agent-namespace", self.namespace,
            "--image", self.image, "--session", session,
        ]  # fmt: skip

    @contextlib.contextmanager
    def session(self, name: str, *options: str) -> Iterator[Session]:
        """Driven by its stdin; returns once the capture runs, ends it on exit."""
        opened = Session(None, *options, place=self.words(name))
        try:
            opened.do()
            yield opened
        finally:
            opened.close()
            self.remove(name)

    @contextlib.contextmanager
    def terminal(self, program: str, name: str, *options: str) -> Iterator[Terminal]:
        """Driven by its keys, on a screen."""
        try:
            with Terminal([program, "shell", *self.words(name), *options]) as shown:
                yield shown
        finally:
            self.remove(name)

    def remove(self, name: str) -> None:
        """What is left of a session, if anything is."""
        self.api.delete(self.owner(name))

    def owner(self, name: str) -> Object:
        """The ClusterRole that owns whatever the session makes."""
        owner = self.deployment(name).owner
        return {"apiVersion": RBAC, "kind": CLUSTER_ROLE, "metadata": {"name": owner}}


def in_new_namespace(api: Api, kubeconfig: str, image: str) -> ClusterShell:
    """The namespace is made by the first session and goes with the last."""
    return ClusterShell(api, kubeconfig, image, f"netobserv-test-{secrets.token_hex(4)}")
