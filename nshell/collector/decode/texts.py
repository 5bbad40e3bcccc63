"""Addresses as text, made once per distinct value.

Invariant: the same bytes always give the same text, and a cache never holds
more than its limit.
"""

from __future__ import annotations

import socket
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_V4_MAPPED = bytes(10) + b"\xff\xff"
_ADDRESSES = 1 << 18
_MACS = 1 << 14


def address_text(address: bytes) -> str:
    """Of 16 bytes, IPv4 where they are v4-mapped."""
    if address.startswith(_V4_MAPPED):
        return socket.inet_ntop(socket.AF_INET, address[12:])
    # inet_ntop writes some IPv6 addresses with an IPv4 tail, which nothing else here does.
    return str(IPv6Address(address))


def mac_text(mac: bytes) -> str:
    """Of 6 bytes, in upper case as in NetObserv's rows."""
    return mac.hex(":").upper()


def byte_keys(column: NDArray[np.uint8]) -> list[bytes]:
    """The rows of a two-dimensional array of bytes, each as one bytes object."""
    width = column.shape[1]
    keys: list[bytes] = np.ascontiguousarray(column).view(f"V{width}").ravel().tolist()
    return keys


class TextCache(dict[bytes, str]):
    """Texts by value; emptied when full, so it stays bounded at no cost per hit."""

    def __init__(self, render: Callable[[bytes], str], *, limit: int) -> None:
        super().__init__()
        self._render = render
        self._limit = limit

    def __missing__(self, key: bytes) -> str:
        if len(self) >= self._limit:
            self.clear()
        text = self[key] = self._render(key)
        return text

    def texts(self, keys: list[bytes]) -> list[str]:
        """Of each key."""
        return list(map(self.__getitem__, keys))


class Texts:
    """The caches that one decoder keeps from batch to batch."""

    def __init__(self) -> None:
        self.addresses = TextCache(address_text, limit=_ADDRESSES)
        self.macs = TextCache(mac_text, limit=_MACS)
