"""Names of pods and what they belong to, for completion.

Invariant: bounded, and every namespace has its share of what there is room for.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain, islice
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nshell.collector.kube.objects import Node, Pod, Service
    from nshell.proto import session_pb2 as pb

MOST = 2000
"""Of each sort."""
_OF_ONE_REVISION = frozenset(
    (
        "controller-revision-hash",
        "pod-template-generation",
        "pod-template-hash",
    )
)
"""Labels that nobody types."""


class Known(Protocol):
    """What is looked at of the inventory."""

    @property
    def pods(self) -> Mapping[tuple[str, str], Pod]: ...
    @property
    def services(self) -> Mapping[tuple[str, str], Service]: ...
    @property
    def nodes(self) -> Mapping[str, Node]: ...


def describe(known: Known, description: pb.Description) -> None:
    """Put the names into a description."""
    pods, services = known.pods, known.services
    description.pods.extend(_shared_out(pods))
    description.services.extend(_shared_out(services))
    namespaces = {namespace for namespace, _ in chain(pods, services)}
    description.namespaces.extend(sorted(namespaces)[:MOST])
    description.nodes.extend(sorted(known.nodes)[:MOST])
    owners = Counter(f"{pod.owner.kind.lower()}/{pod.owner.name}" for pod in pods.values())
    description.owners.extend(_commonest(owners))
    labels = Counter(
        f"{key}={value}"
        for pod in pods.values()
        for key, value in pod.labels.items()
        if key not in _OF_ONE_REVISION
    )
    description.labels.extend(_commonest(labels))


def _shared_out(keys: Iterable[tuple[str, str]]) -> list[str]:
    """NAMESPACE/NAME in order; where there are too many, as many of each namespace as possible."""
    ordered = sorted(keys)
    if len(ordered) > MOST:
        counts: Counter[str] = Counter()
        ranked = []
        for namespace, name in ordered:
            counts[namespace] += 1
            ranked.append((counts[namespace], namespace, name))
        ordered = sorted((namespace, name) for _, namespace, name in sorted(ranked)[:MOST])
    return [f"{namespace}/{name}" for namespace, name in ordered]


def _commonest(counts: Counter[str]) -> list[str]:
    """The most frequent, in order of the alphabet."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return sorted(text for text, _ in islice(ranked, MOST))
