"""Selectors followed by a collector: from a change of the cluster to agents, log and status."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from nshell.collector.kube.follow import LEAST_SECONDS, following, known
from nshell.collector.kube.inventory import Inventory
from nshell.collector.kube.reflector import Trouble
from nshell.collector.session import Settings
from tests.classifier import clusters as c
from tests.collector.conftest import running
from tests.collector.wiretap import Flow, flow_batch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agent.proto import agentlink_pb2 as pb
    from tests.collector.conftest import Collector


@dataclass(slots=True)
class Cluster:
    """A collector, and what it knows of a cluster."""

    collector: Collector
    inventory: Inventory


@asynccontextmanager
async def collecting(directory: Path, inventory: Inventory) -> AsyncIterator[Cluster]:
    async with running(directory, settings=Settings()) as collector:
        capture = collector.capture
        with following(capture.session, capture.fleet, inventory):
            yield Cluster(collector, inventory)


@pytest.fixture
async def shop(short_path: Path) -> AsyncIterator[Cluster]:
    """A collector that knows a small cluster."""
    async with collecting(short_path, c.cluster(*c.SHOP)) as made:
        yield made


def either(state: pb.DesiredState) -> list[bytes]:
    return [prefix.address for rule in state.rules for prefix in rule.either]


async def test_a_replaced_pod_is_captured_under_its_new_address(shop: Cluster) -> None:
    agent = await shop.collector.agent()
    shell = shop.collector.shell
    reply = await shell.add_filter("pod", "shop/web-1")
    assert (list(reply.warnings), reply.nodes[0].applied) == ([], True)
    assert either(agent.states[-1]) == [c.raw("10.1.0.1")]
    c.tell(shop.inventory, c.pod("shop/web-1", "10.1.0.55"))
    state = await agent.state(lambda state: state.generation == reply.generation + 1)
    assert either(state) == [c.raw("10.1.0.55")]
    await shell.until(
        "SELECT count(*) FROM filter_log WHERE TimeAppliedMs IS NOT NULL AND FilterId = 1", 2
    )
    log = await shell.rows("SELECT Filter, Addresses FROM filter_log WHERE FilterId = 1")
    assert log == [
        ["pod shop/web-1", '["10.1.0.1"]'],
        ["pod shop/web-1", '["10.1.0.55"]'],
    ]


async def test_what_matches_nothing_warns_waits_and_is_there_when_it_comes(shop: Cluster) -> None:
    agent = await shop.collector.agent()
    shell = shop.collector.shell
    reply = await shell.add_filter("pod", "shop/web-7")
    line = "pod shop/web-7 matches no pod yet: waiting, did you mean shop/web-1 or shop/web-2?"
    assert list(reply.warnings) == [line]
    (rule,) = agent.states[-1].rules
    assert (rule.reject, rule.src[0].address, rule.peer[0].address) == (
        False,
        c.raw("::"),
        c.raw("::1"),
    )
    status = await shell.status()
    assert (status.rules[0].note, list(status.rules[0].addresses)) == (line, [])
    c.tell(shop.inventory, *c.SHOP, c.pod("shop/web-7", "10.1.0.7"))
    await agent.state(lambda state: either(state) == [c.raw("10.1.0.7")])
    status = await shell.status()
    (shown,) = status.rules
    assert (shown.note, list(shown.addresses), shown.address_count) == ("", ["10.1.0.7"], 1)


async def test_rows_of_every_rule_of_a_service_bear_its_filter(shop: Cluster) -> None:
    agent = await shop.collector.agent()
    shell = shop.collector.shell
    await shell.add_filter("port", "9")
    reply = await shell.add_filter("service", "shop/web")
    count = len(agent.states[-1].rules)
    assert count > 3
    flows = [Flow(rule=index) for index in range(count)]
    await agent.send(flows=flow_batch(flows, generation=reply.generation))
    await shell.until("SELECT count(*) FROM flow", count)
    assert await shell.rows("SELECT FilterId, count(*) FROM flow GROUP BY 1 ORDER BY 1") == [
        [1, 1],
        [2, count - 1],
    ]
    log = await shell.rows(
        "SELECT Position, FilterId, Addresses FROM filter_log "
        f"WHERE Generation = {reply.generation} AND FilterId IS NOT NULL ORDER BY 1"
    )
    assert [row[:2] for row in log] == [[1, 1], *([n, 2] for n in range(2, count + 1))]
    assert log[0][2] is None
    assert "10.96.0.1:80" in json.loads(str(log[1][2]))


async def test_a_change_that_is_not_theirs_reaches_no_agent(shop: Cluster) -> None:
    agent = await shop.collector.agent()
    shell = shop.collector.shell
    await shell.add_filter("pod", "shop/web-1")
    before = len(agent.states)
    for number in range(5):
        c.tell(shop.inventory, *c.SHOP, c.pod("other/new", f"10.1.7.{number}"))
        await asyncio.sleep(0)
    await asyncio.sleep(2 * LEAST_SECONDS)
    await shell.change(snaplen=96)
    assert len(agent.states) == before + 1


async def test_a_storm_of_changes_is_gathered_and_its_end_is_not_missed(shop: Cluster) -> None:
    agent = await shop.collector.agent()
    shell = shop.collector.shell
    reply = await shell.add_filter("namespace", "storm")
    pods = []
    for number in range(200):
        pods.append(c.pod(f"storm/p{number}", f"10.3.0.{number}"))
        c.tell(shop.inventory, *pods)
        await asyncio.sleep(0)
    state = await agent.state(lambda state: len(either(state)) == 200)
    assert state.generation - reply.generation < 50


async def test_filters_wait_until_the_cluster_is_known(short_path: Path) -> None:
    inventory = Inventory()
    async with collecting(short_path, inventory) as made:
        agent = await made.collector.agent()
        reply = await made.collector.shell.add_filter("pod", "shop/web-1")
        assert list(reply.warnings) == ["the cluster is not known yet: waiting"]
        assert either(agent.states[-1]) == [c.raw("::1")]
        c.tell(inventory, *c.SHOP)
        await agent.state(lambda state: either(state) == [c.raw("10.1.0.1")])
        # A collector that starts with such filters waits for this.
        async with asyncio.timeout(10):
            await known(inventory, made.collector.capture.session)


async def test_what_was_known_last_holds_while_the_api_server_is_away(shop: Cluster) -> None:
    await shop.collector.agent()
    shell = shop.collector.shell
    await shell.add_filter("pod", "shop/web-1")
    shop.inventory.apply([Trouble("pods", "connection refused")])
    status = await shell.status(lambda s: bool(s.rules[0].note))
    assert status.rules[0].note == "the cluster is not wholly known: pods: connection refused"
    assert list(status.rules[0].addresses) == ["10.1.0.1"]
    shop.inventory.apply([Trouble("pods", "")])
    await shell.status(lambda s: not s.rules[0].note)


async def test_hints_and_rules_stay_when_a_filter_is_refused(shop: Cluster) -> None:
    await shop.collector.agent()
    shell = shop.collector.shell
    await shell.add_filter("pod", "shop/web-1")
    error = await shell.refusal(shell.add_filter("pod", "shop/Web"))
    assert error.details() == (
        "'Web' in 'shop/Web' is not the name of a pod: names are in lower case, web"
    )
    status = await shell.status()
    assert [each.text for each in status.rules] == ["pod shop/web-1"]


async def test_generations_of_long_ago_are_forgotten(shop: Cluster) -> None:
    agent = await shop.collector.agent()
    capture = shop.collector.capture
    await shop.collector.shell.add_filter("pod", "shop/web-1")
    for number in range(1200):
        c.tell(shop.inventory, c.pod("shop/web-1", f"10.4.{number >> 8}.{number & 255}"))
        capture.session.refresh()
        capture.fleet.announce()
    await agent.state(lambda state: state.generation == capture.session.present.number)
    assert len(capture.fleet.generations()) < 600
    assert capture.fleet.generations()[-1] is capture.session.present
