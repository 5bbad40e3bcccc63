"""What a session tells its shells of pods, services and nodes, for completion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nshell.collector.kube.describe import MOST, describe
from nshell.collector.kube.objects import Node, Owner, Pod, Service
from nshell.proto import session_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Held:
    """What an inventory holds."""

    pods: dict[tuple[str, str], Pod] = field(default_factory=dict)
    services: dict[tuple[str, str], Service] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)

    def pod(
        self, namespace: str, name: str, *, owner: Owner, labels: Mapping[str, str] | None = None
    ) -> None:
        self.pods[namespace, name] = Pod(
            namespace=namespace, name=name, uid=name, node="node1", addresses=(),
            host_address=b"", host_network=False, owner=owner, labels=labels or {},
        )  # fmt: skip

    def service(self, namespace: str, name: str) -> None:
        self.services[namespace, name] = Service(
            namespace=namespace, name=name, uid=name, kind="ClusterIP", addresses=(), ports=(),
            selector={},
        )  # fmt: skip


WEB = Owner("Deployment", "web")


def described(held: Held) -> pb.Description:
    description = pb.Description()
    describe(held, description)
    return description


def test_names_are_spelled_as_a_filter_takes_them() -> None:
    held = Held(nodes={name: Node(name, (), {}) for name in ("node2", "node1")})
    held.pod("shop", "web-1", owner=WEB, labels={"app": "web", "pod-template-hash": "5f7"})
    held.pod("shop", "web-2", owner=WEB, labels={"app": "web", "empty": ""})
    held.pod("jobs", "alone", owner=Owner("Pod", "alone"))
    held.service("data", "db")
    told = described(held)
    assert told.pods == ["jobs/alone", "shop/web-1", "shop/web-2"]
    assert told.services == ["data/db"]
    assert told.namespaces == ["data", "jobs", "shop"]
    assert told.nodes == ["node1", "node2"]
    assert told.owners == ["deployment/web", "pod/alone"]
    assert told.labels == ["app=web", "empty="]


def test_of_very_many_pods_every_namespace_keeps_its_share() -> None:
    held = Held()
    for number in range(5000):
        labels = {"app": f"app-{number % 40}", "one": str(number)}
        held.pod("big", f"pod-{number:04}", owner=WEB, labels=labels)
    for number in range(10):
        held.pod("small", f"pod-{number}", owner=WEB)
    told = described(held)
    assert len(told.pods) == MOST
    assert sum(name.startswith("small/") for name in told.pods) == 10
    assert list(told.pods) == sorted(told.pods)
    assert len(told.labels) == MOST
    assert {f"app=app-{number}" for number in range(40)} <= set(told.labels)
