"""Changes of the session, from a shell to the agents and back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from nshell.proto import session_pb2 as pb
from tests.collector.probe import PATIENCE

if TYPE_CHECKING:
    from tests.collector.conftest import Collector


async def test_a_change_returns_when_every_agent_has_acknowledged_it(
    collector: Collector,
) -> None:
    for name in ("node-a", "node-b"):
        await collector.agent(node=name, run_id=name)
    await collector.shell.status(lambda s: sum(a.generation == 1 for a in s.agents) == 2)
    reply = await collector.shell.add_filter("port", "80")
    assert (reply.generation, list(reply.filter_ids)) == (2, [1])
    assert {node.node: node.applied for node in reply.nodes} == {"node-a": True, "node-b": True}
    assert [node.apply_ms for node in reply.nodes] == [1.5, 1.5]
    log = await collector.shell.rows(
        "SELECT Node, FilterId, Position, Filter, TimeAppliedMs NOT NULL, ApplyMs "
        "FROM filter_log WHERE Generation = 2 ORDER BY Node, FilterId"
    )
    assert log == [
        ["node-a", None, None, None, 1, 1.5],
        ["node-a", 1, 1, "port 80", 1, 1.5],
        ["node-b", None, None, None, 1, 1.5],
        ["node-b", 1, 1, "port 80", 1, 1.5],
    ]


async def test_an_agent_that_does_not_answer_is_named_at_the_timeout(
    collector: Collector,
) -> None:
    await collector.agent()
    await collector.agent(node="mute", run_id="mute", acknowledges=False)
    await collector.shell.status(lambda s: len(s.agents) == 2)
    reply = await collector.shell.add_filter("port", "80", timeout_ms=300)
    assert [(node.node, node.applied, node.error) for node in reply.nodes] == [
        ("node-a", True, ""),
        ("mute", False, ""),
    ]
    await collector.shell.until(
        "SELECT count(*) FROM filter_log WHERE Node = 'mute' AND TimeAppliedMs IS NULL "
        "AND Generation = 2",
        2,
    )


async def test_an_agent_that_cannot_apply_a_state_says_why(collector: Collector) -> None:
    agent = await collector.agent()
    await agent.state(lambda state: state.generation == 1)
    agent.refusal = "no space in the map"
    reply = await collector.shell.add_filter("port", "80")
    assert [(node.applied, node.error) for node in reply.nodes] == [(False, "no space in the map")]
    status = await collector.shell.status()
    assert status.agents[0].error == "no space in the map"


async def test_an_agent_that_goes_away_ends_the_waiting_for_it(collector: Collector) -> None:
    async with collector.passing_agent(acknowledges=False) as agent:
        await agent.state(lambda state: state.generation == 1)
        change = asyncio.gather(collector.shell.add_filter("port", "80", timeout_ms=60_000))
        await agent.state(lambda state: state.generation == 2)
    (reply,) = await asyncio.wait_for(change, PATIENCE)
    # Its end is seen, or that it says no more: whichever comes first.
    (node,) = reply.nodes
    assert (node.applied, node.error in ("connection lost", "closed the connection")) == (
        False, True,
    ), node  # fmt: skip


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"add_filter": pb.Words(words=["prot", "tcp"])},
            "unknown predicate 'prot': did you mean 'port' or 'protocol'?",
        ),
        ({"delete_filters": pb.FilterIds(ids=[3])}, "no filter 3: there are no filters"),
        ({"delete_filters": pb.FilterIds()}, "which filter? say its number, see `filter list`"),
        ({"snaplen": 5}, "snaplen 5 is out of range: 14 to 262144, or 0 for all"),
        ({"sampling": 0}, "sampling 0 is out of range: 1 to 1000000"),
        ({}, "nothing to change"),
    ],
)
async def test_a_wrong_change_is_refused_in_one_line_and_changes_nothing(
    collector: Collector, change: dict[str, Any], line: str
) -> None:
    agent = await collector.agent()
    error = await collector.shell.refusal(collector.shell.change(**change))
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, line)
    status = await collector.shell.status(lambda s: s.agents[0].generation == 1)
    assert status.generation == 1
    assert [state.generation for state in agent.states] == [1]


async def test_settings_reach_the_agents(collector: Collector) -> None:
    agent = await collector.agent()
    shell = collector.shell
    await shell.change(snaplen=96)
    await shell.change(sampling=10)
    await shell.change(packets=False)
    await shell.change(paused=True)
    state = await agent.state(lambda state: state.generation == 5)
    assert (state.snaplen, state.sampling, state.flows, state.packets) == (96, 10, False, False)
    status = await shell.status()
    assert (status.flows, status.packets, status.paused) == (True, False, True)
    assert (status.snaplen, status.sampling) == (96, 10)
