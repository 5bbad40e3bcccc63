"""The cluster that these tests ask, if there is one: KUBECONFIG says where."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster.api import Api

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API server, asked as whoever KUBECONFIG says."""
    path = os.environ.get("KUBECONFIG", "")
    if not path:
        pytest.skip("no cluster: KUBECONFIG is not set")
    if not Path(path).is_file():
        pytest.skip(f"no cluster: KUBECONFIG names {path}, which is not there")
    with Api.connect(path, cache=tmp_path_factory.mktemp("discovery") / "api.json") as connected:
        yield connected
