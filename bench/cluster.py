"""A session on the cluster that KUBECONFIG names: start to prompt, filter changes, on every node.

The image is the tests' own: present on the nodes before anything is measured.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

import pytest

from tests.cluster import image, shell, workloads
from tests.cluster.api import Api
from tests.cluster.nodes import Nodes, Testbed
from tests.session import NETOBSERV, Session

if TYPE_CHECKING:
    from tests.cluster.shell import ClusterShell

STARTS = 3
CHANGES = 100


def run() -> dict[str, float]:
    """Seconds and milliseconds, as the names say; nothing where there is no cluster."""
    kubeconfig = os.environ.get("KUBECONFIG", "")
    if not kubeconfig:
        print("cluster: not measured: KUBECONFIG is not set")
        return {}
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            Api.connect(kubeconfig, cache=Path(folder) / "api.json") as api,
        ):
            nodes = Nodes.of(api, Testbed.find())
            name = image.on_nodes(nodes.testbed, nodes.names)
            return _measure(shell.in_new_namespace(api, kubeconfig, name), api, len(nodes.names))
    except pytest.skip.Exception as reason:
        print(f"cluster: not measured: {reason}")
        return {}


def _measure(shells: ClusterShell, api: Api, agents: int) -> dict[str, float]:
    starts = [_start(shells, agents) for _ in range(STARTS)]
    with workloads.place(api, shells.image) as place:
        (target,) = place.deployment("sink", workloads.SINK, 7001)
        with shells.session(f"bench-{secrets.token_hex(2)}") as live:
            results = {"start to prompt, s": median(starts)}
            return (
                results
                | _changes(live, agents, "addresses", f"peer_ip {target.address} port")
                | _changes(live, agents, "a selector", f"pod {place.name}/sink* port")
            )


def _start(shells: ClusterShell, agents: int) -> float:
    name = f"bench-{secrets.token_hex(2)}"
    begun = time.monotonic()
    with shells.terminal(NETOBSERV, name) as shown:
        shown.wait_for(f"{agents} of {agents} agents applied", seconds=120)
        shown.wait_for("netobserv>", seconds=60)
        took = time.monotonic() - begun
        shown.type("quit\r")
        shown.wait_end(seconds=90)
    return took


def _changes(live: Session, agents: int, what: str, words: str) -> dict[str, float]:
    (added,) = live.do("filter clear", f"filter {words} 1", "filter list")[-1:]
    number = added[0]["id"]
    mark = len(live.narration)
    for each in range(CHANGES):
        live.tell(f"filter replace {number} {words} {1 + each % 7}")
    live.do("filter clear")
    pattern = re.compile(rf"applied {agents}/{agents} in ([\d.]+) ms")
    times = [float(found[1]) for line in live.narration[mark:] if (found := pattern.search(line))]
    times = times[:CHANGES]
    return {
        f"filter change with {what}, p50 ms": median(times),
        f"filter change with {what}, p95 ms": quantiles(times, n=20)[18],
    }


if __name__ == "__main__":
    for what, value in run().items():
        print(f"{what:45} {value:10,.2f}")
