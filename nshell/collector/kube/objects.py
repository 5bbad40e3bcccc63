"""What is kept of pods, services and nodes: plain data, made from the API's JSON.

Invariant: an address is 16 bytes, IPv4 as ::ffff:a.b.c.d, as in the wire format.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Owner:
    """Who made a pod: the controller at the top, such as a Deployment."""

    kind: str
    """As the API spells it; of a pod without a controller, Pod."""
    name: str


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port that a container declares."""

    name: str
    number: int
    protocol: int
    """IP protocol number."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod."""

    namespace: str
    name: str
    uid: str
    node: str
    """Where it runs, empty until it is scheduled."""
    addresses: tuple[bytes, ...]
    """None until it has one, and when it has finished."""
    host_address: bytes
    """Of its node, empty until known."""
    host_network: bool
    """Its address is its node's."""
    owner: Owner
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[ContainerPort, ...] = ()
    phase: str = ""
    created_ms: int = 0
    started_ms: int = 0
    """When its node took it on, 0: not yet; it has no address before."""
    running_ms: int = 0
    """When its first container started, 0: not yet; it surely has its address since."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a service and where it leads."""

    name: str
    number: int
    protocol: int
    """IP protocol number."""
    target: int | str
    """Of the pods behind it: a number or the name of a container's port."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service."""

    namespace: str
    name: str
    uid: str
    kind: str
    """Its type, such as ClusterIP."""
    addresses: tuple[bytes, ...]
    """Its own: cluster, external and load balancer addresses; none when headless."""
    ports: tuple[ServicePort, ...]
    selector: Mapping[str, str]
    """Labels of the pods behind it; empty: it has none that we know."""
    created_ms: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """One node."""

    name: str
    addresses: tuple[bytes, ...]
    labels: Mapping[str, str]
    zone: str = ""
    pod_networks: tuple[str, ...] = ()
    """Networks that its pods have addresses of, as text."""
    ready: bool = False
    created_ms: int = 0
