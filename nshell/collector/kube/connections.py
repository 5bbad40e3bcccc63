"""Connections of urllib3 that can be cut from any thread, whatever they are waiting for.

Invariant: what is shut down is the connection itself, by a descriptor of our own:
TLS and whoever reads find it at its end.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

_KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
OPTIONS = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, name, value) for name, value in _KEEPALIVE),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
]
"""A peer that vanished without a word is noticed within half a minute."""


class Handles:
    """Descriptors of the connections that are open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._cut = False

    def adopt(self, pools: urllib3.PoolManager) -> None:
        """Have the connections that it makes from now on in here."""
        handles = self

        class Plain(HTTPConnection):
            """Tracked; without TLS."""

            def _new_conn(self) -> socket.socket:
                return handles.track(self, super()._new_conn())

            def close(self) -> None:
                super().close()
                handles.release(self)

        class Tls(HTTPSConnection):
            """Tracked; with TLS."""

            def _new_conn(self) -> socket.socket:
                return handles.track(self, super()._new_conn())

            def close(self) -> None:
                super().close()
                handles.release(self)

        class PlainPool(urllib3.HTTPConnectionPool):
            """Of tracked connections."""

            ConnectionCls = Plain

        class TlsPool(urllib3.HTTPSConnectionPool):
            """Of tracked connections."""

            ConnectionCls = Tls

        pools.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
        pools.connection_pool_kw["socket_options"] = OPTIONS

    def track(self, connection: Any, raw: socket.socket) -> socket.socket:
        """A connection has been made."""
        self.release(connection)
        handle = raw.dup()
        with self._lock:
            connection.handle = handle
            self._open.add(handle)
            if self._cut:
                _shut_down(handle)
        return raw

    def release(self, connection: Any) -> None:
        """It is closed."""
        with self._lock:
            handle = getattr(connection, "handle", None)
            if handle is not None:
                connection.handle = None
                self._open.discard(handle)
                handle.close()

    def cut(self) -> None:
        """End all of them, and those to come."""
        with self._lock:
            self._cut = True
            for each in self._open:
                _shut_down(each)


def _shut_down(handle: socket.socket) -> None:
    with suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)
