"""A cluster between two changes, its pods to be found by what filters ask of them.

Invariant: good until the cluster changes; an index costs one pass over the pods
when it is first asked for, and nothing before.
"""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nshell.collector.kube.objects import Node, Pod, Service

_OWN: dict[str, Callable[[Pod], str]] = {
    "name": attrgetter("name"),
    "namespace": attrgetter("namespace"),
    "node": attrgetter("node"),
    "owner": attrgetter("owner.name"),
}


class Cluster(Protocol):
    """What is known; the inventory is one."""

    @property
    def pods(self) -> Mapping[tuple[str, str], Pod]: ...
    @property
    def services(self) -> Mapping[tuple[str, str], Service]: ...
    @property
    def nodes(self) -> Mapping[str, Node]: ...


class View:
    """Of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.pods = cluster.pods
        self.services = cluster.services
        self.nodes = cluster.nodes
        self._indexes: dict[str, Mapping[str, list[Pod]]] = {}

    def having(self, what: str, value: str) -> Sequence[Pod]:
        """Pods by their `name`, `namespace`, `node` or `owner`."""
        index = self._indexes.get(what)
        if index is None:
            index = self._indexes[what] = self._index(_OWN[what])
        return index.get(value, ())

    def labelled(self, key: str, value: str) -> Sequence[Pod]:
        """Pods with that value of a label."""
        index = self._indexes.get(f"label {key}")
        if index is None:
            index = self._indexes[f"label {key}"] = self._index(lambda pod: pod.labels.get(key))
        return index.get(value, ())

    def _index(self, read: Callable[[Pod], str | None]) -> Mapping[str, list[Pod]]:
        index: dict[str, list[Pod]] = defaultdict(list)
        for pod in self.pods.values():
            value = read(pod)
            if value is not None:
                index[value].append(pod)
        return dict(index)
