"""Who has an address now, as text: for ip_name().

Invariant: changed on the loop alone, one entry at a time, and read in any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.collector.decode.texts import address_text
from nshell.collector.kube.objects import Node, Pod, Service

if TYPE_CHECKING:
    Thing = Pod | Service | Node

_ORDER = (Pod, Node, Service)


class PresentNames:
    """Names by address: of a pod before those of a node, of a node before those of a service."""

    def __init__(self) -> None:
        self._names: dict[type[Thing], dict[str, str]] = {kind: {} for kind in _ORDER}

    def get(self, address: str) -> str | None:
        """`namespace/name` of a pod or a service, the name of a node."""
        for names in self._names.values():
            if (name := names.get(address)) is not None:
                return name
        return None

    def change(self, old: Thing | None, new: Thing | None) -> None:
        """An object came, changed or went."""
        had, has = _addresses(old), _addresses(new)
        if old is not None:
            names, name = self._names[type(old)], full_name(old)
            for address in had - has:
                # Another may have it already.
                if names.get(address) == name:
                    del names[address]
        if new is not None:
            self._names[type(new)].update(dict.fromkeys(has - had, full_name(new)))


def full_name(thing: Thing) -> str:
    """As users write it."""
    return thing.name if isinstance(thing, Node) else f"{thing.namespace}/{thing.name}"


def _addresses(thing: Thing | None) -> set[str]:
    if thing is None or (isinstance(thing, Pod) and thing.host_network):
        return set()
    return set(map(address_text, thing.addresses))
