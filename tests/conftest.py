"""Fixtures that every area may use."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests import network
from tests.kernel import kernel
from tests.workers import ByModule

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["kernel"]


def pytest_configure(config: pytest.Config) -> None:
    """Tests neither read nor write what the user keeps, and none fails by the clock."""
    settings.register_profile("any machine", deadline=None)
    settings.load_profile("any machine")
    os.environ["NETOBSERV_CONFIG"] = os.devnull
    # Its handlers would write to the terminal of a child between fork and exec.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    os.environ["XDG_STATE_HOME"] = state = tempfile.mkdtemp(prefix="netobserv-test-state-")
    config.add_cleanup(lambda: shutil.rmtree(state, ignore_errors=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A cluster comes last, for what needs none is sooner told; what ends its nodes behind that."""
    items.sort(
        key=lambda item: (
            item.get_closest_marker("cluster") is not None,
            item.path.name == "test_faults.py",
        )
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    """With -n."""
    return ByModule(config, log)


@pytest.fixture
def pair() -> Iterator[network.Pair]:
    """Two hosts on one wire, gone afterwards."""
    with network.pair() as made:
        yield made


@pytest.fixture
def routed() -> Iterator[network.Routed]:
    """A client and a server with a router between them."""
    with network.routed() as made:
        yield made
