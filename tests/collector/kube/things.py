"""Pods, services and nodes for tests, by their addresses as text."""

from __future__ import annotations

from typing import Any

from nshell.collector.kube.inventory import Change
from nshell.collector.kube.objects import Node, Owner, Pod, Service
from nshell.collector.kube.parse import address_bytes

Thing = Pod | Service | Node
S = 1000
"""Milliseconds of a second."""


def pod(name: str, *addresses: str, **others: Any) -> Pod:
    """A pod of a Deployment, on node1."""
    usual: dict[str, Any] = {
        "namespace": "team",
        "uid": f"uid-{name}",
        "node": "node1",
        "host_address": address_bytes("192.0.2.1"),
        "host_network": False,
        "owner": Owner("Deployment", "web"),
        "started_ms": 1 * S,
    }
    return Pod(name=name, addresses=tuple(map(address_bytes, addresses)), **usual | others)


def service(name: str, *addresses: str, **others: Any) -> Service:
    """A service since the first second."""
    usual: dict[str, Any] = {
        "namespace": "team",
        "uid": f"uid-{name}",
        "kind": "ClusterIP",
        "ports": (),
        "selector": {},
        "created_ms": 1 * S,
    }
    return Service(name=name, addresses=tuple(map(address_bytes, addresses)), **usual | others)


def node(name: str, *addresses: str, **others: Any) -> Node:
    """A node since the first second."""
    usual: dict[str, Any] = {"labels": {}, "created_ms": 1 * S, "zone": "a", "ready": True}
    return Node(name=name, addresses=tuple(map(address_bytes, addresses)), **usual | others)


def came(thing: Thing, at_ms: int) -> Change:
    """Seen for the first time."""
    return Change(None, thing, at_ms)


def went(thing: Thing, at_ms: int) -> Change:
    """Seen to be gone."""
    return Change(thing, None, at_ms)
