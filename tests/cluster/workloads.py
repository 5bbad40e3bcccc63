"""Pods, Deployments and services of a test's own, and the traffic between them.

Each namespace is new, bears a name from `netobserv-test-`, and is gone
afterwards. Traffic is numbered, its rate is bounded, and it stays in the cluster.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nshell.cluster.manifests import Object
    from tests.cluster.api import Api

PREFIX = "netobserv-test-"
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """A pod that runs, as the API server has it."""

    namespace: str
    name: str
    uid: str
    node: str
    address: str
    host_address: str

    @classmethod
    def of(cls, pod: Object) -> Running:
        metadata, status = pod["metadata"], pod["status"]
        return cls(
            metadata["namespace"], metadata["name"], metadata["uid"], pod["spec"]["nodeName"],
            status["podIP"], status["hostIP"],
        )  # fmt: skip


class Place:
    """A namespace and what runs there."""

    def __init__(self, api: Api, name: str, image: str) -> None:
        self._api = api
        self._image = image
        self.name = name

    def pod(self, name: str, script: str, *arguments: object, node: str = "") -> Running:
        """One that nobody brings back."""
        self._api.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": self.name, "labels": {"app": name}},
                "spec": self._runs(script, arguments, node),
            }
        )
        return self.running(name)[0]

    def deployment(
        self, name: str, script: str, *arguments: object, node: str = "", replicas: int = 1
    ) -> list[Running]:
        """Pods that come back."""
        labels = {"app": name}
        self._api.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": self.name, "labels": labels},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": self._runs(script, arguments, node),
                    },
                },
            }
        )
        return self.running(name, replicas)

    def service(self, name: str, *, port: int, target: int, protocol: str = "TCP") -> str:
        """In front of the pods of that name; its address."""
        made = self._api.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": self.name},
                "spec": {
                    "selector": {"app": name},
                    "ports": [{"port": port, "targetPort": target, "protocol": protocol}],
                },
            }
        )
        return str(made["spec"]["clusterIP"])

    def pods(self, name: str) -> list[Object]:
        """As they are now."""
        return self._api.items("v1", "Pod", namespace=self.name, label_selector=f"app={name}")

    def running(self, name: str, count: int = 1, *, but: Sequence[str] = ()) -> list[Running]:
        """Once so many run; those of the uids in `but` do not count."""
        end = time.monotonic() + _SECONDS
        while True:
            pods = self.pods(name)
            ready = [
                Running.of(pod)
                for pod in pods
                if is_ready(pod) and pod["metadata"]["uid"] not in but
            ]
            if len(ready) == count:
                return ready
            assert time.monotonic() < end, f"{len(ready)} of {count} {name} run: {_why_not(pods)}"
            time.sleep(0.1)

    def delete_pod(self, name: str) -> None:
        self._api.delete(
            {"apiVersion": "v1", "kind": "Pod",
             "metadata": {"name": name, "namespace": self.name}}
        )  # fmt: skip

    def scale(self, name: str, replicas: int) -> None:
        """Of a Deployment; nobody waits for it."""
        self._api.patch(
            {"apiVersion": "apps/v1", "kind": "Deployment",
             "metadata": {"name": name, "namespace": self.name}, "spec": {"replicas": replicas}}
        )  # fmt: skip

    def log(self, pod: str) -> list[str]:
        """What it printed, line by line."""
        return self._api.text(f"/api/v1/namespaces/{self.name}/pods/{pod}/log").splitlines()

    def _runs(self, script: str, arguments: Sequence[object], node: str) -> Object:
        container = {
            "name": "main",
            "image": self._image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-u", "-c", script, *map(str, arguments)],
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        }
        spec: dict[str, Any] = {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "containers": [container],
        }
        # Not nodeName: a pod that a DaemonSet or a taint has no part in is scheduled.
        return spec | ({"nodeSelector": {"kubernetes.io/hostname": node}} if node else {})


@contextlib.contextmanager
def place(api: Api, image: str) -> Iterator[Place]:
    """A new namespace; everything in it is gone afterwards, and nobody waits for that."""
    name = f"{PREFIX}{secrets.token_hex(4)}"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    api.apply(namespace)
    try:
        _until(lambda: api.exists({"apiVersion": "v1", "kind": "ServiceAccount",
                                   "metadata": {"name": "default", "namespace": name}}),
               "the namespace's service account")  # fmt: skip
        yield Place(api, name, image)
    finally:
        api.delete(namespace)


def is_ready(pod: Object) -> bool:
    """It runs and is meant to go on."""
    status = pod.get("status", {})
    conditions = {each["type"]: each["status"] for each in status.get("conditions") or []}
    gone = "deletionTimestamp" in pod["metadata"]
    return conditions.get("Ready") == "True" and bool(status.get("podIP")) and not gone


def _why_not(pods: Sequence[Object]) -> str:
    return json.dumps([pod.get("status", {}) for pod in pods])[:1500]


def _until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


SERVE = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "3"); self.end_headers()
        self.wfile.write(b"ok\\n")
    def log_message(self, form, *words): print(self.path)
http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Answer).serve_forever()
"""
"""port: answers requests; prints the path of each."""

ASK = """
import http.client, sys, time
host, port, times, gap = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
for number in range(times):
    try:
        c = http.client.HTTPConnection(host, port, timeout=1)
        c.request("GET", f"/{number}"); c.getresponse().read(); c.close(); print(number)
    except OSError as error: print(number, type(error).__name__)
    time.sleep(gap)
time.sleep(3600)
"""
"""host port times gap: numbered requests; prints the number of each, and how it failed."""

SINK = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", int(sys.argv[1])))
while True: print(s.recv(2048)[:64].decode().strip())
"""
"""port: takes datagrams in and prints them."""

SEND = """
import socket, sys, time
host, port, times, gap = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
who = socket.gethostname()
for number in range(times):
    text = f"{who} {number} {time.time_ns()}"
    try: s.sendto(text.encode().ljust(100), (host, port)); print(text)
    except OSError as error: print("failed", type(error).__name__)
    time.sleep(gap)
time.sleep(3600)
"""
"""host port times gap: datagrams that say who sent them, their number and when; prints them."""
