"""The nodes of a cluster: their names everywhere; what is inside of them on the testbed alone.

NETOBSERV_TESTBED names the folder of the scripts that run the nodes on this
machine; elsewhere what looks into a node skips.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from nshell.cluster.manifests import Object
    from tests.cluster.api import Api

# One process to the end, so that ending it ends the program.
_IN_NODE = (
    '. "$0/common.sh" && exec nsenter --target "$(pid_of "$1")" --net --mount --uts -- "${@:2}"'
)
_IN_CONTAINERD = '. "$0/common.sh" && node_ctr "$@"'


@dataclass(frozen=True, slots=True)
class Testbed:
    """Nodes that are namespaces of this machine."""

    __test__ = False

    scripts: Path

    @classmethod
    def find(cls) -> Testbed | None:
        named = os.environ.get("NETOBSERV_TESTBED", "")
        if not named:
            return None
        scripts = Path(named)
        if not (scripts / "common.sh").is_file():
            pytest.fail(f"NETOBSERV_TESTBED names {named}, which has no common.sh")
        return cls(scripts)

    def words(self, node: str, *command: str) -> list[str]:
        """As Host.words: a command line that runs in the node's namespaces."""
        return ["bash", "-c", _IN_NODE, str(self.scripts), node, *command]

    def containerd(self, node: str, *words: str) -> str:
        """What `ctr` says there."""
        return _run("bash", "-c", _IN_CONTAINERD, str(self.scripts), node, *words)

    def load(self, archive: Path) -> None:
        """An image into every node."""
        _run(str(self.scripts / "image.sh"), "load", str(archive))


@dataclass(frozen=True, slots=True)
class Nodes:
    """Those of the cluster, by name, in order."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    testbed: Testbed | None

    @classmethod
    def of(cls, api: Api, testbed: Testbed | None) -> Nodes:
        """Those that take pods; skips below two."""
        found = sorted(
            (node["metadata"]["name"], address["address"])
            for node in api.items("v1", "Node")
            for address in node["status"]["addresses"]
            if address["type"] == "InternalIP" and not _keeps_pods_off(node)
        )
        # A node of two families is there once.
        addresses = dict(reversed(found))
        if len(addresses) < 2:
            pytest.skip(f"needs two nodes that take pods: the cluster has {len(addresses)}")
        names = tuple(sorted(addresses))
        return cls(names, tuple(addresses[name] for name in names), testbed)

    def inside(self, name: str) -> Inside:
        """A node's namespaces; skips where only its kubelet could look there."""
        if self.testbed is None:
            pytest.skip("looks into a node's namespaces: NETOBSERV_TESTBED is not set")
        return Inside(self.testbed, name)


@dataclass(frozen=True, slots=True)
class Inside:
    """Runs programs in the network and mount namespaces of a node."""

    testbed: Testbed
    node: str

    def words(self, *command: str) -> list[str]:
        return self.testbed.words(self.node, *command)

    def run(self, *command: str, check: bool = True) -> str:
        return _run(*self.words(*command), check=check)

    def start(self, *command: str, **how: Any) -> subprocess.Popen[Any]:
        """A program that whoever started it ends."""
        how.setdefault("stdout", subprocess.DEVNULL)
        how.setdefault("stderr", subprocess.DEVNULL)
        return subprocess.Popen(self.words(*command), stdin=subprocess.DEVNULL, **how)


def _keeps_pods_off(node: Object) -> bool:
    taints = node["spec"].get("taints") or []
    return any(taint["effect"] in ("NoSchedule", "NoExecute") for taint in taints)


def _run(*words: str, check: bool = True) -> str:
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if check and done.returncode:
        raise AssertionError(f"{' '.join(words[:8])}: {done.stderr}")
    return done.stdout
