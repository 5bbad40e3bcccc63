"""Pods, services and nodes as they are now, on the event loop.

Invariant: changed in batches, each wholly before anybody is told of it; a pod's
owner is the top one. What the watches lost sight of stays as it was last known.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from nshell.collector.kube.objects import Node, Owner, Pod, Service
from nshell.collector.kube.present import PresentNames
from nshell.collector.kube.reflector import KINDS, Listed, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from nshell.collector.kube.reflector import Key, News, Thing

K = TypeVar("K", bound="Hashable")
T = TypeVar("T", Pod, Service, Node)

_HASH_LABEL = "pod-template-hash"


@dataclass(frozen=True, slots=True)
class Change:
    """An object came (no old), changed, or went (no new); time_ms: when we saw it."""

    old: Pod | Service | Node | None
    new: Pod | Service | Node | None
    time_ms: int


class Inventory:
    """What the API server says there is."""

    def __init__(self, *, tell: Callable[[Sequence[Change]], None] | None = None) -> None:
        self._pods: dict[Key, Pod] = {}
        self._services: dict[Key, Service] = {}
        self._nodes: dict[str, Node] = {}
        self._replica_sets: dict[Key, Owner] = {}
        self._above: dict[Key, Key] = {}
        """ReplicaSet of each pod that one controls."""
        self._below: dict[Key, set[Key]] = {}
        """Pods of each such ReplicaSet."""
        self._waiting = {kind.name for kind in KINDS}
        """Kinds that nothing was heard of yet."""
        self._listed: set[str] = set()
        self._problems: dict[str, str] = {}
        self._tell = tell
        self._held: list[Change] = []
        self._callbacks: list[Callable[[], None]] = []
        self.names = PresentNames()
        """Of the addresses that are known now."""

    @property
    def pods(self) -> Mapping[Key, Pod]:
        """By namespace and name."""
        return self._pods

    @property
    def services(self) -> Mapping[Key, Service]:
        """By namespace and name."""
        return self._services

    @property
    def nodes(self) -> Mapping[str, Node]:
        """By name."""
        return self._nodes

    @property
    def synced(self) -> bool:
        """Whether all is known that we may know."""
        return not self._waiting and bool(self._listed)

    @property
    def problem(self) -> str:
        """Why something is not known, or not any more; empty while all is well."""
        kinds: dict[str, list[str]] = {}
        for kind, problem in self._problems.items():
            kinds.setdefault(problem, []).append(kind)
        return "; ".join(
            problem if len(names) == len(KINDS) else f"{', '.join(names)}: {problem}"
            for problem, names in kinds.items()
        )

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Have it called on the loop after each batch of changes."""
        self._callbacks.append(callback)

    def apply(self, news: Iterable[News], *, now_ms: int | None = None) -> None:
        """Take what the watches told, then tell everybody."""
        time_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        changes: list[Change] = []
        for each in news:
            if isinstance(each, Trouble):
                self._trouble(each)
            elif isinstance(each, Listed):
                self._waiting.discard(each.kind)
                self._listed.add(each.kind)
                for key, item in self._differences(each):
                    changes += self._change(each.kind, key, item, time_ms)
            else:
                changes += self._change(each.kind, each.key, each.item, time_ms)
        for change in changes:
            self.names.change(change.old, change.new)
        self._pass_on(changes)
        for callback in self._callbacks:
            callback()

    def _trouble(self, trouble: Trouble) -> None:
        if trouble.problem:
            self._problems[trouble.kind] = trouble.problem
        else:
            self._problems.pop(trouble.kind, None)
        if trouble.refused:
            # Not known, and not to be waited for.
            self._waiting.discard(trouble.kind)

    def _pass_on(self, changes: list[Change]) -> None:
        """Rows keep the owner that they are given, so the first waits for its zone."""
        if self._tell is None:
            return
        self._held += changes
        if self._held and (self.synced or self._problems):
            held, self._held = tuple(self._held), []
            self._tell(held)

    def _differences(self, listed: Listed) -> Iterable[tuple[Key, Thing | None]]:
        before: dict[str, Iterable[Key]] = {
            "pods": self._pods,
            "services": self._services,
            "nodes": [("", name) for name in self._nodes],
            "replicasets": self._replica_sets,
        }
        gone = [key for key in before[listed.kind] if key not in listed.items]
        yield from ((key, None) for key in gone)
        yield from listed.items.items()

    def _change(self, kind: str, key: Key, item: Thing | None, time_ms: int) -> Iterable[Change]:
        if kind == "replicasets":
            assert item is None or isinstance(item, Owner)
            return self._replica_set(key, item, time_ms)
        if kind == "pods":
            assert item is None or isinstance(item, Pod)
            return self._pod(key, item, time_ms)
        if kind == "services":
            assert item is None or isinstance(item, Service)
            return _set(self._services, key, item, time_ms)
        assert item is None or isinstance(item, Node)
        return _set(self._nodes, key[1], item, time_ms)

    def _replica_set(self, key: Key, owner: Owner | None, time_ms: int) -> Iterable[Change]:
        if owner is None:
            # Its pods keep the owner that they have.
            self._replica_sets.pop(key, None)
            return []
        self._replica_sets[key] = owner
        changes: list[Change] = []
        for pod_key in self._below.get(key, ()):
            pod = self._pods[pod_key]
            changes += _set(self._pods, pod_key, replace(pod, owner=owner), time_ms)
        return changes

    def _pod(self, key: Key, pod: Pod | None, time_ms: int) -> Iterable[Change]:
        above = self._above.pop(key, None)
        if above is not None:
            self._below[above].discard(key)
            if not self._below[above]:
                del self._below[above]
        if pod is not None and pod.owner.kind == "ReplicaSet":
            above = self._above[key] = (pod.namespace, pod.owner.name)
            self._below.setdefault(above, set()).add(key)
            pod = replace(pod, owner=self._top(pod))
        return _set(self._pods, key, pod, time_ms)

    def _top(self, pod: Pod) -> Owner:
        known = self._replica_sets.get((pod.namespace, pod.owner.name))
        if known is not None:
            return known
        # It is not known yet, or not ours to read: a Deployment's is told by its name.
        ending = f"-{pod.labels.get(_HASH_LABEL, '')}"
        if len(ending) > 1 and pod.owner.name.endswith(ending):
            return Owner("Deployment", pod.owner.name.removesuffix(ending))
        return pod.owner


def _set(things: dict[K, T], key: K, new: T | None, time_ms: int) -> Iterable[Change]:
    """Put it there or away; what changed thereby."""
    old = things.get(key)
    if old == new:
        return []
    if new is None:
        del things[key]
    else:
        things[key] = new
    if old is not None and new is not None and _identity(old) != _identity(new):
        # The old one went unseen, and another has its name.
        return [Change(old, None, time_ms), Change(None, new, time_ms)]
    return [Change(old, new, time_ms)]


def _identity(thing: Pod | Service | Node) -> str:
    return "" if isinstance(thing, Node) else thing.uid
