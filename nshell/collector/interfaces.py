"""The interfaces of one node, as its agent lists them.

Invariant: a name once known for an ifindex stays known, so records that arrive
after an interface is gone still carry its name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nshell.collector.decode.texts import TextCache, address_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.proto import agentlink_pb2

ETHERNET = 1
RAW_IP = 101
EGRESS_BIT = 1 << 31
"""Of an ifindex in a list."""
_BOTH = 3
_COMBINATIONS = 1 << 14


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface; its link type is a LINKTYPE_ number of pcap."""

    ifindex: int
    name: str
    mac: bytes = b""
    link_type: int = ETHERNET
    mtu: int = 0
    attached: bool = False
    problem: str = ""
    addresses: tuple[bytes, ...] = ()
    """16 bytes each, IPv4 mapped."""
    peers: tuple[bytes, ...] = ()
    """Likewise, of the machine at its other end, where the node knows."""

    def peers_json(self) -> str | None:
        """The peers as a JSON array of texts, None for none."""
        return json.dumps([address_text(peer) for peer in self.peers]) if self.peers else None


def from_message(message: agentlink_pb2.InterfaceList) -> tuple[Interface, ...]:
    """The list as the agent sent it."""
    return tuple(
        Interface(
            ifindex=each.ifindex,
            name=each.name or f"if{each.ifindex}",
            mac=each.mac,
            link_type=each.link_type or ETHERNET,
            mtu=each.mtu,
            attached=each.attached,
            problem=each.problem,
            addresses=tuple(each.addresses),
            peers=tuple(each.peer_addresses),
        )
        for each in message.interfaces
    )


class InterfaceTable:
    """Looks up what the decoder needs by ifindex; lists replace each other in order."""

    def __init__(self) -> None:
        self._known: dict[int, Interface] = {}
        self._lists, self._directions = self._caches()
        self.addresses: frozenset[bytes] = frozenset()
        """Of the node, from the newest list."""

    def replace(self, interfaces: Iterable[Interface]) -> None:
        """Take a newer list."""
        listed = tuple(interfaces)
        self._known.update({each.ifindex: each for each in listed})
        self.addresses = frozenset(address for each in listed for address in each.addresses)
        self._lists, self._directions = self._caches()

    def get(self, ifindex: int) -> Interface:
        """An interface never listed is called by its number."""
        return self._known.get(ifindex) or Interface(ifindex, f"if{ifindex}")

    def names(self, ifindexes: list[int]) -> list[str]:
        """Of each ifindex."""
        by_index = {ifindex: self.get(ifindex).name for ifindex in set(ifindexes)}
        return list(map(by_index.__getitem__, ifindexes))

    def without_mac(self) -> list[int]:
        """Interfaces whose frames start with the IP header."""
        return [each.ifindex for each in self._known.values() if each.link_type != ETHERNET]

    def lists(self, keys: list[bytes]) -> tuple[list[str], list[str]]:
        """JSON arrays of names, and of directions: 0 ingress, 1 egress, 3 both.

        The keys hold little-endian ifindexes, 0 for none, with the highest bit for egress.
        """
        return self._lists.texts(keys), self._directions.texts(keys)

    def _caches(self) -> tuple[TextCache, TextCache]:
        return (
            TextCache(self._names_json, limit=_COMBINATIONS),
            TextCache(self._directions_json, limit=_COMBINATIONS),
        )

    def _names_json(self, key: bytes) -> str:
        return json.dumps(list(self._seen(key)), ensure_ascii=False)

    def _directions_json(self, key: bytes) -> str:
        return json.dumps(
            [sum(seen) if len(seen) == 1 else _BOTH for seen in self._seen(key).values()]
        )

    def _seen(self, key: bytes) -> dict[str, set[int]]:
        """Directions by name, in order."""
        found: dict[str, set[int]] = {}
        for mark in np.frombuffer(key, "<u4").tolist():
            if mark:
                name = self.get(mark & ~EGRESS_BIT).name
                found.setdefault(name, set()).add(int(mark & EGRESS_BIT != 0))
        return found
