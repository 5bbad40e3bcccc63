"""A way to the API server that can be cut: what a shell sees when its network fails."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from nshell.cluster.api import Api

if TYPE_CHECKING:
    from collections.abc import Iterator


class Relay:
    """Listens on this host and passes bytes on, while it is whole."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._whole = threading.Event()
        self._whole.set()
        self.port = int(self._listener.getsockname()[1])
        self.connections = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break every connection, and let nobody through."""
        self._whole.clear()
        for each in tuple(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self.cut()
        # Closing alone would not wake who accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._whole.is_set():
                self.connections += 1
                threading.Thread(target=self._join, args=(near,), daemon=True).start()
            else:
                near.close()

    def _join(self, near: socket.socket) -> None:
        with near, socket.create_connection(self._to) as far:
            ends = {near, far}
            self._open |= ends
            up = threading.Thread(target=_pass_on, args=(near, far), daemon=True)
            up.start()
            _pass_on(far, near)
            up.join()
            self._open -= ends


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relayed(kubeconfig: str, directory: Path) -> Iterator[tuple[Relay, str]]:
    """A relay, and a kubeconfig that leads through it."""
    config, cluster = _config(kubeconfig)
    url = urlsplit(cluster["server"])
    relay = Relay(str(url.hostname), url.port or 443)
    cluster["tls-server-name"] = cluster.get("tls-server-name") or url.hostname
    cluster["server"] = f"{url.scheme}://127.0.0.1:{relay.port}"
    try:
        yield relay, _written(config, directory / "relayed.yaml")
    finally:
        relay.close()


def as_account(kubeconfig: str, namespace: str, account: str, path: Path) -> str:
    """A kubeconfig of the same server for a service account."""
    asked = Api.connect(kubeconfig)
    answer = asked.request(
        "POST",
        f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token",
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        },
    )
    asked.close()
    config, _ = _config(kubeconfig)
    for user in config["users"]:
        user["user"] = {"token": answer["status"]["token"]}
    return _written(config, path)


def _config(kubeconfig: str) -> tuple[dict[str, Any], dict[str, Any]]:
    config = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
    current = next(
        each["context"] for each in config["contexts"] if each["name"] == config["current-context"]
    )
    cluster = next(
        each["cluster"] for each in config["clusters"] if each["name"] == current["cluster"]
    )
    return config, cluster


def _written(config: dict[str, Any], path: Path) -> str:
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return os.fspath(path)
