"""What a session could leave behind: objects on the API server, programs in the nodes' kernels."""

from __future__ import annotations

import contextlib
import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.cluster.api import Api
    from tests.cluster.nodes import Nodes

GONE_SECONDS = 90.0
KINDS = (
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("v1", "ServiceAccount"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "Pod"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "DaemonSet"),
)
_HELD = re.compile(r"^(prog|link)_id:\s+(\d+)$", re.MULTILINE)


def objects(api: Api, session: str) -> list[str]:
    """Of a session, wherever they are."""
    selector = f"app.kubernetes.io/managed-by=netobserv,netobserv.io/session={session}"
    return [
        f"{kind} {item['metadata']['name']}"
        for version, kind in KINDS
        for item in api.items(version, kind, label_selector=selector)
    ]


def processes(api: Api, session: str, component: str) -> dict[str, int]:
    """Pids of the session's collector or agents by node, where the nodes are on this machine."""
    selector = f"netobserv.io/session={session},app.kubernetes.io/component={component}"
    pods = {
        pod["metadata"]["uid"]: pod["spec"].get("nodeName", "")
        for pod in api.items("v1", "Pod", label_selector=selector)
    }
    found = {}
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            groups, words = path.read_text(), (path.parent / "cmdline").read_bytes()
            for uid, node in pods.items():
                if uid in groups and f"netobserv-{component}".encode() in words:
                    found[node] = int(path.parent.name)
    return found


@dataclass(slots=True)
class Traces:
    """The kernel objects that a session's agents have held, by what holds them."""

    ids: set[tuple[str, int]] = field(default_factory=set)

    def note(self, pids: Iterable[int]) -> None:
        """Programs and links that these processes have open."""
        for pid in pids:
            for info in Path(f"/proc/{pid}/fdinfo").glob("*"):
                with contextlib.suppress(OSError):
                    self.ids |= {(kind, int(n)) for kind, n in _HELD.findall(info.read_text())}

    def left(self, nodes: Nodes) -> list[str]:
        """Those that the kernel still has; nodes of the testbed share one kernel."""
        inside = nodes.inside(nodes.names[0])
        there = {
            (kind, each["id"])
            for kind in ("prog", "link")
            for each in json.loads(inside.run("bpftool", "--json", kind, "show") or "[]")
        }
        return [f"{kind} {number}" for kind, number in sorted(self.ids & there)]


def wait_nothing(look: Callable[[], list[str]], *, seconds: float = GONE_SECONDS) -> None:
    """Until there is nothing any more."""
    end = time.monotonic() + seconds
    while left := look():
        assert time.monotonic() < end, f"still there: {', '.join(left[:10])}"
        time.sleep(0.3)
