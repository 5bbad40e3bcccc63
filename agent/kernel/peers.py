"""Who is at the other end of an interface: addresses that the node's tables tell.

Two tables tell: routes to one address through the interface (point-to-point
plugins, Calico), and the bridge's forwarding table with the neighbours' (bridge
plugins). Read straight from netlink, for that takes a few microseconds an entry.

Invariant: an interface with more than MOST machines behind it has no peer; what
was once told holds while the interface is there, for tables forget who is quiet.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.kernel.interfaces import Interface

MOST = 8
KINDS = frozenset(("veth", "netkit", "tun"))
"""What machines and pods hang on: others lead to networks."""
READ_SECONDS = 1.0
"""Between two readings, however often the interfaces are listed."""
_TABLE_BYTES = 64 << 20
"""Of a table read at most: a router's may be endless."""

_NETLINK_ROUTE = 0
_RTM_GETROUTE, _RTM_GETNEIGH = 26, 30
_NLM_F_REQUEST_DUMP = 0x301
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_SOL_NETLINK, _NETLINK_GET_STRICT_CHK = 270, 12
_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR = struct.Struct("=BxxxIHBB")
_ATTRIBUTE = struct.Struct("=HH")
_NUMBER = struct.Struct("=I")
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_VIA = 1, 4, 5, 18
_RTN_UNICAST = 1
_NDA_DST, _NDA_LLADDR, _NDA_MASTER = 1, 2, 9
_NUD_REACHABLE, _NUD_STALE, _NUD_DELAY, _NUD_PROBE, _NUD_PERMANENT = 0x02, 0x04, 0x08, 0x10, 0x80
_NUD_KNOWN = _NUD_REACHABLE | _NUD_STALE | _NUD_DELAY | _NUD_PROBE | _NUD_PERMANENT
_V4_MAPPED = bytes(10) + b"\xff\xff"


@dataclass(slots=True)
class Peers:
    """Keeps what is known; fill() reads again where that is due."""

    _known: dict[tuple[int, str], frozenset[bytes]] = field(default_factory=dict)
    _read: float = 0.0
    _looked_at: frozenset[tuple[int, str]] = frozenset()

    def fill(self, interfaces: Mapping[int, Interface]) -> dict[int, Interface]:
        """The same with their peers. Blocks for the time that the tables take."""
        eligible = {(i.ifindex, i.name) for i in interfaces.values() if i.kind in KINDS}
        self._known = {key: known for key, known in self._known.items() if key in eligible}
        now = time.monotonic()
        if eligible and (eligible != self._looked_at or now - self._read >= READ_SECONDS):
            self._read, self._looked_at = now, frozenset(eligible)
            with suppress(OSError):
                self._learn(eligible, tables())
        return {number: replace(each, peers=self._of(each)) for number, each in interfaces.items()}

    def _learn(self, eligible: set[tuple[int, str]], found: Mapping[int, set[bytes]]) -> None:
        for key in eligible:
            known = self._known.get(key, frozenset())
            # One more than allowed is kept: it says that there are too many.
            self._known[key] = frozenset(sorted(known | found.get(key[0], set()))[: MOST + 1])

    def _of(self, interface: Interface) -> tuple[bytes, ...]:
        known = self._known.get((interface.ifindex, interface.name), frozenset())
        return tuple(sorted(known)) if len(known) <= MOST else ()


def tables() -> dict[int, set[bytes]]:
    """Addresses by the ifindex that leads to them alone; OSError where netlink does not answer."""
    found: dict[int, set[bytes]] = {}
    for ifindex, address in _routes():
        found.setdefault(ifindex, set()).add(address)
    ports = dict(_ports())
    for bridge, mac, address in _neighbours():
        port = ports.get((bridge, mac))
        if port is not None:
            found.setdefault(port, set()).add(address)
    return found


def _routes() -> Iterator[tuple[int, bytes]]:
    """To one address, through an interface and no gateway."""
    for family, length in ((socket.AF_INET, 32), (socket.AF_INET6, 128)):
        ask = _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, _RTN_UNICAST, 0)
        for head, attributes in _dump(_RTM_GETROUTE, ask):
            _, prefix, _, _, _, _, _, kind, _ = _ROUTE.unpack_from(head)
            if kind != _RTN_UNICAST or prefix != length:
                continue
            if _RTA_OIF in attributes and not attributes.keys() & {_RTA_GATEWAY, _RTA_VIA}:
                address = _address(attributes.get(_RTA_DST, b""))
                if address:
                    yield _NUMBER.unpack(attributes[_RTA_OIF])[0], address


def _ports() -> Iterator[tuple[tuple[int, bytes], int]]:
    """Port by bridge and MAC address, those that the bridge has learnt."""
    for head, attributes in _dump(_RTM_GETNEIGH, _NEIGHBOUR.pack(socket.AF_BRIDGE, 0, 0, 0, 0)):
        _, ifindex, state, _, _ = _NEIGHBOUR.unpack_from(head)
        if _NDA_MASTER in attributes and not state & _NUD_PERMANENT:
            bridge = _NUMBER.unpack(attributes[_NDA_MASTER])[0]
            yield (bridge, attributes.get(_NDA_LLADDR, b"")), ifindex


def _neighbours() -> Iterator[tuple[int, bytes, bytes]]:
    """Interface, MAC address and address."""
    for family in (socket.AF_INET, socket.AF_INET6):
        for head, attributes in _dump(_RTM_GETNEIGH, _NEIGHBOUR.pack(family, 0, 0, 0, 0)):
            _, ifindex, state, _, _ = _NEIGHBOUR.unpack_from(head)
            address = _address(attributes.get(_NDA_DST, b""))
            if address and state & _NUD_KNOWN and _NDA_LLADDR in attributes:
                yield ifindex, attributes[_NDA_LLADDR], address


def _address(packed: bytes) -> bytes:
    """16 bytes; none for what is of the link alone or for a group."""
    if len(packed) == 4:
        return b"" if packed[0] >= 224 or packed[:2] == b"\xa9\xfe" else _V4_MAPPED + packed
    link_local = packed[:1] == b"\xfe" and len(packed) > 1 and packed[1] & 0xC0 == 0x80
    return b"" if len(packed) != 16 or packed[0] == 0xFF or link_local else packed


def _dump(kind: int, body: bytes) -> Iterator[tuple[bytes, dict[int, bytes]]]:
    """Every entry of a table: its head and its attributes."""
    size = _HEADER.size + len(body)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE) as asked:
        with suppress(OSError):  # before Linux 4.20 the kernel does not choose: we do
            asked.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        asked.settimeout(1.0)
        asked.send(_HEADER.pack(size, kind, _NLM_F_REQUEST_DUMP, 1, 0) + body)
        taken = 0
        while taken < _TABLE_BYTES:
            data = asked.recv(1 << 18)
            taken += len(data)
            at = 0
            while at + _HEADER.size <= len(data):
                length, message, _, _, _ = _HEADER.unpack_from(data, at)
                if message in (_NLMSG_DONE, _NLMSG_ERROR) or length < _HEADER.size:
                    return
                start, end = at + _HEADER.size, at + length
                yield data[start : start + len(body)], _attributes(data, start + len(body), end)
                at += (length + 3) & ~3


def _attributes(data: bytes, at: int, end: int) -> dict[int, bytes]:
    found = {}
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found
