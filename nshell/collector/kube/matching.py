"""Which pods, services and nodes selectors hold for, by what is known of them now.

Invariant: pure; where a filter gives whole names, only the pods of those names are
looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING

from nshell.filters.selectors import ANY, Labelled, Named, OwnedBy, Selectors
from nshell.filters.selectorvalues import spell_label, spell_named, spell_owner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nshell.collector.kube.objects import Node, Pod, Service
    from nshell.collector.kube.view import View

    PodTest = Callable[[Pod], object]


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a predicate, as the user would write it."""

    predicate: str
    text: str


@dataclass(frozen=True, slots=True)
class Matches:
    """What selectors hold for."""

    pods: tuple[Pod, ...] = ()
    services: tuple[Service, ...] = ()
    """Of `service`."""
    behind: Mapping[tuple[str, str], Sequence[Pod]] = field(default_factory=dict)
    """Those services' pods; a service without a selector is not in it."""
    around: tuple[Service | Node, ...] = ()
    """What `namespace` alone and `node` alone stand for beside their pods."""
    unmet: tuple[Value, ...] = ()
    """Values that nothing meets, whatever the other predicates say."""


def matches(selectors: Selectors, view: View) -> Matches:
    """All that the selectors hold for."""
    tests = _pod_tests(selectors)
    found = _candidates(selectors, view) if tests else []
    met: set[Value] = set()
    for values in tests.values():
        found = _meeting(found, values, met)
    services, met_services = _services(selectors, view)
    left = [
        (value, test) for values in tests.values() for value, test in values if value not in met
    ]
    unmet = [value for value, test in left if not _is_met(value, test, view)]
    unmet += [
        value for value in map(_service_value, selectors.service) if value not in met_services
    ]
    return Matches(
        tuple(found),
        services,
        {(s.namespace, s.name): _behind(s, view) for s in services if s.selector},
        tuple(_around(selectors, view)),
        tuple(unmet),
    )


def _behind(service: Service, view: View) -> Sequence[Pod]:
    by_label = [view.labelled(key, value) for key, value in service.selector.items()]
    namespace, wanted = service.namespace, service.selector.items()
    return [
        pod
        for pod in min(by_label, key=len)
        if pod.namespace == namespace and wanted <= pod.labels.items()
    ]


def _candidates(selectors: Selectors, view: View) -> Iterable[Pod]:
    """The pods that may be meant: not all, where whole names or values say which."""
    labels = [label for label in selectors.label if label.value is not None and not label.differs]
    asked: list[Sequence[tuple[str, str]]] = [
        [("name", each.name) for each in selectors.pod],
        [("owner", each.name) for each in selectors.owner],
        [(label.key, label.value or "") for label in labels] * (labels == [*selectors.label]),
        [("namespace", each) for each in selectors.namespace],
        [("node", each) for each in selectors.node],
    ]
    for values in asked:
        if not values or any(_is_pattern(value) for _, value in values):
            continue
        find = view.labelled if values is asked[2] else view.having
        return {id(pod): pod for what, value in values for pod in find(what, value)}.values()
    return view.pods.values()


def _pod_tests(selectors: Selectors) -> dict[str, list[tuple[Value, PodTest]]]:
    """By predicate: each of its values and what it asks of a pod."""
    tests: dict[str, list[tuple[Value, PodTest]]] = {
        "pod": [(Value("pod", spell_named(each)), _named(each)) for each in selectors.pod],
        "namespace": [(Value("namespace", each), _in(each)) for each in selectors.namespace],
        "owner": [(Value("owner", spell_owner(each)), _owned(each)) for each in selectors.owner],
        "label": [(Value("label", spell_label(each)), _labelled(each)) for each in selectors.label],
        "node": [(Value("node", each), _on(each)) for each in selectors.node],
    }
    return {predicate: values for predicate, values in tests.items() if values}


def _meeting(
    pods: Iterable[Pod], values: Sequence[tuple[Value, PodTest]], met: set[Value]
) -> list[Pod]:
    """Those of the pods that meet one of the values, and which values were met."""
    if len(values) == 1:
        ((value, test),) = values
        found = list(filter(test, pods))
        met.update([value] if found else [])
        return found
    found = []
    for pod in pods:
        held = next((value for value, test in values if test(pod)), None)
        if held is not None:
            met.add(held)
            found.append(pod)
    return found


def _is_met(value: Value, test: PodTest, view: View) -> bool:
    if value.predicate == "node" and any(map(pattern(value.text), view.nodes)):
        return True
    if value.predicate == "namespace":
        in_namespace = pattern(value.text)
        if any(in_namespace(namespace) for namespace, _ in view.services):
            return True
    return any(map(test, view.pods.values()))


def _services(selectors: Selectors, view: View) -> tuple[tuple[Service, ...], set[Value]]:
    """Those of `service`, and the values that have any."""
    found: dict[tuple[str, str], Service] = {}
    met = set()
    for each in selectors.service:
        namespace, name = pattern(each.namespace), pattern(each.name)
        own = {k: s for k, s in view.services.items() if namespace(k[0]) and name(k[1])}
        found |= own
        if own:
            met.add(_service_value(each))
    return tuple(found[key] for key in sorted(found)), met


def _service_value(named: Named) -> Value:
    return Value("service", spell_named(named))


def _around(selectors: Selectors, view: View) -> Iterable[Service | Node]:
    if selectors.of_pods == ("namespace",):
        tests = [pattern(each) for each in selectors.namespace]
        for (namespace, _), service in view.services.items():
            if any(test(namespace) for test in tests):
                yield service
    if selectors.of_pods == ("node",):
        tests = [pattern(each) for each in selectors.node]
        for node in view.nodes.values():
            if any(test(node.name) for test in tests):
                yield node


def _named(named: Named) -> PodTest:
    namespace, name = pattern(named.namespace), pattern(named.name)
    if named.namespace == ANY:
        return lambda pod: name(pod.name)
    return lambda pod: namespace(pod.namespace) and name(pod.name)


def _in(text: str) -> PodTest:
    namespace = pattern(text)
    return lambda pod: namespace(pod.namespace)


def _on(text: str) -> PodTest:
    node = pattern(text)
    return lambda pod: pod.node and node(pod.node)


def _owned(owner: OwnedBy) -> PodTest:
    kind, namespace, name = (pattern(t) for t in (owner.kind, owner.namespace, owner.name))
    return lambda pod: (
        name(pod.owner.name) and kind(pod.owner.kind.lower()) and namespace(pod.namespace)
    )


def _labelled(label: Labelled) -> PodTest:
    key, value = label.key, label.value
    if value is None:
        return lambda pod: key in pod.labels
    if label.differs:
        return lambda pod: pod.labels.get(key) != value
    return lambda pod: pod.labels.get(key) == value


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


@lru_cache(maxsize=1024)
def pattern(text: str) -> Callable[[str], object]:
    """Whether a name is as the text says, wildcards in it."""
    return re.compile(translate(text)).match if _is_pattern(text) else text.__eq__
