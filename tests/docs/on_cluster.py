"""What docs/kubernetes.md shows of a session, really run: a shop's web server and its client.

`python -m tests.docs.on_cluster` prints it, on the cluster that KUBECONFIG names.
The document calls the namespace `shop`; here it has a name of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import image, shell, workloads
from tests.cluster.api import Api
from tests.cluster.nodes import Nodes, Testbed
from tests.cluster.workloads import ASK, SERVE
from tests.docs.transcript import Exchange, alike, converse, show
from tests.session import NETOBSERV

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHOP = "shop"
_NEWS = re.compile(r"netobserv: [\w.-]+: attached$")
"""Of an agent that was late; it may come between any two lines."""
COMMANDS = (
    "filter namespace shop port 8080",
    "wait until SELECT count(*) > 4 FROM flow WHERE SrcK8S_Name IS NOT NULL timeout 20s",
    "SELECT DISTINCT SrcK8S_OwnerName AS Client, DstK8S_OwnerName AS Server,"
    " DstK8S_HostName AS ServerNode, Node AS SeenOn FROM flow WHERE DstPort = 8080 ORDER BY Node",
    "filter pod shop/client* for packets",
    "wait until SELECT count(*) > 20 FROM packet WHERE SrcK8S_Name LIKE 'client%' timeout 20s",
    "export pcapng client.pcapng where SrcK8S_Name LIKE 'client%'",
    "losses",
    "quit",
)


@dataclass(frozen=True, slots=True)
class Shop:
    """Its namespace, and a place for agents and collector."""

    name: str
    shell: shell.ClusterShell

    def run(self, commands: Sequence[str], folder: Path) -> list[Exchange]:
        """The document's commands, and what they say in the document's words."""
        words = ["env", "TERM=dumb", NETOBSERV, "shell", *self.shell.words("docs"), "--packets"]
        here = [command.replace(SHOP, self.name) for command in commands]
        try:
            told = converse(words, here, folder)
        finally:
            self.shell.remove("docs")
        return [
            Exchange(
                each.command.replace(self.name, SHOP),
                [line.replace(self.name, SHOP) for line in each.answer if not _NEWS.match(line)],
            )
            for each in told
        ]


@contextlib.contextmanager
def shop(api: Api, kubeconfig: str, nodes: Nodes, name: str) -> Iterator[Shop]:
    """A client that asks a web server on another node ten times a second."""
    with workloads.place(api, name) as place:
        (server,) = place.deployment("web", SERVE, 8080, node=nodes.names[1])
        place.deployment("client", ASK, server.address, 8080, 3000, 0.1, node=nodes.names[0])
        yield Shop(place.name, shell.in_new_namespace(api, kubeconfig, name))


def likeness(line: str) -> str:
    """As transcript.alike, and without what a Deployment adds to the names of its pods."""
    return alike(re.sub(r"-[0-9a-f]{8,10}-[a-z0-9]{5}\b", "-N", line))


def main() -> None:
    kubeconfig = os.environ["KUBECONFIG"]
    with (
        tempfile.TemporaryDirectory() as folder,
        Api.connect(kubeconfig, cache=Path(folder) / "api.json") as api,
    ):
        nodes = Nodes.of(api, Testbed.find())
        name = image.on_nodes(nodes.testbed, nodes.names)
        with shop(api, kubeconfig, nodes, name) as made:
            print(show(made.run(COMMANDS, Path(folder))))


if __name__ == "__main__":
    main()
