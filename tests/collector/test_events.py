"""Events of agents over a real stream: rows, names, losses, and queries that nobody answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import dns.message

from agent import wire
from agent.proto import agentlink_pb2 as agent_pb
from nshell.collector.dns import queries
from nshell.collector.dns.queries import ENDED
from tests.collector.conftest import running
from tests.collector.test_views import BLOG_QUERY
from tests.collector.wiretap import (
    Dns,
    Drop,
    Extra,
    Flow,
    TcpEvent,
    event_batch,
    extra_batch,
    flow_batch,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.collector.conftest import Collector

MS = 1_000_000
QUERY = Dns(data=dns.message.make_query("www.example.com.", "A", id=7).to_wire(), query_ns=10**9)


def answer(latency_ns: int) -> Dns:
    """To the query, after so long."""
    response = dns.message.make_response(dns.message.from_wire(QUERY.data))
    return Dns(
        src=QUERY.dst,
        dst=QUERY.src,
        sport=53,
        dport=QUERY.sport,
        data=response.to_wire(),
        time_ns=QUERY.time_ns + latency_ns,
        query_ns=QUERY.time_ns,
        latency_ns=latency_ns,
    )


def committed(collector: Collector) -> dict[str, int]:
    """Rows committed so far, by table."""
    return dict(collector.capture.store.totals.committed)


async def test_every_kind_of_event_has_its_table_and_is_counted(collector: Collector) -> None:
    agent = await collector.agent()
    await agent.send(names=agent_pb.Names(drop_reasons={12: "NETFILTER_DROP"}))
    await agent.send(
        events=event_batch([QUERY, Drop(reason=12), TcpEvent(pid=9), answer(12 * MS), Drop()])
    )
    await collector.shell.until("SELECT count(*) FROM dns", 1)
    shell = collector.shell
    assert await shell.rows("SELECT Reason FROM packet_drop") == [["NETFILTER_DROP"], ["2"]]
    assert await shell.rows("SELECT Event, Pid FROM tcp_event") == [["retransmit", 9]]
    assert await shell.row("SELECT Name, LatencyMs, Status, Interface FROM dns") == [
        "www.example.com", 12.0, "answered", "eth0",
    ]  # fmt: skip
    assert committed(collector) == {"dns": 1, "packet_drop": 2, "tcp_event": 1}
    assert collector.capture.store.totals.event_rows == 4


async def test_the_slow_response_of_a_flow_is_found_as_the_blog_has_it(
    collector: Collector,
) -> None:
    agent = await collector.agent()
    flow = Flow(src="10.0.0.2", dst="10.0.0.1", sport=53, dport=40000, proto=17)
    extra = Extra(
        src="10.0.0.2", dst="10.0.0.1", sport=53, dport=40000, proto=17,
        seen=wire.EXTRA_DNS, dns_latency_ns=32 * MS, dns_id=7, dns_flags=0x8180,
    )  # fmt: skip
    await agent.send(events=event_batch([QUERY, answer(32 * MS)]))
    await agent.send(flows=extra_batch([extra], [flow], last=True))
    await collector.shell.until("SELECT count(*) FROM flow", 1)
    assert await collector.shell.rows(BLOG_QUERY) == [
        [32.0, "NoError", 7, "10.0.0.1", 40000, "eth0", 17, "10.0.0.2", 53, 1500, 3]
    ]
    assert await collector.shell.row("SELECT DnsName FROM flow") == ["www.example.com"]


async def test_a_query_that_nobody_answers_becomes_a_row_by_itself(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "UNANSWERED_SECONDS", 0.1)
    monkeypatch.setattr(queries, "ARRIVAL_SECONDS", 0.1)
    agent = await collector.agent()
    await agent.send(events=event_batch([QUERY]))
    # Nothing else is on its way: the store's thread wakes up for it.
    await collector.shell.until("SELECT Status FROM dns", "unanswered")
    await agent.send(events=event_batch([answer(300 * MS)]))
    await collector.shell.until("SELECT count(*) FROM dns WHERE Status = 'late'", 1)


async def test_what_waits_when_the_capture_ends_is_stored(short_path: Path) -> None:
    async with running(short_path) as collector:
        agent = await collector.agent()
        drop = Extra(seen=wire.EXTRA_DROP, drop_packets=1)
        await agent.send(flows=extra_batch([drop]))
        await agent.send(events=event_batch([QUERY, Drop()]))
        await collector.shell.until("SELECT count(*) FROM packet_drop", 1)
        store = collector.capture.store
        assert committed(collector) == {"packet_drop": 1}
    rows = store.totals.committed
    assert (rows["dns"], rows["flow"]) == (1, 1)
    connection = apsw.Connection(str(store.path))
    assert list(connection.execute("SELECT Status, Problem FROM dns")) == [("unanswered", ENDED)]
    assert list(connection.execute("SELECT Packets, PktDropPackets FROM flow")) == [(0, 1)]
    connection.close()


async def test_extras_of_a_run_that_ended_are_stored_when_the_agent_is_back(
    collector: Collector,
) -> None:
    async with collector.passing_agent() as agent:
        await agent.send(flows=extra_batch([Extra(seen=wire.EXTRA_DROP, drop_packets=4)]))
        await agent.send(flows=flow_batch([Flow(sport=1)]))
        await collector.shell.until("SELECT count(*) FROM flow", 1)
    await collector.agent(run_id="run-2")
    await collector.shell.until("SELECT PktDropPackets FROM flow WHERE Packets = 0", 4)


async def test_events_that_cannot_be_read_are_counted_as_lost(collector: Collector) -> None:
    agent = await collector.agent()
    broken = event_batch([Drop(), Drop()])
    broken.records = broken.records[:-50]
    await agent.send(events=broken)
    await agent.send(events=event_batch([Drop()]))
    await collector.shell.until("SELECT count(*) FROM packet_drop", 1)
    await collector.shell.until("SELECT sum(Count) FROM loss WHERE Stage = 'link'", 2)


async def test_the_disk_budget_removes_the_oldest_events_and_counts_them(
    short_path: Path,
) -> None:
    sent = 0
    async with running(short_path, limit_bytes=4 << 20) as collector:
        agent = await collector.agent()
        while not await collector.shell.rows("SELECT 1 FROM loss WHERE Stage = 'disk_budget'"):
            events = [Drop(time_ns=sent + n) for n in range(2000)]
            await agent.send(events=event_batch(events))
            sent += 2000
            await collector.shell.status(
                lambda _, sent=sent: collector.capture.store.totals.event_rows == sent  # type: ignore[misc]
            )
        await collector.capture.store.flush()
        first, last, count = await collector.shell.row(
            "SELECT min(TimeNs), max(TimeNs), count(*) FROM packet_drop"
        )
        assert isinstance(last, int)
        assert isinstance(first, int)
        assert isinstance(count, int)
        lost = await collector.shell.row(
            "SELECT sum(Count), sum(Bytes) FROM loss WHERE Stage = 'disk_budget'"
        )
        assert lost == [sent - count, 60 * (sent - count)]
        assert last - first == count - 1
