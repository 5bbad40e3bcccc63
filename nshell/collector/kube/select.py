"""Selectors to what agents understand: addresses, and ports where they belong to them.

A service is pairs of address and port at one end of a packet, never every address
with every port: a rule for what goes there and one for what comes from there, for
each set of ports. Where several selectors and networks name the two ends, the
pairs are opposite the other end.

Invariant: pure; the same cluster always gives equal rules, in the same order.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

from nshell.collector.decode.texts import address_text
from nshell.collector.kube.hints import notes_of
from nshell.collector.kube.matching import Matches, matches
from nshell.collector.kube.view import Cluster, View
from nshell.collector.resolution import Resolution, concrete, never
from nshell.filters import Prefix, Range, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nshell.collector.kube.objects import Pod, ServicePort

    Endpoint = tuple[bytes, int, int]  # address, port, protocol

_WHOLE = 128
_ADDRESSES = 1 << 15
_PROTOCOL_SUFFIXES = {6: "", 17: "/udp", 132: "/sctp"}


def resolve(rule: Rule, cluster: Cluster) -> Resolution:
    """What the selectors of a filter stand for now; cheaper with a view of the cluster."""
    view = cluster if isinstance(cluster, View) else View(cluster)
    found = matches(rule.selectors, view)
    pods = _pod_addresses(found)
    endpoints = sorted(set(_endpoints(found)))
    texts = [_text(address) for address in pods]
    texts += [_endpoint_text(each) for each in endpoints]
    prefixes = tuple(_prefix(address) for address in pods)
    if rule.selectors.service:
        rules = list(_service_rules(rule, endpoints, prefixes))
    else:
        rules = list(_pod_rules(rule, prefixes))
    notes = notes_of(rule, found, view)
    if texts and not rules:
        notes = (*notes, "its other predicates leave nothing of that")
    return Resolution.of(rules or [never(rule)], texts, notes)


def _pod_addresses(found: Matches) -> list[bytes]:
    addresses = {address for pod in found.pods for address in pod.addresses}
    addresses.update(address for each in found.around for address in each.addresses)
    return sorted(addresses)


def _pod_rules(rule: Rule, pods: tuple[Prefix, ...]) -> Iterator[Rule]:
    """The pods at one end, no matter which, or opposite to the network that is named."""
    if pods and rule.either:
        yield concrete(rule, peer=pods)
    elif pods:
        yield concrete(rule, either=pods)


def _service_rules(
    rule: Rule, endpoints: Sequence[Endpoint], pods: tuple[Prefix, ...]
) -> Iterator[Rule]:
    if rule.selectors.of_pods and not pods:
        return
    other = pods or rule.either or rule.peer
    for addresses, ports, protocols in _grouped(endpoints):
        for there in ("dst", "src"):
            made = _towards(rule, there, (addresses, ports, protocols), other)
            if made is not None:
                yield made


def _towards(
    rule: Rule,
    there: str,
    group: tuple[tuple[Prefix, ...], tuple[Range, ...], tuple[Range, ...]],
    other: tuple[Prefix, ...],
) -> Rule | None:
    """What has the group at that end and the others opposite; None: the rest forbids it."""
    here = "src" if there == "dst" else "dst"
    addresses, ports, protocols = group
    port_there, port_here = there[0] + "port", here[0] + "port"
    ends = {
        there: _common_prefixes(addresses, getattr(rule, there)),
        here: _common_prefixes(other, getattr(rule, here)),
    }
    numbers = {
        port_there: _common_ranges(ports, getattr(rule, port_there)),
        "protocol": _common_ranges(protocols, rule.protocol),
    }
    if None in ends.values() or None in numbers.values():
        return None
    return concrete(
        rule, either=(), peer=(), **ends, **numbers, **{port_here: getattr(rule, port_here)}
    )


def _endpoints(found: Matches) -> Iterator[Endpoint]:
    """Addresses and ports of services and of the pods behind them."""
    for service in found.services:
        for port in service.ports:
            for address in service.addresses:
                yield address, port.number, port.protocol
        for pod in found.behind.get((service.namespace, service.name), ()):
            yield from _pod_endpoints(pod, service.ports)


def _pod_endpoints(pod: Pod, ports: Iterable[ServicePort]) -> Iterator[Endpoint]:
    for port in ports:
        number = target_port(pod, port)
        if number:
            for address in pod.addresses:
                yield address, number, port.protocol


def target_port(pod: Pod, port: ServicePort) -> int:
    """Where a service's port leads to on a pod, 0: the pod has no port of that name."""
    if isinstance(port.target, int):
        return port.target
    named = (p.number for p in pod.ports if (p.name, p.protocol) == (port.target, port.protocol))
    return next(named, 0)


def _grouped(
    endpoints: Iterable[Endpoint],
) -> Iterator[tuple[tuple[Prefix, ...], tuple[Range, ...], tuple[Range, ...]]]:
    """As few products of addresses, ports and protocols as are those endpoints exactly."""
    ports_of: dict[tuple[bytes, int], list[int]] = defaultdict(list)
    for address, port, protocol in endpoints:
        ports_of[address, protocol].append(port)
    with_ports: dict[tuple[int, tuple[int, ...]], list[bytes]] = defaultdict(list)
    for (address, protocol), ports in ports_of.items():
        with_ports[protocol, tuple(ports)].append(address)
    protocols_of: dict[tuple[tuple[bytes, ...], tuple[int, ...]], list[int]] = defaultdict(list)
    for (protocol, numbers), addresses in with_ports.items():
        protocols_of[tuple(addresses), numbers].append(protocol)
    for (group, numbers), protocols in sorted(protocols_of.items()):
        yield (
            tuple(_prefix(address) for address in group),
            tuple(Range(number, number) for number in numbers),
            tuple(Range(protocol, protocol) for protocol in sorted(protocols)),
        )


def _common_prefixes(a: tuple[Prefix, ...], b: tuple[Prefix, ...]) -> tuple[Prefix, ...] | None:
    """What lies in both; of either alone where the other is no constraint. None: nothing."""
    if not a or not b:
        return a or b
    return tuple(dict.fromkeys((*_within(a, b), *_within(b, a)))) or None


def _within(inner: Sequence[Prefix], outer: Sequence[Prefix]) -> Iterator[Prefix]:
    """Those of the first that lie in one of the second."""
    known = {_bits(each, each.length) for each in outer}
    lengths = sorted({each.length for each in outer})
    for each in inner:
        if any(n <= each.length and _bits(each, n) in known for n in lengths):
            yield each


def _bits(prefix: Prefix, length: int) -> tuple[int, int]:
    return length, int.from_bytes(prefix.address, "big") >> (_WHOLE - length)


def _common_ranges(a: Sequence[Range], b: Sequence[Range]) -> tuple[Range, ...] | None:
    if not a or not b:
        return tuple(a or b)
    both = (Range(max(x.first, y.first), min(x.last, y.last)) for x in a for y in b)
    return tuple(dict.fromkeys(each for each in both if each.first <= each.last)) or None


@lru_cache(maxsize=_ADDRESSES)
def _prefix(address: bytes) -> Prefix:
    return Prefix(address, _WHOLE)


@lru_cache(maxsize=_ADDRESSES)
def _text(address: bytes) -> str:
    return address_text(address)


def _endpoint_text(endpoint: Endpoint) -> str:
    address, port, protocol = endpoint
    text = _text(address)
    host = f"[{text}]" if ":" in text else text
    return f"{host}:{port}{_PROTOCOL_SUFFIXES.get(protocol, f'/{protocol}')}"
