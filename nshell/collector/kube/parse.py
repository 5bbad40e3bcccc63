"""From the API's JSON to what is kept of it.

Invariant: whatever a member lacks or holds, an object with a name comes out;
only one without a name is an error (KeyError).
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nshell.collector.kube.objects import (
    ContainerPort,
    Node,
    Owner,
    Pod,
    Service,
    ServicePort,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Json = dict[str, Any]

ZONE_LABELS = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_V4_MAPPED = bytes(10) + b"\xff\xff"
_PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
_FINISHED = ("Succeeded", "Failed")
_NO_ADDRESS = ("", "None")


def address_bytes(text: object) -> bytes:
    """16 bytes of an address, empty where it is none."""
    if not isinstance(text, str):
        return b""
    with suppress(OSError):
        return _V4_MAPPED + socket.inet_pton(socket.AF_INET, text)
    with suppress(OSError):
        return socket.inet_pton(socket.AF_INET6, text)
    return b""


def time_ms(text: object) -> int:
    """Of a time as the API writes it, 0 where it is none."""
    if not isinstance(text, str):
        return 0
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return 0


def _part(item: Json, name: str) -> Json:
    """A member that is an object; empty where it is absent or null."""
    part = item.get(name)
    return part if isinstance(part, dict) else {}


def _items(item: Json, name: str) -> list[Json]:
    part = item.get(name)
    return [each for each in part if isinstance(each, dict)] if isinstance(part, list) else []


def _addresses(texts: Iterable[object]) -> tuple[bytes, ...]:
    """Those that are addresses, each once."""
    return tuple(dict.fromkeys(filter(None, map(address_bytes, texts))))


def _texts(item: Json, name: str) -> Mapping[str, str]:
    """Labels; equal texts of many objects are one."""
    return {
        sys.intern(key): sys.intern(value)
        for key, value in _part(item, name).items()
        if isinstance(key, str) and isinstance(value, str)
    }


def controller(metadata: Json) -> Owner | None:
    """Who controls an object, as it says itself."""
    for reference in _items(metadata, "ownerReferences"):
        if reference.get("controller"):
            return Owner(sys.intern(reference["kind"]), sys.intern(reference["name"]))
    return None


def parse_pod(item: Json) -> Pod:
    """A pod; its owner is the next above it, not yet the top."""
    metadata, spec, status = _part(item, "metadata"), _part(item, "spec"), _part(item, "status")
    phase = sys.intern(str(status.get("phase") or ""))
    texts = [status.get("podIP"), *(each.get("ip") for each in _items(status, "podIPs"))]
    name = metadata["name"]
    return Pod(
        namespace=sys.intern(metadata.get("namespace") or ""),
        name=name,
        uid=metadata.get("uid") or "",
        node=sys.intern(spec.get("nodeName") or ""),
        addresses=() if phase in _FINISHED else _addresses(texts),
        host_address=address_bytes(status.get("hostIP")),
        host_network=bool(spec.get("hostNetwork")),
        owner=controller(metadata) or Owner("Pod", name),
        labels=_texts(metadata, "labels"),
        ports=tuple(_container_ports(spec)),
        phase=phase,
        created_ms=time_ms(metadata.get("creationTimestamp")),
        started_ms=time_ms(status.get("startTime")),
        running_ms=_running_ms(status),
    )


def _container_ports(spec: Json) -> Iterable[ContainerPort]:
    for container in _items(spec, "containers"):
        for port in _items(container, "ports"):
            number = port.get("containerPort")
            if isinstance(number, int):
                protocol = _PROTOCOLS.get(port.get("protocol") or "TCP", 0)
                yield ContainerPort(port.get("name") or "", number, protocol)


def _running_ms(status: Json) -> int:
    """First start of a container that is still told of."""
    starts = []
    for name in ("initContainerStatuses", "containerStatuses"):
        for container in _items(status, name):
            for state in (_part(container, "state"), _part(container, "lastState")):
                starts += [
                    time_ms(_part(state, kind).get("startedAt"))
                    for kind in ("running", "terminated")
                ]
    return min(filter(None, starts), default=0)


def parse_service(item: Json) -> Service:
    """A service."""
    metadata, spec = _part(item, "metadata"), _part(item, "spec")
    ingress = _items(_part(_part(item, "status"), "loadBalancer"), "ingress")
    texts: list[object] = [spec.get("clusterIP")]
    for name in ("clusterIPs", "externalIPs"):
        texts += spec.get(name) or []
    texts += [each.get("ip") for each in ingress]
    return Service(
        namespace=sys.intern(metadata.get("namespace") or ""),
        name=metadata["name"],
        uid=metadata.get("uid") or "",
        kind=sys.intern(spec.get("type") or "ClusterIP"),
        addresses=_addresses(text for text in texts if text not in _NO_ADDRESS),
        ports=tuple(_service_ports(spec)),
        selector=_texts(spec, "selector"),
        created_ms=time_ms(metadata.get("creationTimestamp")),
    )


def _service_ports(spec: Json) -> Iterable[ServicePort]:
    for port in _items(spec, "ports"):
        number = port.get("port")
        if isinstance(number, int):
            protocol = _PROTOCOLS.get(port.get("protocol") or "TCP", 0)
            yield ServicePort(
                port.get("name") or "", number, protocol, port.get("targetPort") or number
            )


def parse_node(item: Json) -> Node:
    """A node."""
    metadata, spec, status = _part(item, "metadata"), _part(item, "spec"), _part(item, "status")
    labels = _texts(metadata, "labels")
    networks = [spec.get("podCIDR"), *(spec.get("podCIDRs") or [])]
    return Node(
        name=sys.intern(metadata["name"]),
        addresses=_addresses(each.get("address") for each in _items(status, "addresses")),
        labels=labels,
        zone=next(filter(None, map(labels.get, ZONE_LABELS)), ""),
        pod_networks=tuple(dict.fromkeys(each for each in networks if each)),
        ready=any(
            each.get("type") == "Ready" and each.get("status") == "True"
            for each in _items(status, "conditions")
        ),
        created_ms=time_ms(metadata.get("creationTimestamp")),
    )


def object_key(item: Json) -> tuple[str, str]:
    """Namespace and name of any object."""
    metadata = _part(item, "metadata")
    return metadata.get("namespace") or "", metadata["name"]


def parse_replica_set(item: Json) -> Owner:
    """Who controls it; itself where nobody does."""
    metadata = _part(item, "metadata")
    return controller(metadata) or Owner("ReplicaSet", metadata["name"])
