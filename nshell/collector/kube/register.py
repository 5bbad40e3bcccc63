"""The cluster's tables: rows of pods, services and nodes, and whose each address is.

Invariant: lives in the writer's thread. What is there has a row; of what is gone
the newest are kept, as many as the table may hold, and the rest is counted.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nshell.collector.clustertables import IP_OWNER, NODE, POD, SERVICE
from nshell.collector.decode.texts import address_text
from nshell.collector.kube import claims as kinds
from nshell.collector.kube.claims import Claim, Claims, Names
from nshell.collector.kube.keptrows import GONE_KEPT, KeptRows
from nshell.collector.kube.objects import Node, Pod, Service
from nshell.collector.schema import COUNTER

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from nshell.collector.decode.rows import Cell
    from nshell.collector.kube.inventory import Change
    from nshell.collector.relations import Table
    from nshell.collector.storage.catalog import Catalog

    Thing = Pod | Service | Node

FORGOTTEN = "owner_rows_forgotten"
_INFRA_PREFIXES = ("openshift-", "netobserv", "kube-")
_INFRA_NAMES = (("default", "kubernetes"), ("default", "openshift"))


def is_app(namespace: str, name: str) -> bool:
    """NetObserv's rule for K8S_FlowLayer, with the namespaces of a plain Kubernetes."""
    return not namespace.startswith(_INFRA_PREFIXES) and (namespace, name) not in _INFRA_NAMES


class Register:
    """Takes the inventory's changes, in order."""

    def __init__(self, catalog: Catalog, *, gone_kept: int = GONE_KEPT) -> None:
        self.claims = Claims()
        self._catalog = catalog
        self._rows = {table.name: KeptRows(catalog, table, gone_kept=gone_kept) for table in _KEYS}
        self._zones: dict[str, str] = {}
        self._pods_of: dict[str, dict[str, Pod]] = {}
        """Pods of each node, for its zone."""
        self._told_ms: dict[str, int] = {}
        """When each thing was told of last."""
        self._forgotten = 0

    def know(self, table: Table, rows: Iterable[tuple[Cell, ...]]) -> None:
        """An earlier process left these, rowid first."""
        self._rows[table.name].know((row[0], _KEYS[table](row[1:]), row[1:]) for row in rows)

    def take(self, changes: Sequence[Change]) -> list[Claim]:
        """Write down what changed; claims that are new, for rows that came before."""
        if not changes:
            return []
        new: list[Claim] = []
        now_ms = 0
        for change in changes:
            now_ms = change.time_ms
            new += self._take(change)
        for rows in self._rows.values():
            rows.end_unconfirmed(now_ms)
        self.claims.forget(now_ms - kinds.KEPT_MS)
        self._tell_forgotten()
        return new

    def _take(self, change: Change) -> list[Claim]:
        old, new, now_ms = change.old, change.new, change.time_ms
        thing = new or old
        assert thing is not None
        holder = _holder(thing)
        self._put(thing, gone_ms=None if new else now_ms)
        if isinstance(thing, Pod):
            self._note_pod(holder, thing, gone=new is None)
        elif isinstance(thing, Node) and new is not None:
            self._note_zone(thing)
        had, has = _addresses(old), _addresses(new)
        for address in had:
            claim = self.claims.held_by(address, holder)
            if claim is not None and address not in has:
                self.claims.end(claim, now_ms)
                self._put_claim(claim)
            elif claim is not None and new is not None:
                self._rename(claim, new)
        if new is None:
            self._told_ms.pop(holder, None)
            return []
        made = [
            self._claim(address, holder, new, replaces=bool(had), now_ms=now_ms)
            for address in has
            if address not in had
        ]
        self._told_ms[holder] = now_ms
        return made

    def _claim(
        self, address: str, holder: str, thing: Thing, *, replaces: bool, now_ms: int
    ) -> Claim:
        told_ms = self._told_ms.get(holder)
        if isinstance(thing, Pod):
            kind, from_ms = kinds.POD, thing.started_ms or now_ms
            sure_ms = min(thing.running_ms or now_ms, now_ms)
            if replaces and told_ms is not None:
                # It had another one when it was told of last.
                from_ms, sure_ms = told_ms, now_ms
        else:
            kind = kinds.NODE if isinstance(thing, Node) else kinds.SERVICE
            from_ms = thing.created_ms if told_ms is None else told_ms
            sure_ms = now_ms
        # A clock that is ahead of ours must not hide rows.
        from_ms = min(from_ms or now_ms, now_ms)
        claim = Claim(address, kind, holder, self._names(thing), from_ms, from_ms)
        for each in self.claims.add(claim, sure_ms=sure_ms):
            self._put_claim(each)
        return claim

    def _rename(self, claim: Claim, thing: Thing) -> None:
        names = self._names(thing)
        if names.cells != claim.names.cells:
            claim.names = names
            self._put_claim(claim)

    def _put_claim(self, claim: Claim) -> None:
        cells = claim.row()
        self._rows[IP_OWNER.name].put(_KEYS[IP_OWNER](cells), cells, gone=not claim.open)

    def _note_pod(self, holder: str, pod: Pod, *, gone: bool) -> None:
        if not pod.node:
            return
        pods = self._pods_of.setdefault(pod.node, {})
        if not gone:
            pods[holder] = pod
        else:
            pods.pop(holder, None)
            if not pods:
                del self._pods_of[pod.node]

    def _note_zone(self, node: Node) -> None:
        if self._zones.get(node.name, "") == node.zone:
            return
        self._zones[node.name] = node.zone
        for holder, pod in self._pods_of.get(node.name, {}).items():
            for address in _addresses(pod):
                claim = self.claims.held_by(address, holder)
                if claim is not None:
                    self._rename(claim, pod)

    def _names(self, thing: Thing) -> Names:
        if isinstance(thing, Node):
            name, zone = thing.name, thing.zone or None
            host = _text(thing.addresses[0]) if thing.addresses else None
            return Names((name, None, "Node", name, "Node", host, name, zone), kinds.INFRA)
        name, namespace = thing.name, thing.namespace
        layer = kinds.APP if is_app(namespace, name) else kinds.INFRA
        if isinstance(thing, Service):
            cells = (name, namespace, "Service", name, "Service", None, None, None)
            return Names(cells, layer)
        host, zone = _text(thing.host_address), self._zones.get(thing.node) or None
        owner = (thing.owner.name, thing.owner.kind)
        return Names((name, namespace, "Pod", *owner, host, thing.node or None, zone), layer)

    def _put(self, thing: Thing, *, gone_ms: int | None) -> None:
        table, cells = _row(thing)
        cells = (*cells, gone_ms)
        self._rows[table.name].put(_KEYS[table](cells), cells, gone=gone_ms is not None)

    def _tell_forgotten(self) -> None:
        forgotten = sum(rows.forgotten for rows in self._rows.values())
        if forgotten != self._forgotten:
            self._forgotten = forgotten
            cells = (
                "",
                FORGOTTEN,
                forgotten,
                "rows of what is gone in the cluster's tables, given to others",
            )
            self._catalog.put(COUNTER, ("", FORGOTTEN), cells)


