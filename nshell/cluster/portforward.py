"""A Unix socket that leads to a port in a cluster, through the API server.

Invariant: every connection made to the socket has a port-forward and a thread of
its own, and both end with it; close() leaves none. Nothing is held back but a
bounded piece each way. Whoever connects again gets a new one, to the pod of then.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from nshell.cluster.api import ApiError
from nshell.cluster.websocket import Broken, PortStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LOG = logging.getLogger(__name__)
_UP_BYTES = 256 << 10
"""Read at a time from who connected."""
_DOWN_BYTES = 1 << 20
"""Above this nothing more is read from the API server until it has been taken."""
_JOIN_SECONDS = 5.0


class PortForward:
    """The socket, and whoever has connected to it."""

    def __init__(self, path: Path, open_: Callable[[], PortStream]) -> None:
        self._open = open_
        self._ended, self._end = socket.socketpair()
        self._threads: set[threading.Thread] = set()
        self._closing = threading.Event()
        self.problem = ""
        """Why the latest connection did not come about, or broke."""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Under another name until it listens: whoever sees the name can connect.
        unfinished = path.with_name(f"{path.name}.new")
        self._listener.bind(os.fspath(unfinished))
        self._listener.listen()
        unfinished.rename(path)
        self._start(self._accept, "port-forward")

    def hang_up(self) -> None:
        """End every connection, and take no more."""
        self._closing.set()
        # Readable at the other end, in every thread, and for good.
        self._end.close()

    def close(self) -> None:
        """The same, and wait for the threads."""
        self.hang_up()
        for thread in tuple(self._threads):
            thread.join(_JOIN_SECONDS)
        self._listener.close()
        if not any(thread.is_alive() for thread in self._threads):
            self._ended.close()

    def _start(self, work: Callable[[], None], name: str) -> None:
        # A handshake that hangs must not keep the program from ending.
        thread = threading.Thread(target=lambda: self._run(work), name=name, daemon=True)
        self._threads.add(thread)
        thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - a thread's last words would reach the terminal
            _LOG.exception("port-forward failed")
        finally:
            if not self._closing.is_set():
                self._threads.discard(threading.current_thread())

    def _accept(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self._ended], [], [])
            if self._ended in ready:
                return
            with suppress(OSError):
                client, _ = self._listener.accept()
                self._start(lambda client=client: self._serve(client), "port-forward connection")  # type: ignore[misc]

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                stream = self._open()
            except ApiError as error:
                self.problem = str(error)
                return
            try:
                self.problem = ""
                _bridge(client, stream, self._ended)
            except Broken as error:
                self.problem = str(error)
                _LOG.info("port-forward ended: %s", error)
            finally:
                stream.close()


def _bridge(client: socket.socket, stream: PortStream, ended: socket.socket) -> None:
    """Both ways until either side ends; Broken where the far one does."""
    client.setblocking(False)  # noqa: FBT003 - its only argument
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    down = bytearray()
    while True:
        near = select.POLLIN * (not stream.unsent) | select.POLLOUT * bool(down)
        far = select.POLLIN * (len(down) < _DOWN_BYTES) | select.POLLOUT * stream.unsent
        _watch(poll, client, near)
        _watch(poll, stream.socket, far)
        ready = dict(poll.poll())
        if ended.fileno() in ready:
            return
        if ready.get(stream.socket.fileno()):
            stream.flush()
            if far & select.POLLIN:
                try:
                    down += stream.receive()
                except Broken:
                    _deliver(client, down)
                    raise
        if ready.get(client.fileno(), 0) & ~select.POLLOUT:
            data = _received(client)
            if data == b"":
                return
            if data:
                stream.put(data)
                stream.flush()
        if down:
            with suppress(BlockingIOError):
                try:
                    del down[: client.send(down)]
                except (BrokenPipeError, ConnectionResetError):
                    return


def _watch(poll: select.poll, connection: socket.socket, events: int) -> None:
    """For these alone; for none: an end is not looked at either."""
    if events:
        poll.register(connection, events)
    else:
        with suppress(KeyError):
            poll.unregister(connection)


def _received(client: socket.socket) -> bytes | None:
    """None where there is nothing yet; empty at the end."""
    try:
        return client.recv(_UP_BYTES)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b""


def _deliver(client: socket.socket, rest: bytearray) -> None:
    """The last words of a stream that has ended."""
    client.settimeout(1.0)
    with suppress(OSError):
        client.sendall(rest)
