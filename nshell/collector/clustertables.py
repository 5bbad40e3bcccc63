"""What rows say of a cluster: columns of owners of addresses, tables of who there is.

Invariant: declarations alone; without a cluster the columns are NULL and the
tables empty.
"""

from __future__ import annotations

from nshell.collector.relations import Table, columns


def owner(prefix: str, end: str, *names: str) -> tuple[str, ...]:
    """Columns that say who had an end's address at the time of the row."""
    summaries = {  # in the order of OWNER
        "Name": f"who has the {end}'s address: pod, service or node; NULL when nobody known",
        "Namespace": "its namespace; NULL of a node",
        "Type": "Pod, Service or Node",
        "OwnerName": "who made it: such as its Deployment; itself when nobody did",
        "OwnerType": "such as Deployment, StatefulSet, DaemonSet, Job, Pod, Service, Node",
        "HostIP": "address of its node; NULL of a service",
        "HostName": "its node; NULL of a service",
        "Zone": "zone of its node, as the node's labels say",
    }
    return tuple(f"{prefix}K8S_{name} TEXT {summaries[name]}" for name in names or summaries)


WHO = ("Name", "Namespace", "Type")
OWNER = (*WHO, "OwnerName", "OwnerType", "HostIP", "HostName", "Zone")
WHO_ENDS = (*owner("Src", "source", *WHO), *owner("Dst", "destination", *WHO))
FLOW_LAYER = (
    "K8S_FlowLayer TEXT app: an end is in a namespace other than openshift-*, netobserv* or kube-*,"
    " and is not default/kubernetes or default/openshift; infra: none is; NULL: neither is known"
)

POD = Table(
    "pod",
    "one row per pod; those that are gone keep theirs",
    columns(
        "Namespace TEXT namespace",
        "Name TEXT name",
        "Uid TEXT the API's id: tells apart pods of one name",
        "Phase TEXT such as Pending, Running or Failed",
        "Node TEXT node that it runs on; NULL before it is scheduled",
        "HostIP TEXT address of its node",
        "HostNetwork INTEGER 1: it has the addresses of its node",
        "Addresses TEXT JSON array of its addresses",
        "OwnerType TEXT kind of who made it, such as Deployment; Pod when nobody did",
        "OwnerName TEXT its name",
        "Labels TEXT JSON object",
        "Ports TEXT JSON array of the ports that its containers declare",
        "TimeCreatedMs INTEGER ms since 1970",
        "TimeStartedMs INTEGER when its node took it on, ms since 1970; NULL: not yet",
        "TimeDeletedMs INTEGER when it was seen to be gone, ms since 1970; NULL: it is there",
    ),
)

SERVICE = Table(
    "service",
    "one row per service; those that are gone keep theirs",
    columns(
        "Namespace TEXT namespace",
        "Name TEXT name",
        "Uid TEXT the API's id: tells apart services of one name",
        "Type TEXT such as ClusterIP or LoadBalancer",
        "Addresses TEXT JSON array of its own addresses; empty when headless",
        "Ports TEXT JSON array of its ports and where they lead",
        "Selector TEXT JSON object: labels of the pods behind it",
        "TimeCreatedMs INTEGER ms since 1970",
        "TimeDeletedMs INTEGER when it was seen to be gone, ms since 1970; NULL: it is there",
    ),
)

NODE = Table(
    "node",
    "one row per node of the cluster; those that are gone keep theirs",
    columns(
        "Name TEXT name",
        "Addresses TEXT JSON array of its addresses",
        "Zone TEXT zone, as its labels say",
        "Labels TEXT JSON object",
        "PodNetworks TEXT JSON array of the networks of its pods",
        "Ready INTEGER 1: ready",
        "TimeCreatedMs INTEGER ms since 1970",
        "TimeDeletedMs INTEGER when it was seen to be gone, ms since 1970; NULL: it is there",
    ),
)

IP_OWNER = Table(
    "ip_owner",
    "who had which address when; a pod goes before a node, a node before a service",
    columns(
        "Address TEXT address",
        "Type TEXT Pod, Service or Node; a pod in its node's network is not here",
        "Namespace TEXT namespace; NULL of a node",
        "Name TEXT name",
        "OwnerType TEXT kind of who made it, such as Deployment",
        "OwnerName TEXT its name",
        "HostIP TEXT address of its node",
        "HostName TEXT its node",
        "Zone TEXT zone of its node",
        "ValidFromMs INTEGER since then, ms since 1970",
        "ValidToMs INTEGER until then, ms since 1970; NULL: it still has it",
    ),
    indexes=("Address",),
)