_KEYS: dict[Table, Callable[[tuple[Cell, ...]], Hashable]] = {
    POD: lambda row: row[:3],
    SERVICE: lambda row: row[:3],
    NODE: lambda row: (row[0], row[-2]),
    IP_OWNER: lambda row: (*row[:4], row[-2]),
}
"""What each table's rows are known by."""
TABLES = tuple(_KEYS)


def _holder(thing: Thing) -> str:
    if isinstance(thing, Node):
        return f"node {thing.name} {thing.created_ms}"
    kind = "pod" if isinstance(thing, Pod) else "service"
    return f"{kind} {thing.namespace}/{thing.name} {thing.uid}"


def _addresses(thing: Thing | None) -> tuple[str, ...]:
    """Those that it claims."""
    if thing is None or (isinstance(thing, Pod) and thing.host_network):
        return ()
    return tuple(map(address_text, thing.addresses))


def _text(address: bytes) -> str | None:
    return address_text(address) if address else None


def _json(value: Mapping[str, str] | Sequence[object]) -> str:
    return json.dumps(dict(value) if isinstance(value, dict) else value, ensure_ascii=False)


def _row(thing: Thing) -> tuple[Table, tuple[Cell, ...]]:
    """In the order of its table, but for the last column."""
    addresses = _json([address_text(each) for each in thing.addresses])
    if isinstance(thing, Pod):
        ports = [{"name": p.name, "port": p.number, "protocol": p.protocol} for p in thing.ports]
        return POD, (
            thing.namespace,
            thing.name,
            thing.uid,
            thing.phase or None,
            thing.node or None,
            _text(thing.host_address),
            int(thing.host_network),
            addresses,
            thing.owner.kind,
            thing.owner.name,
            _json(thing.labels),
            _json(ports),
            thing.created_ms or None,
            thing.started_ms or None,
        )
    if isinstance(thing, Service):
        leads = [
            {"name": p.name, "port": p.number, "protocol": p.protocol, "target": p.target}
            for p in thing.ports
        ]
        return SERVICE, (
            thing.namespace,
            thing.name,
            thing.uid,
            thing.kind,
            addresses,
            _json(leads),
            _json(thing.selector),
            thing.created_ms or None,
        )
    return NODE, (
        thing.name,
        addresses,
        thing.zone or None,
        _json(thing.labels),
        _json(list(thing.pod_networks)),
        int(thing.ready),
        thing.created_ms or None,
    )
