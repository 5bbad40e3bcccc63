"""Small clusters for selectors, and what a filter with selectors means there, in plain
Python: every condition asked of one packet, nothing turned into sets of rules.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from nshell.collector.kube.inventory import Inventory
from nshell.collector.kube.objects import ContainerPort, Node, Owner, Pod, Service, ServicePort
from nshell.collector.kube.reflector import Listed
from nshell.filters import Rule, Selectors
from tests.classifier import reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hypothesis.strategies import DrawFn

    from nshell.filters import Prefix
    from tests.classifier.reference import Packet

    End = Callable[[bytes | None, int | None, int | None], bool]

TCP, UDP = 6, 17


def raw(text: str) -> bytes:
    """16 bytes of an address."""
    address = ip_address(text)
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def pod(
    path: str,
    *addresses: str,
    node: str = "node1",
    owner: str = "",
    labels: Mapping[str, str] | None = None,
    ports: Iterable[tuple[str, int, int]] = (),
    host_network: bool = False,
) -> Pod:
    """NAMESPACE/NAME with addresses; owner is KIND/NAME; ports are name, number, protocol."""
    namespace, name = path.split("/")
    kind, _, by = owner.partition("/")
    return Pod(
        namespace=namespace,
        name=name,
        uid=path,
        node=node,
        addresses=tuple(map(raw, addresses)),
        host_address=b"",
        host_network=host_network,
        owner=Owner(kind, by) if owner else Owner("Pod", name),
        labels=labels or {},
        ports=tuple(ContainerPort(*each) for each in ports),
        phase="Running" if addresses else "Pending",
    )


def service(
    path: str,
    *addresses: str,
    ports: Iterable[tuple[int, int | str, int]],
    selector: Mapping[str, str] | None = None,
) -> Service:
    """NAMESPACE/NAME; ports are number, target, protocol."""
    namespace, name = path.split("/")
    return Service(
        namespace=namespace,
        name=name,
        uid=path,
        kind="ClusterIP",
        addresses=tuple(map(raw, addresses)),
        ports=tuple(ServicePort(f"p{n}", n, protocol, to) for n, to, protocol in ports),
        selector=selector or {},
    )


def node(name: str, *addresses: str) -> Node:
    """A node with addresses."""
    return Node(name=name, addresses=tuple(map(raw, addresses)), labels={})


def cluster(*things: Pod | Service | Node) -> Inventory:
    """An inventory that knows these."""
    inventory = Inventory()
    tell(inventory, *things)
    return inventory


def tell(inventory: Inventory, *things: Pod | Service | Node) -> None:
    """These are all there are now."""
    kinds: dict[str, dict[tuple[str, str], Pod | Service | Node]] = {
        "nodes": {("", each.name): each for each in things if isinstance(each, Node)},
        "services": {
            (each.namespace, each.name): each for each in things if isinstance(each, Service)
        },
        "pods": {(each.namespace, each.name): each for each in things if isinstance(each, Pod)},
    }
    inventory.apply(
        [Listed("replicasets", {}), *(Listed(name, dict(all_)) for name, all_ in kinds.items())]
    )


SHOP = (
    node("node1", "192.168.7.1"),
    node("node2", "192.168.7.2"),
    pod("shop/web-1", "10.1.0.1", owner="Deployment/web", labels={"app": "web"},
        ports=[("http", 8080, TCP)]),
    pod("shop/web-2", "10.1.1.2", "2001:db8::2", node="node2", owner="Deployment/web",
        labels={"app": "web"}, ports=[("http", 8081, TCP)]),
    pod("shop/db-0", "10.1.0.3", owner="StatefulSet/db", labels={"app": "db"}),
    pod("shop/new", labels={"app": "new"}),
    pod("other/web-1", "10.1.0.9", labels={"app": "web"}),
    pod("kube-system/proxy", "192.168.7.2", node="node2", owner="DaemonSet/proxy",
        labels={"app": "proxy"}, host_network=True),
    service("shop/web", "10.96.0.1", ports=[(80, "http", TCP), (53, 5353, UDP)],
            selector={"app": "web"}),
    service("shop/db", ports=[(5432, 5432, TCP)], selector={"app": "db"}),
    service("shop/nothing", "10.96.0.7", ports=[(80, 80, TCP)], selector={"app": "nothing"}),
    service("default/kubernetes", "10.96.0.2", ports=[(443, 6443, TCP)]),
)  # fmt: skip


def holds(rule: Rule, packet: Packet, known: Inventory) -> bool:
    """Whether every condition of the filter, those of its selectors too, is true of a packet."""
    rest = replace(rule, either=(), peer=(), selectors=Selectors())
    if not reference.holds(rest, packet):
        return False
    ends = list(_ends(rule, known))
    here = (packet.src, packet.sport, packet.proto), (packet.dst, packet.dport, packet.proto)
    if len(ends) == 1:
        return ends[0](*here[0]) or ends[0](*here[1])
    if len(ends) == 2:
        one, other = ends
        return (one(*here[0]) and other(*here[1])) or (one(*here[1]) and other(*here[0]))
    return True


def _ends(rule: Rule, known: Inventory) -> Iterable[End]:
    selectors = rule.selectors
    if selectors.of_pods:
        addresses = _pod_addresses(selectors, known)
        yield lambda address, _port, _protocol: address in addresses
    if selectors.service:
        endpoints = _endpoints(selectors, known)
        yield lambda address, port, protocol: (address, port, protocol) in endpoints
    yield from (_in(prefixes) for prefixes in (rule.either, rule.peer) if prefixes)


def _in(prefixes: Sequence[Prefix]) -> End:
    return lambda address, _port, _protocol: reference.within(address, prefixes)


def _pod_addresses(selectors: Selectors, known: Inventory) -> set[bytes]:
    found = {
        a for each in known.pods.values() if _selected(each, selectors) for a in each.addresses
    }
    if selectors.of_pods == ("namespace",):
        for each in known.services.values():
            if _any(each.namespace, selectors.namespace):
                found.update(each.addresses)
    if selectors.of_pods == ("node",):
        for host in known.nodes.values():
            if _any(host.name, selectors.node):
                found.update(host.addresses)
    return found


def _selected(each: Pod, selectors: Selectors) -> bool:
    by_kind = each.owner.kind.lower()
    return (
        (not selectors.pod or any(_is(each, n.namespace, n.name) for n in selectors.pod))
        and (not selectors.namespace or _any(each.namespace, selectors.namespace))
        and (not selectors.node or _any(each.node, selectors.node))
        and (
            not selectors.owner
            or any(
                fnmatchcase(by_kind, o.kind)
                and fnmatchcase(each.owner.name, o.name)
                and fnmatchcase(each.namespace, o.namespace)
                for o in selectors.owner
            )
        )
        and (
            not selectors.label
            or any(
                (label.key in each.labels)
                if label.value is None
                else (each.labels.get(label.key) == label.value) is not label.differs
                for label in selectors.label
            )
        )
    )


def _endpoints(selectors: Selectors, known: Inventory) -> set[tuple[bytes, int, int]]:
    found: set[tuple[bytes, int, int]] = set()
    for each in known.services.values():
        if not any(_is(each, n.namespace, n.name) for n in selectors.service):
            continue
        for port in each.ports:
            found.update((a, port.number, port.protocol) for a in each.addresses)
            for behind in known.pods.values():
                leads = each.selector and all(
                    behind.labels.get(key) == value for key, value in each.selector.items()
                )
                if behind.namespace == each.namespace and leads:
                    for number in _targets(behind, port):
                        found.update((a, number, port.protocol) for a in behind.addresses)
    return found


def _targets(behind: Pod, port: ServicePort) -> Sequence[int]:
    if isinstance(port.target, int):
        return [port.target]
    return [
        p.number for p in behind.ports if p.name == port.target and p.protocol == port.protocol
    ][:1]


def _is(each: Pod | Service, namespace: str, name: str) -> bool:
    return fnmatchcase(each.namespace, namespace) and fnmatchcase(each.name, name)


def _any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


_VALUES = {
    "pod": ("shop/web-1", "shop/*", "web-?", "db-0,other/*", "shop/nobody", "proxy"),
    "namespace": ("shop", "*", "other,kube-*", "nowhere"),
    "owner": ("deployment/web", "shop/sts/*", "ds/proxy", "*/web", "job/x"),
    "label": ("app=web", "app!=web", "app", "app=db,app=proxy", "app="),
    "node": ("node1", "node*", "node3"),
    "service": ("shop/web", "web", "shop/*", "default/kubernetes", "db", "nothing", "shop/no"),
    "cidr": ("10.1.0.0/24", "10.0.0.0/8", "10.96.0.1", "2001:db8::/32", "192.168.7.0/24"),
    "peer_ip": ("10.1.0.1", "203.0.113.5", "192.168.7.2"),
    "src_cidr": ("10.1.0.0/16", "10.96.0.0/16", "203.0.113.5"),
    "dst_cidr": ("10.1.0.0/24", "10.0.0.0/8"),
    "port": ("80", "8080-8081", "5353"),
    "sport": ("80", "5000"),
    "dport": ("8080", "1-6000"),
    "protocol": ("tcp", "udp", "tcp,udp"),
}
_SELECTORS = ("pod", "namespace", "owner", "label", "node", "service")

ADDRESSES = (
    "10.1.0.1", "10.1.1.2", "10.1.0.3", "10.1.0.9", "10.96.0.1", "10.96.0.2", "10.96.0.7",
    "192.168.7.1", "192.168.7.2", "203.0.113.5", "2001:db8::2", "2001:db8::9",
)  # fmt: skip
PORTS = (80, 8080, 8081, 53, 5353, 443, 6443, 5432, 5000)


@st.composite
def filter_lines(draw: DrawFn) -> str:
    """A filter with a selector, or two, and other predicates."""
    names = draw(st.lists(st.sampled_from(_SELECTORS), min_size=1, max_size=2, unique=True))
    others = [name for name in _VALUES if name not in _SELECTORS]
    names += draw(st.lists(st.sampled_from(others), max_size=2, unique=True))
    return " ".join(f"{name} {draw(st.sampled_from(_VALUES[name]))}" for name in names)
