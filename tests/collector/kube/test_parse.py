"""What is kept of the API's JSON."""

from __future__ import annotations

from typing import Any

import pytest

from nshell.collector.kube.objects import ContainerPort, Owner, ServicePort
from nshell.collector.kube.parse import (
    ZONE_LABELS,
    address_bytes,
    parse_node,
    parse_pod,
    parse_replica_set,
    parse_service,
    time_ms,
)

V4 = bytes(10) + b"\xff\xff"

POD: dict[str, Any] = {
    "metadata": {
        "name": "web-5d4f-abcde",
        "namespace": "team",
        "uid": "u1",
        "creationTimestamp": "2026-11-24T14:00:00Z",
        "labels": {"app": "web", "pod-template-hash": "5d4f"},
        "ownerReferences": [
            {"kind": "Foo", "name": "other"},
            {"kind": "ReplicaSet", "name": "web-5d4f", "controller": True},
        ],
    },
    "spec": {
        "nodeName": "node1",
        "containers": [
            {"name": "a", "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]},
            {"name": "b", "ports": [{"containerPort": 53, "protocol": "UDP"}]},
            {"name": "c"},
        ],
    },
    "status": {
        "phase": "Running",
        "hostIP": "192.0.2.1",
        "podIP": "10.0.0.7",
        "podIPs": [{"ip": "10.0.0.7"}, {"ip": "2001:db8::7"}],
        "startTime": "2026-11-24T14:00:01Z",
        "containerStatuses": [
            {"state": {"running": {"startedAt": "2026-11-24T14:00:09Z"}},
             "lastState": {"terminated": {"startedAt": "2026-11-24T14:00:03Z"}}},
            {"state": {"waiting": {"reason": "ImagePullBackOff"}}},
        ],
    },
}  # fmt: skip
CREATED_MS = 1795528800_000


def test_a_pod_is_read_with_all_that_is_kept() -> None:
    pod = parse_pod(POD)
    assert (pod.namespace, pod.name, pod.uid, pod.node) == ("team", "web-5d4f-abcde", "u1", "node1")
    assert pod.addresses == (V4 + bytes([10, 0, 0, 7]), bytes.fromhex("20010db8" + "0" * 22 + "07"))
    assert pod.host_address == V4 + bytes([192, 0, 2, 1])
    assert not pod.host_network
    assert pod.owner == Owner("ReplicaSet", "web-5d4f")
    assert pod.labels == {"app": "web", "pod-template-hash": "5d4f"}
    assert pod.ports == (ContainerPort("http", 8080, 6), ContainerPort("", 53, 17))
    assert pod.phase == "Running"
    times = (pod.created_ms, pod.started_ms, pod.running_ms)
    assert times == (CREATED_MS, CREATED_MS + 1000, CREATED_MS + 3000)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_finished_has_no_address(phase: str) -> None:
    assert parse_pod(POD | {"status": POD["status"] | {"phase": phase}}).addresses == ()


def test_a_pod_that_is_only_a_name_is_its_own_owner() -> None:
    pod = parse_pod({"metadata": {"name": "p"}, "spec": None})
    assert pod.owner == Owner("Pod", "p")
    assert (pod.addresses, pod.node, pod.host_address, pod.started_ms) == ((), "", b"", 0)


@pytest.mark.parametrize("strange", [
    {"status": {"podIP": "10.0.0.300", "startTime": "yesterday", "podIPs": None}},
    {"status": {"podIP": 7, "startTime": 7, "podIPs": ["x"]}},
    {"spec": {"containers": [{"ports": [{"containerPort": "x"}]}]}},
    {"metadata": {"name": "p", "labels": {"a": None}, "ownerReferences": None}},
])  # fmt: skip
def test_what_makes_no_sense_is_as_if_it_were_absent(strange: dict[str, Any]) -> None:
    pod = parse_pod({"metadata": {"name": "p"}} | strange)
    assert (pod.addresses, pod.ports, pod.labels, pod.started_ms) == ((), (), {}, 0)


def test_a_service_has_its_own_addresses_and_where_its_ports_lead() -> None:
    service = parse_service({
        "metadata": {"name": "web", "namespace": "team", "uid": "s1"},
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.96.0.1",
            "clusterIPs": ["10.96.0.1", "fd00::1"],
            "externalIPs": ["198.51.100.1"],
            "selector": {"app": "web"},
            "ports": [
                {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"},
                {"port": 53, "protocol": "UDP"},
            ],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}, {"hostname": "lb"}]}},
    })  # fmt: skip
    wanted = ("10.96.0.1", "fd00::1", "198.51.100.1", "203.0.113.9")
    assert service.addresses == tuple(map(address_bytes, wanted))
    assert service.ports == (ServicePort("http", 80, 6, "http"), ServicePort("", 53, 17, 53))
    assert (service.kind, service.selector) == ("LoadBalancer", {"app": "web"})


@pytest.mark.parametrize("spec", [
    {"clusterIP": "None", "clusterIPs": ["None"]},
    {"type": "ExternalName", "externalName": "elsewhere.example"},
])  # fmt: skip
def test_a_service_without_addresses_has_none(spec: dict[str, Any]) -> None:
    assert parse_service({"metadata": {"name": "s"}, "spec": spec}).addresses == ()


@pytest.mark.parametrize(("labels", "zone"), [
    ({ZONE_LABELS[0]: "eu-1a", ZONE_LABELS[1]: "x"}, "eu-1a"),
    ({"failure-domain.beta.kubernetes.io/zone": "eu-1b"}, "eu-1b"),
    ({"zone": "eu-1c"}, ""),
])  # fmt: skip
def test_a_node_has_the_zone_of_its_labels(labels: dict[str, str], zone: str) -> None:
    node = parse_node({"metadata": {"name": "n", "labels": labels}})
    assert node.zone == zone
    assert not node.ready


def test_a_node_is_read_with_all_that_is_kept() -> None:
    node = parse_node({
        "metadata": {"name": "n1", "creationTimestamp": "2026-11-24T14:00:00Z"},
        "spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24", "fd00:1::/64"]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "192.0.2.1"},
                          {"type": "Hostname", "address": "n1"}],
            "conditions": [{"type": "DiskPressure", "status": "False"},
                           {"type": "Ready", "status": "True"}],
        },
    })  # fmt: skip
    assert node.addresses == (address_bytes("192.0.2.1"),)
    assert node.pod_networks == ("10.1.0.0/24", "fd00:1::/64")
    assert node.ready
    assert node.created_ms == CREATED_MS


def test_a_replica_set_names_who_controls_it() -> None:
    reference = {"kind": "Deployment", "name": "web", "controller": True}
    owned = {"metadata": {"name": "web-1", "ownerReferences": [reference]}}
    assert parse_replica_set(owned) == Owner("Deployment", "web")
    assert parse_replica_set({"metadata": {"name": "rs"}}) == Owner("ReplicaSet", "rs")


def test_times_have_fractions_and_zones() -> None:
    assert time_ms("2026-11-24T15:00:00.250+01:00") == CREATED_MS + 250
