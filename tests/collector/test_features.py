"""Features and DNS ports, from a shell to the agents and back, without a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from agent.proto import agentlink_pb2 as agent_pb
from nshell.collector.main import main
from nshell.collector.messages import desired_state
from nshell.collector.session import ChangeError, Session, Settings
from nshell.proto import session_pb2 as pb

if TYPE_CHECKING:
    from tests.collector.conftest import Collector
    from tests.collector.probe import Agent


def feature(name: str, problem: str = "") -> agent_pb.Feature:
    return agent_pb.Feature(name=name, available=not problem, reason=problem)


async def answer(agent: Agent, generation: int, *features: agent_pb.Feature) -> None:
    """Acknowledge once the state is there."""
    await agent.state(lambda state: state.generation == generation)
    await agent.send(ack=agent_pb.Ack(generation=generation, ok=True, features=features))


def test_features_are_kept_in_one_order_however_they_are_named() -> None:
    session = Session(Settings())
    session.switch_features(["tcp", "dns", "tcp"], on=True)
    session.switch_features(["drops"], on=True)
    assert list(session.settings.features) == ["dns", "drops", "tcp"]
    session.switch_features(["rtt", "dns"], on=False)
    assert list(session.settings.features) == ["drops", "tcp"]


def test_several_features_are_one_generation_and_what_is_so_makes_none() -> None:
    session = Session(Settings())
    session.switch_features(["dns", "drops", "rtt", "tcp"], on=True)
    assert session.present.number == 2
    session.switch_features(["dns", "rtt"], on=True)
    assert session.present.number == 2


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["dns", "dsn"], "unknown feature 'dsn': there are dns, drops, rtt, tcp"),
        ([], "which feature? there are dns, drops, rtt, tcp"),
    ],
)
def test_a_wrong_feature_changes_nothing(names: list[str], line: str) -> None:
    session = Session(Settings())
    before = session.present
    with pytest.raises(ChangeError) as caught:
        session.switch_features(names, on=True)
    assert str(caught.value) == line
    assert session.present is before


@pytest.mark.parametrize(
    ("ports", "line"),
    [
        ((), "0 DNS ports: there can be 1 to 8"),
        (range(1, 10), "9 DNS ports: there can be 1 to 8"),
        ((53, 0), "DNS port 0 is out of range: 1 to 65535"),
        ((65536,), "DNS port 65536 is out of range: 1 to 65535"),
    ],
)
def test_wrong_dns_ports_change_nothing(ports: Any, line: str) -> None:
    session = Session(Settings())
    before = session.present
    with pytest.raises(ChangeError) as caught:
        session.set(dns_ports=ports)
    assert str(caught.value) == line
    assert session.present is before
    with pytest.raises(ChangeError):
        Session(Settings(dns_ports=tuple(ports)))


def test_the_desired_state_names_features_and_ports_and_none_while_paused() -> None:
    session = Session(Settings(features=("dns", "tcp")))
    session.set(dns_ports=(53, 5353, 53))
    state = desired_state(session.present)
    assert (list(state.features), list(state.dns_ports)) == (["dns", "tcp"], [53, 5353])
    session.set(paused=True)
    assert list(desired_state(session.present).features) == []
    session.set(paused=False)
    assert list(desired_state(session.present).features) == ["dns", "tcp"]


def test_a_collector_told_of_an_unknown_feature_does_not_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--listen=unix:/nowhere/s", "--directory=/nowhere/d", "--enable=dns,dorps"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "netobserv-collector: unknown feature 'dorps': there are dns, drops, rtt, tcp\n"
    )


async def test_a_switch_reaches_the_agents_and_the_status(collector: Collector) -> None:
    agent = await collector.agent()
    switch = pb.FeatureSwitch(names=["tcp", "dns"], on=True)
    agent.acknowledges = False
    await collector.shell.change(feature=switch, timeout_ms=1)
    await answer(agent, 2, feature("dns"), feature("tcp"))
    status = await collector.shell.status(lambda s: list(s.agents[0].features) == ["dns", "tcp"])
    assert list(status.features) == ["dns", "tcp"]
    await collector.shell.change(dns_ports=pb.DnsPorts(ports=[53, 5353]), timeout_ms=1)
    state = await agent.state(lambda state: state.generation == 3)
    assert (list(state.features), list(state.dns_ports)) == (["dns", "tcp"], [53, 5353])
    assert list((await collector.shell.status()).dns_ports) == [53, 5353]


async def test_a_feature_that_does_not_work_is_told_with_its_reason(collector: Collector) -> None:
    agent = await collector.agent()
    await agent.state(lambda state: state.generation == 1)
    agent.features = [feature("dns"), feature("rtt", "tcp_probe is not there")]
    reply = await collector.shell.change(feature=pb.FeatureSwitch(names=["dns", "rtt"], on=True))
    (node,) = reply.nodes
    assert (node.applied, list(node.problems)) == (True, ["rtt: tcp_probe is not there"])
    (seen,) = (await collector.shell.status()).agents
    assert list(seen.features) == ["dns"]
    assert "rtt: tcp_probe is not there" in seen.problems


async def test_a_refused_state_leaves_what_worked_before(collector: Collector) -> None:
    agent = await collector.agent()
    await agent.state(lambda state: state.generation == 1)
    agent.features = [feature("dns")]
    await collector.shell.change(feature=pb.FeatureSwitch(names=["dns"], on=True))
    agent.refusal = "no space in the map"
    await collector.shell.add_filter("port", "80")
    (seen,) = (await collector.shell.status()).agents
    assert (list(seen.features), seen.error) == (["dns"], "no space in the map")


async def test_wrong_switches_are_refused_in_one_line(collector: Collector) -> None:
    for change, line in (
        (
            {"feature": pb.FeatureSwitch(names=["dorps"], on=True)},
            "unknown feature 'dorps': there are dns, drops, rtt, tcp",
        ),
        ({"dns_ports": pb.DnsPorts()}, "0 DNS ports: there can be 1 to 8"),
    ):
        error = await collector.shell.refusal(collector.shell.change(**change))
        assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, line)
    assert (await collector.shell.status()).generation == 1


async def test_lost_events_and_extras_have_stages_of_their_own(collector: Collector) -> None:
    agent = await collector.agent()
    await agent.send(
        stats=agent_pb.Stats(time_ns=10**9, counters={"extra_lost_full": 3, "event_lost_ring": 5})
    )
    await collector.shell.until("SELECT count(*) FROM loss", 2)
    rows = await collector.shell.rows("SELECT Stage, Count FROM loss ORDER BY Stage")
    assert rows == [["event_ring", 5], ["extra_map", 3]]
