"""The cluster that these tests ask, if there is one: KUBECONFIG says where.

The image under test is built and carried to the nodes where NETOBSERV_TESTBED
names their scripts; on any other cluster NETOBSERV_TEST_IMAGE names one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster import image as images
from tests.cluster import workloads
from tests.cluster.api import Api
from tests.cluster.nodes import Nodes, Testbed
from tests.cluster.team import Team

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    """Path of the file that says how to reach the cluster."""
    path = os.environ.get("KUBECONFIG", "")
    if not path:
        pytest.skip("no cluster: KUBECONFIG is not set")
    if not Path(path).is_file():
        pytest.skip(f"no cluster: KUBECONFIG names {path}, which is not there")
    return path


@pytest.fixture(scope="session")
def api(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API server, asked as whoever KUBECONFIG says."""
    cache = tmp_path_factory.mktemp("discovery") / "api.json"
    with Api.connect(kubeconfig, cache=cache) as connected:
        yield connected


@pytest.fixture(scope="session")
def nodes(api: Api) -> Nodes:
    """Where agents and pods run; skips below two."""
    return Nodes.of(api, Testbed.find())


@pytest.fixture(scope="session")
def image(nodes: Nodes) -> str:
    """Name of an image of this tree that every node has or gets."""
    return images.on_nodes(nodes.testbed, nodes.names)


@pytest.fixture(scope="module")
def workload(api: Api, image: str) -> Iterator[workloads.Place]:
    """A namespace for a module's pods, gone afterwards."""
    with workloads.place(api, image) as made:
        yield made


@pytest.fixture
def team(api: Api) -> Iterator[Team]:
    """A namespace with pods that exist for the API server alone."""
    with workloads.place(api, "") as place:
        yield Team(api, place.name)
