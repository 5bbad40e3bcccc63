"""One port of a pod through the API server: a websocket, read and written without waiting.

Invariant: pure state and one socket; a frame is never cut, and what is not of the
port's protocol is a Broken.
"""

# ruff: noqa: PLC0415 - imports inside functions: `kubernetes` takes half a second

from __future__ import annotations

import json
import ssl
import struct
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nshell.cluster.api import ApiError, unreachable

if TYPE_CHECKING:
    import socket

    from nshell.cluster.api import Api

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
"""Channels of the only port."""
_CONTINUED, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x2, 0x8, 0x9, 0xA
_FINAL, _MASKED = 0x80, 0x80
_RECEIVE_BYTES = 256 << 10
_MOST_FRAME_BYTES = 16 << 20
_CLOSED = "the API server closed the port-forward"


class Broken(Exception):  # noqa: N818 - says what it is
    """The stream has ended, and why."""


def open_port(api: Api, namespace: str, pod: str, port: int) -> PortStream:
    """Connect; ApiError where the server will not."""
    from kubernetes.stream.ws_client import create_websocket
    from websocket import WebSocketBadStatusException, WebSocketException

    path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/portforward?ports={port}"
    url = f"ws{api.server.removeprefix('http')}{path}"
    headers = {**api.authorization(), "sec-websocket-protocol": _PROTOCOL}
    try:
        made = create_websocket(api.configuration, url, headers)
    except WebSocketBadStatusException as error:
        raise ApiError(_said(error), status=error.status_code) from error
    except (WebSocketException, OSError) as error:
        raise ApiError(unreachable(api.server, error)) from error
    return PortStream(made.sock)


def _said(error: Any) -> str:
    try:
        text = str(json.loads(error.resp_body)["message"])
    except (TypeError, ValueError, KeyError):
        text = f"the API server answers {error.status_code}"
    return f"no port-forward: {text}"


class PortStream:
    """What the port says and what it is told."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.setblocking(False)  # noqa: FBT003 - its only argument
        self._received = bytearray()
        self._outgoing = bytearray()
        self._greeted: set[int] = set()
        self._end: Broken | None = None
        self._room = memoryview(bytearray(_RECEIVE_BYTES))

    @property
    def unsent(self) -> bool:
        """Some of what was put waits to be sent."""
        return bool(self._outgoing)

    def put(self, data: bytes) -> None:
        """For the port; flush() sends it."""
        self._frame(_BINARY, bytes([_DATA]) + data)

    def flush(self) -> None:
        """Send what the socket takes now."""
        while self._outgoing:
            try:
                sent = self.socket.send(self._outgoing)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return
            except OSError as error:
                raise Broken(error.strerror or str(error)) from error
            del self._outgoing[:sent]

    def receive(self) -> bytes:
        """What the port has said since; empty where that is nothing yet."""
        if self._end is not None:
            raise self._end
        said = []
        while self._end is None:
            try:
                size = self.socket.recv_into(self._room)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as error:
                self._end = Broken(error.strerror or str(error))
                break
            self._received += self._room[:size]
            said += self._frames()
            if not size:
                self._end = self._end or Broken(_CLOSED)
            # OpenSSL may hold more than the socket shows.
            if not isinstance(self.socket, ssl.SSLSocket) or not self.socket.pending():
                break
        if self._end is not None and not said:
            raise self._end
        return b"".join(said)

    def close(self) -> None:
        self.socket.close()

    def _frames(self) -> list[bytes]:
        """The data of the frames that are whole, up to one that ends the stream."""
        said: list[bytes] = []
        position = 0
        try:
            while (header := _header(self._received, position)) is not None:
                kind, start, size = header
                if start + size > len(self._received):
                    break
                position = start + size
                said += self._take(kind, bytes(self._received[start:position]))
        except Broken as end:
            self._end = end
        del self._received[:position]
        return said

    def _take(self, kind: int, payload: bytes) -> list[bytes]:
        if kind == _BINARY:
            return self._channel(payload)
        if kind == _PING:
            self._frame(_PONG, payload)
        elif kind == _CLOSE:
            raise Broken(_CLOSED)
        elif kind != _PONG:
            raise Broken(f"not understood: a frame of kind {kind}")
        return []

    def _channel(self, payload: bytes) -> list[bytes]:
        channel, data = payload[0] if payload else -1, payload[1:]
        if channel not in (_DATA, _ERROR):
            raise Broken(f"not understood: channel {channel}")
        if channel not in self._greeted:
            # The first frame of each is the port's number.
            self._greeted.add(channel)
            return []
        if channel == _ERROR:
            raise Broken(data.decode(errors="backslashreplace"))
        return [data]

    def _frame(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            length = struct.pack("!B", _MASKED | size)
        elif size < 1 << 16:
            length = struct.pack("!BH", _MASKED | 126, size)
        else:
            length = struct.pack("!BQ", _MASKED | 127, size)
        # The mask is for proxies that look into clear text: zeros are one too.
        self._outgoing += bytes([_FINAL | kind]) + length + bytes(4) + payload


def _header(buffer: bytearray, position: int) -> tuple[int, int, int] | None:
    """Kind, start and size of the frame that begins here, if its header is whole."""
    if len(buffer) < position + 2:
        return None
    first, second = buffer[position], buffer[position + 1]
    if not first & _FINAL or second & _MASKED or first & 0x0F == _CONTINUED:
        raise Broken("not understood: a frame in parts")
    size, start = second & 0x7F, position + 2
    extended = {126: "!H", 127: "!Q"}.get(size)
    if extended is not None:
        if len(buffer) < start + struct.calcsize(extended):
            return None
        (size,) = struct.unpack_from(extended, buffer, start)
        start += struct.calcsize(extended)
    if size > _MOST_FRAME_BYTES:
        raise Broken(f"not understood: a frame of {size} bytes")
    return first & 0x0F, start, size
