"""Filters and features laid over a session for a while: made, lifted, never left behind."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest

from agent.proto import agentlink_pb2 as agent_pb
from nshell.collector.session import ChangeError, Session, Settings
from nshell.filters import FilterError, parse_rule
from nshell.proto import session_pb2 as pb
from tests.collector.probe import PATIENCE, channel, connected_shell
from tests.collector.wiretap import Flow, flow_batch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from nshell.collector.session import Generation
    from nshell.filters import Rule
    from tests.collector.conftest import Collector
    from tests.collector.probe import Agent, Shell

PAIR = "peer_ip 10.0.0.2 cidr 10.0.0.1 for flows"


def rules(*texts: str) -> list[Rule]:
    return [parse_rule(text.split()) for text in texts]


def shown(generation: Generation) -> list[str]:
    """Whom a filter governs, and its text."""
    return [
        f"{'f' * each.rule.flows}{'p' * each.rule.packets} {each.text}" for each in generation.rules
    ]


def session_with(*texts: str, settings: Settings | None = None) -> Session:
    return Session(settings or Settings(), rules(*texts))


def test_rules_of_the_overlay_are_tried_first_and_numbered_on() -> None:
    session = session_with("port 80", "port 443")
    overlay = session.lay("why", rules(PAIR, "port 53"), ["tcp", "dns"])
    assert [each.id for each in overlay.rules] == [3, 4]
    assert shown(session.present) == [
        f"f why: {PAIR}", "fp why: port 53", "fp port 80", "fp port 443",
    ]  # fmt: skip
    assert session.present.settings.features == ("dns", "tcp")
    assert session.add_filter(["port", "81"]) == (6,)


def test_where_nothing_was_rejected_nothing_is_lost_meanwhile() -> None:
    session = session_with("reject port 22")
    session.lay("why", rules("port 53"), [])
    assert shown(session.present) == ["fp why: port 53", "fp reject port 22", "f why: accept"]


def test_only_those_that_would_lose_something_are_accepted_at_the_end() -> None:
    session = session_with("port 80 for packets", settings=Settings(packets=True))
    session.lay("why", rules("port 53"), [])
    assert shown(session.present)[-1] == "f why: accept"
    session = session_with(settings=Settings(packets=True))
    session.lay("why", rules(PAIR), [])
    assert shown(session.present) == [f"f why: {PAIR}", "f why: accept"]


@pytest.mark.parametrize("settings", [Settings(flows=False), Settings(paused=True)])
def test_a_session_without_flows_has_those_of_the_overlay_alone(settings: Settings) -> None:
    session = session_with("port 80", "port 81 for flows", settings=settings)
    overlay = session.lay("why", rules(PAIR), ["dns"])
    assert shown(session.present) == [f"f why: {PAIR}", "p port 80"]
    assert (session.present.settings.flows, session.present.settings.paused) == (True, False)
    assert not session.present.settings.packets
    session.lift(overlay)
    assert session.present.settings == settings


def test_an_overlay_of_features_alone_leaves_the_filters_as_they_are() -> None:
    session = session_with("port 80", settings=Settings(paused=True))
    session.lay("why", [], ["rtt"])
    assert shown(session.present) == ["fp port 80"]
    assert session.present.settings == Settings(paused=True, features=("rtt",))


def test_what_the_user_changes_meanwhile_survives() -> None:
    session = session_with("port 80", settings=Settings(features=("dns",)))
    overlay = session.lay("why", rules(PAIR), ["dns", "rtt"])
    session.add_filter(["port", "443"])
    session.delete_filters([1])
    session.switch_features(["dns"], on=False)
    session.switch_features(["drops"], on=True)
    assert session.present.settings.features == ("dns", "drops", "rtt")
    session.lift(overlay)
    assert shown(session.present) == ["fp port 443"]
    assert session.present.settings == Settings(features=("drops",))


def test_lifting_makes_one_generation_and_lifting_twice_none() -> None:
    session = session_with()
    overlay = session.lay("why", rules(PAIR), [])
    session.lift(overlay)
    assert session.present.number == 3
    session.lift(overlay)
    assert session.present.number == 3


def test_a_filter_of_the_overlay_is_none_of_the_users() -> None:
    session = session_with("port 80")
    session.lay("why", rules(PAIR), [])
    with pytest.raises(ChangeError, match="no filter 2: there is only 1"):
        session.delete_filters([2])
    assert session.clear_filters() == (1,)
    assert shown(session.present) == [f"f why: {PAIR}", "f why: accept"]


@pytest.mark.parametrize(
    ("texts", "features", "line"),
    [
        ((), (), "nothing to change"),
        ((PAIR,), ("dorps",), "unknown feature 'dorps': there are dns, drops, rtt, tcp"),
    ],
)
def test_a_wrong_overlay_changes_nothing(
    texts: Sequence[str], features: Sequence[str], line: str
) -> None:
    session = session_with("port 80")
    before = session.present
    with pytest.raises(ChangeError) as caught:
        session.lay("why", rules(*texts), features)
    assert str(caught.value) == line
    assert (session.present, session.overlay) == (before, None)


def test_one_overlay_at_a_time() -> None:
    session = session_with()
    session.lay("why", rules(PAIR), [])
    before = session.present
    with pytest.raises(ChangeError, match="why is at work already: one at a time"):
        session.lay("why", rules("port 80"), [])
    assert session.present is before


def test_the_limit_of_filters_holds_for_both_together() -> None:
    session = session_with(*(f"port {port}" for port in range(1, 64)))
    before = session.present
    with pytest.raises(ChangeError, match=r"64 filters are the limit \(2 of them of why\)"):
        session.lay("why", rules("port 99", PAIR), [])
    assert (session.present, session.overlay) == (before, None)
    session.lay("why", rules(PAIR), [])
    with pytest.raises(ChangeError, match=r"64 filters are the limit \(1 of them of why\)"):
        session.add_filter(["port", "99"])


@asynccontextmanager
async def laid(shell: Shell, *texts: str, features: Sequence[str] = ()) -> AsyncIterator[Any]:
    """An overlay whose first reply is still to be read; its call ends with the block."""
    call = shell.overlay()
    request = pb.OverlayRequest(
        label="why", rules=[pb.Words(words=text.split()) for text in texts], features=features
    )
    await call.write(request)
    yield call
    call.cancel()


async def report_twice(agent: Agent) -> None:
    """As an agent does within a second, whatever it had still to send."""
    for _ in range(2):
        await agent.send(stats=agent_pb.Stats(time_ns=time.time_ns()))


async def test_an_overlay_is_there_until_the_client_ends_its_side(collector: Collector) -> None:
    agent = await collector.agent()
    await collector.shell.add_filter("port", "80")
    before = time.time_ns()
    async with laid(collector.shell, PAIR, features=["dns"]) as call:
        reply = await call.read()
        assert (reply.generation, list(reply.filter_ids)) == (3, [2])
        assert [(node.node, node.applied) for node in reply.nodes] == [("node-a", True)]
        assert before < reply.since_ns <= time.time_ns()
        state = await agent.state(lambda state: state.generation == 3)
        assert ([rule.id for rule in state.rules], list(state.features)) == ([2, 1], ["dns"])
        await call.done_writing()
        await agent.state(lambda state: state.generation == 4)
        await report_twice(agent)
        last = await call.read()
        assert (last.generation, last.nodes[0].applied) == (4, True)
        assert await call.code() is grpc.StatusCode.OK
    state = agent.states[-1]
    assert ([rule.id for rule in state.rules], list(state.features)) == ([1], [])


async def test_the_last_reply_follows_what_was_captured_till_then(collector: Collector) -> None:
    agent = await collector.agent(acknowledges=False)
    await agent.state(lambda state: state.generation == 1)
    await agent.acknowledge(1)
    async with laid(collector.shell, PAIR) as call:
        await agent.state(lambda state: state.generation == 2)
        await agent.acknowledge(2)
        await call.read()
        await call.done_writing()
        await agent.state(lambda state: state.generation == 3)
        await agent.acknowledge(3)
        await agent.send(stats=agent_pb.Stats(time_ns=time.time_ns()))
        await agent.send(flows=flow_batch([Flow()], generation=2))
        await agent.send(stats=agent_pb.Stats(time_ns=time.time_ns(), flows_sent=1))
        await call.read()
        assert await collector.shell.row("SELECT Generation FROM flow") == [2]


async def test_the_status_shows_features_in_force_and_the_users_filters(
    collector: Collector,
) -> None:
    await collector.agent()
    await collector.shell.add_filter("port", "80")
    async with laid(collector.shell, PAIR, features=["dns"]) as call:
        await call.read()
        status = await collector.shell.status()
        assert [rule.text for rule in status.rules] == ["port 80"]
        assert list(status.features) == ["dns"]
    await collector.shell.status(lambda s: not s.features)


async def test_the_filter_log_says_whose_a_filter_was(collector: Collector) -> None:
    await collector.agent()
    async with laid(collector.shell, PAIR) as call:
        await call.read()
        rows = await collector.shell.rows(
            "SELECT FilterId, Filter FROM filter_log WHERE Generation = 2 AND FilterId NOT NULL"
        )
    assert rows == [[1, f"why: {PAIR}"], [2, "why: accept"]]


async def test_a_cancelled_call_undoes_its_overlay(collector: Collector) -> None:
    agent = await collector.agent()
    async with laid(collector.shell, PAIR, features=["dns"]) as call:
        await call.read()
        call.cancel()
    state = await agent.state(lambda state: state.generation == 3)
    assert (list(state.rules), list(state.features)) == ([], [])


async def test_a_call_cancelled_before_its_answer_undoes_its_overlay(
    collector: Collector,
) -> None:
    agent = await collector.agent(acknowledges=False)
    async with laid(collector.shell, PAIR):
        await agent.state(lambda state: state.generation == 2)
    state = await agent.state(lambda state: state.generation == 3)
    assert list(state.rules) == []


async def test_a_lost_connection_undoes_the_overlay(collector: Collector) -> None:
    agent = await collector.agent()
    async with connected_shell(collector.target) as other:
        call = other.overlay()
        await call.write(pb.OverlayRequest(label="why", features=["dns"]))
        await call.read()
    state = await agent.state(lambda state: state.generation == 3)
    assert list(state.features) == []


async def test_a_second_overlay_is_refused_and_leaves_the_first(collector: Collector) -> None:
    agent = await collector.agent()
    other = await collector.other_shell()
    async with laid(collector.shell, PAIR) as first:
        await first.read()
        async with laid(other, "port 80") as second:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await second.read()
        assert refused.value.details() == "why is at work already: one at a time"
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert agent.states[-1].generation == 2
        await first.done_writing()
        await agent.state(lambda state: state.generation == 3)


async def test_a_wrong_rule_is_refused_in_one_line(collector: Collector) -> None:
    async with laid(collector.shell, "prot tcp") as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
    assert refused.value.details() == "unknown predicate 'prot': did you mean 'port' or 'protocol'?"
    with pytest.raises(FilterError):
        rules("prot tcp")


async def test_a_call_without_a_request_is_refused(collector: Collector) -> None:
    call = collector.shell.overlay()
    await call.done_writing()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    assert refused.value.details() == "nothing to change"


async def test_the_end_of_the_session_ends_the_call(collector: Collector) -> None:
    await collector.agent()
    async with laid(collector.shell, PAIR) as call:
        await call.read()
        async with channel(collector.target):
            await collector.shell.stub.Stop(pb.StopRequest())  # type: ignore[misc]
        async with asyncio.timeout(PATIENCE):
            assert await call.code() is grpc.StatusCode.OK
    assert collector.capture.session.overlay is None
