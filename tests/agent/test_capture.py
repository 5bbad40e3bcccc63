"""A generation that cannot be put in force leaves nothing at the hooks."""

from __future__ import annotations

import asyncio

import pytest
from pyroute2 import AsyncIPRoute

from agent import wire
from agent.capture import Capture
from agent.filters.tables import Settings
from agent.kernel.compile import Loading, Sizes
from agent.kernel.hooks import FeatureHooks

pytestmark = pytest.mark.kernel

TOO_MANY = tuple(range(1, wire.MAX_DNS_PORTS + 2))


async def test_a_refused_generation_attaches_no_feature_and_keeps_those_of_the_last() -> None:
    loading = Loading(Sizes(flow_capacity=16, ring_bytes=4096, event_bytes=4096))
    loaded = loading.finish()
    loading.hurry()
    hooks = FeatureHooks(loading.finish_features(), loaded.maps["tails"])
    features: asyncio.Future[FeatureHooks] = asyncio.get_running_loop().create_future()
    features.set_result(hooks)
    async with AsyncIPRoute() as netlink:
        capture = await Capture.open(
            netlink, loaded, features, want_features=loading.hurry, method="tcx", anchor="head",
            patterns=["no-such-interface"],
        )  # fmt: skip
        try:
            await capture.apply([], Settings(1, features=frozenset({"drops"})))
            refused = Settings(2, features=frozenset({"dns", "tcp"}), dns_ports=TOO_MANY)
            with pytest.raises(ValueError, match="9 DNS ports, 8 are the most"):
                await capture.apply([], refused)
            assert hooks.links.keys() == {"drops"}
            assert capture.classifier.generation == 1
        finally:
            await capture.close()
