"""Agents and the collector over a real stream: states, acknowledgements, batches, losses."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import grpc

from agent import wire
from agent.proto import agentlink_pb2 as agent_pb
from agent.proto.agentlink_pb2_grpc import AgentLinkStub
from nshell.proto import session_pb2 as pb
from tests.collector.conftest import running
from tests.collector.probe import PATIENCE, channel, interface, interfaces
from tests.collector.wiretap import Flow, Packet, flow_batch, many_flows, packet_batch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.conftest import Collector

NS = 1_000_000_000


def stats(
    seconds: int,
    counters: dict[str, int] | None = None,
    *,
    hits: list[agent_pb.RuleHits] | None = None,
    flows_sent: int = 0,
) -> agent_pb.Stats:
    """Cumulative numbers at a time."""
    return agent_pb.Stats(
        time_ns=seconds * NS,
        counters=counters,
        hits=hits,
        flows_sent=flows_sent,
        rss_bytes=50 << 20,
        cpu_seconds=1.5,
    )


def hit(generation: int, index: int, packets: int, kind: int = 0) -> agent_pb.RuleHits:
    """Of a rule, at 100 bytes a packet."""
    chosen = agent_pb.PACKETS if kind else agent_pb.FLOWS
    return agent_pb.RuleHits(
        generation=generation, index=index, kind=chosen, packets=packets, bytes=packets * 100
    )


async def test_an_agent_gets_the_whole_state_when_it_connects(short_path: Path) -> None:
    async with running(short_path, filters=["port 443", "reject cidr 10.0.0.0/8"]) as collector:
        agent = await collector.agent()
        state = await agent.state(lambda state: state.generation == 1)
    assert [(rule.id, rule.reject) for rule in state.rules] == [(1, False), (2, True)]
    assert (state.flows, state.packets) == (True, True)


async def test_an_agent_that_was_away_gets_the_newest_state_when_it_is_back(
    collector: Collector,
) -> None:
    async with collector.passing_agent() as agent:
        await agent.state(lambda state: state.generation == 1)
    await collector.shell.status(lambda s: not s.agents[0].connected)
    for port in ("80", "81", "82"):
        await collector.shell.add_filter("port", port)
    back = await collector.agent(first_seq=10)
    state = await back.state(lambda state: bool(state.rules))
    assert (state.generation, len(state.rules)) == (4, 3)
    assert [state.generation for state in back.states] == [4]
    await collector.shell.status(lambda s: s.agents[0].connected and s.agents[0].generation == 4)


async def test_a_node_that_connects_anew_takes_the_place_of_its_old_connection(
    collector: Collector,
) -> None:
    old = await collector.agent(run_id="first")
    new = await collector.agent(run_id="second")
    await asyncio.wait_for(old.ended.wait(), PATIENCE)
    await collector.shell.add_filter("port", "80")
    await new.state(lambda state: state.generation == 2)
    status = await collector.shell.status()
    assert [agent.connected for agent in status.agents] == [True]
    assert [state.generation for state in old.states] == [1]


async def test_an_agent_with_another_wire_format_is_refused(collector: Collector) -> None:
    async with channel(collector.target) as opened:
        call = AgentLinkStub(opened).Connect()
        hello = agent_pb.Hello(run_id="x", node="n", wire_version=999)
        await call.write(agent_pb.FromAgent(seq=1, hello=hello))
        error = await collector.shell.refusal(call)
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error.details() == (
        f"this collector speaks wire format {wire.VERSION}, the agent 999: "
        "install the same version of both"
    )


async def test_a_stream_must_begin_with_a_hello(collector: Collector) -> None:
    async with channel(collector.target) as opened:
        call = AgentLinkStub(opened).Connect()
        await call.write(agent_pb.FromAgent(seq=1, flows=flow_batch([Flow()])))
        error = await collector.shell.refusal(call)
    assert (error.code(), error.details()) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "the first message must be a hello",
    )


async def test_a_batch_that_is_none_ends_the_connection_and_not_the_capture(
    collector: Collector,
) -> None:
    bad = await collector.agent()
    good = await collector.agent(node="node-b", run_id="b")
    broken = flow_batch([Flow()])
    broken.count = 2
    await bad.send(flows=broken)
    await asyncio.wait_for(bad.ended.wait(), PATIENCE)
    await good.send(flows=flow_batch([Flow()]))
    await collector.shell.until("SELECT count(*) FROM flow WHERE Node = 'node-b'", 1)
    status = await collector.shell.status(lambda s: not s.agents[0].connected)
    assert status.agents[0].error == "flow batch of 2 has 40 bytes of keys, not 80"


async def test_packets_that_cannot_be_read_are_counted_as_lost(collector: Collector) -> None:
    agent = await collector.agent()
    broken = packet_batch([Packet(), Packet()])
    broken.records = broken.records[:-50]
    await agent.send(packets=broken)
    await agent.send(packets=packet_batch([Packet()]))
    await collector.shell.until("SELECT count(*) FROM packet", 1)
    await collector.shell.until("SELECT sum(Count) FROM loss WHERE Stage = 'link'", 2)


async def test_every_row_belongs_to_the_filter_set_it_was_captured_under(
    collector: Collector,
) -> None:
    agent = await collector.agent()
    await collector.shell.add_filter("port", "80")
    await collector.shell.change(replace_filter=pb.ReplaceFilter(id=1, words=["port", "81"]))
    await collector.shell.add_filter("port", "82")
    await collector.shell.change(delete_filters=pb.FilterIds(ids=[1]))
    for generation in (5, 4, 2, 1, 99):
        await agent.send(flows=flow_batch([Flow(rule=0)], generation=generation))
    await collector.shell.until("SELECT count(*) FROM flow", 5)
    rows = await collector.shell.rows("SELECT Generation, FilterId FROM flow ORDER BY 1")
    assert rows == [[1, None], [2, 1], [4, 1], [5, 2], [99, None]]


async def test_rows_carry_the_interface_names_that_held_when_they_were_sent(
    collector: Collector,
) -> None:
    agent = await collector.agent()
    for name in ("eth0", "lan0", "wan0"):
        await agent.send(interfaces=interfaces(interface(2, name)))
        await agent.send(flows=flow_batch([Flow()]))
        await agent.send(packets=packet_batch([Packet()]))
    await collector.shell.until("SELECT count(*) FROM packet", 3)
    flows = await collector.shell.rows("SELECT Interface FROM flow ORDER BY rowid")
    packets = await collector.shell.rows("SELECT Interface FROM packet ORDER BY rowid")
    assert flows == packets == [["eth0"], ["lan0"], ["wan0"]]
    assert await collector.shell.rows("SELECT Name, Attached FROM interface") == [["wan0", 1]]


async def test_an_interface_that_is_gone_or_was_never_there_is_shown_as_such(
    collector: Collector,
) -> None:
    agent = await collector.agent()
    wished = agent_pb.Interface(name="eth9", problem="no interface of this name yet")
    await agent.send(interfaces=interfaces(interface(3, "eth1"), wished))
    await collector.shell.until("SELECT count(*) FROM interface", 3)
    rows = await collector.shell.rows(
        "SELECT Name, IfIndex, Attached, Problem FROM interface ORDER BY Name"
    )
    assert rows == [
        ["eth0", 2, 0, "gone"],
        ["eth1", 3, 1, None],
        ["eth9", None, 0, "no interface of this name yet"],
    ]
    status = await collector.shell.status()
    assert status.agents[0].interfaces == 1
    assert list(status.agents[0].problems) == [
        "dns: not built in",
        "eth9: no interface of this name yet",
    ]


async def test_names_with_quotes_are_names(collector: Collector) -> None:
    name = "o'brien\x00\"; DROP TABLE flow; --"
    agent = await collector.agent(node=name, listed=interfaces(interface(2, name)))
    await agent.send(flows=flow_batch([Flow()]))
    await agent.send(packets=packet_batch([Packet()]))
    await collector.shell.until("SELECT count(*) FROM packet", 1)
    for table in ("flow", "packet"):
        assert await collector.shell.row(f"SELECT Node, Interface FROM {table}") == [name, name]


async def test_losses_in_the_kernel_are_rows_of_their_increase(collector: Collector) -> None:
    agent = await collector.agent()
    for seconds, full, ring in ((10, 0, 0), (11, 5, 0), (12, 5, 0), (13, 9, 7)):
        counters = {
            "flow_lost_full": full,
            "flow_lost_full_bytes": full * 100,
            "packet_lost_ring": ring,
            "seen": 1000,
        }
        await agent.send(stats=stats(seconds, counters))
    await collector.shell.until("SELECT count(*) FROM loss", 3)
    rows = await collector.shell.rows(
        "SELECT Node, Stage, Count, Bytes, TimeFromMs, TimeToMs FROM loss ORDER BY TimeToMs, Stage"
    )
    assert rows == [
        ["node-a", "flow_map", 5, 500, 10_000, 11_000],
        ["node-a", "flow_map", 4, 400, 12_000, 13_000],
        ["node-a", "ring", 7, 0, 12_000, 13_000],
    ]
    assert (await collector.shell.status(lambda s: s.lost > 0)).lost == 16


async def test_a_gap_in_the_stream_is_loss_on_the_link(collector: Collector) -> None:
    agent = await collector.agent()
    await agent.send(flows=flow_batch([Flow()] * 3))
    agent.seq += 1
    await agent.send(stats=stats(10, flows_sent=10))
    await collector.shell.until("SELECT sum(Count) FROM loss WHERE Stage = 'link'", 7)
    await agent.send(stats=stats(11, flows_sent=10))
    await agent.send(stats=stats(12, {"seen": 1}, flows_sent=10))
    await collector.shell.until("SELECT Value FROM counter WHERE Name = 'seen'", 1)
    assert await collector.shell.rows("SELECT count(*) FROM loss") == [[1]]


async def test_what_was_lost_while_an_agent_was_away_is_counted_when_it_is_back(
    collector: Collector,
) -> None:
    async with collector.passing_agent() as agent:
        await agent.send(flows=flow_batch([Flow()] * 3))
        await collector.shell.until("SELECT count(*) FROM flow", 3)
        last = agent.seq
    back = await collector.agent(first_seq=last + 3)
    await back.send(stats=stats(20, flows_sent=5))
    await collector.shell.until("SELECT sum(Count) FROM loss WHERE Stage = 'link'", 2)


async def test_counters_and_hits_go_on_over_a_restart_of_the_agent(
    collector: Collector,
) -> None:
    await collector.shell.add_filter("port", "80")
    for run, packets in (("one", 10), ("two", 4)):
        async with collector.passing_agent(run_id=run) as agent:
            hits = [hit(2, 0, packets), hit(2, 0, packets + 1, kind=1), hit(2, 64, 2)]
            await agent.send(stats=stats(10, {"seen": packets}, hits=hits))
            await agent.send(stats=stats(11, {"seen": packets}, hits=hits))
            wanted = 10 if run == "one" else 14
            await collector.shell.until("SELECT Value FROM counter WHERE Name='seen'", wanted)
        await collector.shell.status(lambda s: not s.agents[0].connected)
    rows = await collector.shell.rows(
        "SELECT FilterId, FlowHits, FlowHitBytes, PacketHits, PacketHitBytes "
        "FROM filter_log WHERE Generation = 2 ORDER BY FilterId"
    )
    assert rows == [[None, 4, 400, 0, 0], [1, 14, 1400, 16, 1600]]
    status = await collector.shell.status()
    assert [(rule.flow_hits, rule.packet_hits) for rule in status.rules] == [(14, 16)]
    summary = await collector.shell.row("SELECT Summary FROM counter WHERE Name = 'seen'")
    assert summary == ["packets at the hooks while capturing"]


async def test_hits_of_a_filter_are_kept_when_it_is_replaced(collector: Collector) -> None:
    agent = await collector.agent()
    await collector.shell.add_filter("port", "80")
    await agent.send(stats=stats(10, hits=[hit(2, 0, 5)]))
    await collector.shell.change(replace_filter=pb.ReplaceFilter(id=1, words=["port", "81"]))
    await agent.send(stats=stats(11, hits=[hit(2, 0, 6), hit(3, 0, 1), hit(77, 0, 9)]))
    status = await collector.shell.status(lambda s: s.rules[0].flow_hits == 7)
    assert status.rules[0].text == "port 81"


async def test_the_agent_table_shows_what_agents_say_of_themselves(
    collector: Collector,
) -> None:
    agent = await collector.agent()
    await agent.send(stats=stats(10))
    await collector.shell.until("SELECT RssBytes FROM agent", 50 << 20)
    row = await collector.shell.row(
        "SELECT Node, AgentIP, Kernel, Version, Attach, Cpus, FlowCapacity, RingBytes, Connected, "
        "Generation, CpuSeconds, abs(ClockOffsetMs) < 1000 FROM agent"
    )
    assert row == [
        "node-a", "192.0.2.1", "6.18.0", "0.1.0", "tcx", 2, 100_000, 1 << 20, 1, 1, 1.5, 1,
    ]  # fmt: skip


async def test_a_slow_store_stops_the_reading_of_the_stream_and_nothing_is_lost(
    short_path: Path,
) -> None:
    async with running(short_path, queue_bytes=3 << 20) as collector:
        agent = await collector.agent()
        store = collector.capture.store
        go_on = threading.Event()
        blocked = asyncio.gather(store.run(lambda: go_on.wait(PATIENCE)))

        async def send() -> None:
            for seed in range(40):
                await agent.send(flows=many_flows(10_000, seed=seed))

        sending = asyncio.gather(send())
        try:
            # Until the agent's own writes stand still: 48 MB do not fit anywhere on the way.
            seen = -1
            while seen != agent.seq:
                seen = agent.seq
                await asyncio.sleep(0.3)
                assert store.queued_bytes <= 3 << 20
            assert not sending.done()
        finally:
            go_on.set()
        await asyncio.gather(blocked, asyncio.wait_for(sending, PATIENCE))
        await collector.shell.until("SELECT count(*) FROM flow", 400_000)
        assert await collector.shell.rows("SELECT * FROM loss") == []


async def test_a_batch_that_waits_for_room_is_stored_though_its_agent_is_gone(
    short_path: Path,
) -> None:
    async with running(short_path, queue_bytes=1 << 20) as collector:
        store = collector.capture.store
        go_on = threading.Event()
        blocked = asyncio.gather(store.run(lambda: go_on.wait(PATIENCE)))
        async with collector.passing_agent() as agent:
            await agent.send(flows=many_flows(8000, seed=1))
            await agent.send(flows=many_flows(8000, seed=2))
            node = collector.capture.fleet.nodes
            while not node or node["node-a"].link.rows < 16_000:
                await asyncio.sleep(0.01)
        await collector.shell.status(lambda s: not s.agents[0].connected)
        go_on.set()
        await blocked
        await collector.shell.until("SELECT count(*) FROM flow", 16_000)
