"""Names in a real store: as rows come, and for those that came before their names."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from nshell.collector.decode.rows import GenerationKey
from nshell.collector.interfaces import Interface
from nshell.collector.kube import fill
from nshell.collector.kube.inventory import Change
from nshell.collector.storage.store import Store
from tests.collector.kube.things import S, came, node, pod, service, went
from tests.collector.wiretap import (
    CLOCK_OFFSET_NS,
    Dns,
    Drop,
    Flow,
    Packet,
    TcpEvent,
    event_batch,
    flow_batch,
    many_flows,
    packet_batch,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

A, B, WEB = "10.0.0.1", "10.0.0.2", "10.96.0.1"
OFFSET_MS = CLOCK_OFFSET_NS // 1_000_000


def when(seconds: float) -> int:
    """Milliseconds of the collector's clock, at so many seconds of the node's."""
    return OFFSET_MS + int(seconds * S)


class Stored:
    """A store that names, and what is in it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._reader = apsw.Connection(str(store.path), flags=apsw.SQLITE_OPEN_READONLY)

    async def rows(self, sql: str) -> list[Any]:
        await self.store.flush()
        return list(self._reader.execute(sql))

    async def until(self, sql: str, wanted: object) -> None:
        async with asyncio.timeout(20):
            while (found := await self.rows(sql)) != wanted:
                assert found is not None
                await asyncio.sleep(0.02)

    async def flows(self, *flows: Flow) -> None:
        await self.store.flows("n", flow_batch(flows), received_s=1)

    def close(self) -> None:
        self._reader.close()


@asynccontextmanager
async def opened(
    directory: Path, *, naming: bool = True, resume: bool = False
) -> AsyncIterator[Stored]:
    directory.mkdir(exist_ok=True)
    store = Store(directory, limit_bytes=1 << 30, resume=resume)
    if naming:
        store.owners(())
    store.generation(1, GenerationKey((7,), 1))
    store.node("n", "192.0.2.1")
    store.interfaces("n", (Interface(2, "eth0", b"\x02\0\0\0\0\x02"),))
    stored = Stored(store)
    try:
        yield stored
    finally:
        stored.close()
        await store.close()


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[Stored]:
    async with opened(tmp_path / "data") as made:
        yield made


def flow(src: str, dst: str, second: float) -> Flow:
    start = int(second * 1e9)
    return Flow(src=src, dst=dst, first_ns=start, last_ns=start + 1000)


async def test_rows_get_names_as_they_come(stored: Stored) -> None:
    stored.store.owners([came(pod("one", A, started_ms=when(1)), when(2))])
    await stored.flows(flow(A, "198.51.100.1", 5))
    sql = "SELECT SrcK8S_Name, SrcK8S_OwnerName, DstK8S_Name, K8S_FlowLayer FROM flow"
    assert await stored.rows(sql) == [("one", "web", None, "app")]


async def test_rows_that_came_before_their_names_get_them_in_every_table(stored: Stored) -> None:
    await stored.flows(flow(A, WEB, 5), flow(WEB, A, 5))
    await stored.store.packets("n", packet_batch([Packet(src=A, dst=WEB, time_ns=5 * 10**9)]))
    at = 5 * 10**9
    events: list[Dns | Drop | TcpEvent] = [
        Drop(src=A, dst=WEB, time_ns=at),
        TcpEvent(src=A, dst=WEB, time_ns=at),
        Dns(src=A, dst=WEB, time_ns=at),
    ]
    await stored.store.events("n", event_batch(events))
    await stored.store.flush()
    one = pod("one", A, started_ms=when(1))
    web = service("web", WEB, created_ms=when(1))
    stored.store.owners([came(one, when(9)), came(web, when(9))])
    both = "SELECT SrcK8S_Name, SrcK8S_Type, DstK8S_Namespace, DstK8S_Type FROM "
    for table in ("packet", "packet_drop", "tcp_event"):
        await stored.until(both + table, [("one", "Pod", "team", "Service")])
    await stored.until(
        "SELECT SrcK8S_Name, SrcK8S_HostIP, DstK8S_Name, DstK8S_OwnerType, K8S_FlowLayer FROM flow",
        [("one", "192.0.2.1", "web", "Service", "app"), ("web", None, "one", "Deployment", "app")],
    )


async def test_a_query_without_an_answer_gets_its_names_too(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as stored:
        await stored.store.events(
            "n", event_batch([Dns(src=A, dst=WEB, dport=53, time_ns=5 * 10**9)])
        )
        stored.store.owners([
            came(pod("one", A, started_ms=when(1)), when(9)),
            came(service("web", WEB, created_ms=when(1)), when(9)),
        ])  # fmt: skip
    reader = apsw.Connection(str(tmp_path / "data" / "session.db"))
    names = list(reader.execute("SELECT ClientK8S_Name, ServerK8S_Namespace FROM dns"))
    reader.close()
    assert names == [("one", "team")]


async def test_only_rows_of_its_time_get_the_name_of_an_owner(stored: Stored) -> None:
    await stored.flows(*(flow(A, B, second) for second in (3, 12, 18, 25)))
    await stored.store.flush()
    one = pod("one", A, started_ms=when(10))
    two = pod("two", A, started_ms=when(20))
    stored.store.owners([came(one, when(16)), went(one, when(16)), came(two, when(26))])
    await stored.until(
        "SELECT SrcK8S_Name FROM flow ORDER BY rowid", [(None,), ("one",), (None,), ("two",)]
    )


async def test_a_node_is_infra_until_the_other_end_is_an_app(stored: Stored) -> None:
    await stored.flows(flow("192.0.2.1", A, 5))
    stored.store.owners([came(node("node1", "192.0.2.1", created_ms=when(0)), when(9))])
    await stored.until("SELECT SrcK8S_Type, K8S_FlowLayer FROM flow", [("Node", "infra")])
    stored.store.owners([came(pod("one", A, started_ms=when(1)), when(10))])
    await stored.until("SELECT DstK8S_Type, K8S_FlowLayer FROM flow", [("Pod", "app")])


async def test_many_rows_are_named_in_steps_while_others_come(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fill, "STEP_ROWS", 500)
    for seed in range(4):
        await stored.store.flows("n", many_flows(1000, seed=seed, spread=1), received_s=1)
    pods = [
        came(pod(f"p{end}-{number}", f"10.{end}.0.{number}", started_ms=1), when(0))
        for end in (1, 2)
        for number in range(256)
    ]
    stored.store.owners(pods)
    for seed in range(4, 8):
        await stored.store.flows("n", many_flows(1000, seed=seed, spread=1), received_s=1)
    unnamed = "SELECT count(*) FROM flow WHERE SrcK8S_Name IS NULL OR DstK8S_Name IS NULL"
    await stored.until(unnamed, [(0,)])
    wrong = (
        "SELECT count(*) FROM flow WHERE SrcK8S_Name <> 'p1-' || substr(SrcAddr, 8)"
        " OR DstK8S_Name <> 'p2-' || substr(DstAddr, 8)"
    )
    assert await stored.rows(wrong) == [(0,)]
    assert await stored.rows("SELECT count(*) FROM flow") == [(8000,)]
    assert stored.store.lost == 0


async def test_more_nameless_addresses_than_are_remembered_are_counted_and_named_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fill, "NAMELESS_KEPT", 10)
    async with opened(tmp_path / "data") as stored:
        await stored.store.flows("n", many_flows(1000, spread=1), received_s=1)
        pods = [
            came(pod(f"p{number}", f"10.1.0.{number}", started_ms=1), when(0))
            for number in range(256)
        ]
        stored.store.owners(pods)
        await stored.until("SELECT count(*) FROM flow WHERE SrcK8S_Name IS NULL", [(0,)])
        ((count,),) = await stored.rows(
            "SELECT Value FROM counter WHERE Name = 'nameless_addresses_not_remembered'"
        )
        assert count > 100


async def test_pods_services_nodes_and_addresses_have_their_tables(stored: Stored) -> None:
    one = pod("one", A, started_ms=when(10), labels={"app": "web"})
    stored.store.owners([
        came(node("node1", "192.0.2.1"), when(10)),
        came(one, when(11)),
        came(service("web", WEB, created_ms=when(1), selector={"app": "web"}), when(11)),
        went(one, when(20)),
    ])  # fmt: skip
    sql = "SELECT Name, OwnerType, Labels, TimeStartedMs, TimeDeletedMs FROM pod"
    assert await stored.rows(sql) == [("one", "Deployment", '{"app": "web"}', when(10), when(20))]
    ((addresses, selector, deleted),) = await stored.rows(
        "SELECT Addresses, Selector, TimeDeletedMs FROM service"
    )
    assert (json.loads(addresses), json.loads(selector), deleted) == ([WEB], {"app": "web"}, None)
    assert await stored.rows("SELECT Name, Zone, Ready FROM node") == [("node1", "a", 1)]
    sql = "SELECT Address, Type, Name, ValidFromMs, ValidToMs FROM ip_owner ORDER BY Type"
    assert await stored.rows(sql) == [
        ("192.0.2.1", "Node", "node1", 1 * S, None),
        (A, "Pod", "one", when(10), when(20)),
        (WEB, "Service", "web", when(1), None),
    ]


async def test_without_a_cluster_nothing_is_named_and_nothing_is_remembered(tmp_path: Path) -> None:
    async with opened(tmp_path / "data", naming=False) as stored:
        await stored.flows(flow(A, B, 5))
        assert await stored.rows("SELECT SrcK8S_Name, K8S_FlowLayer FROM flow") == [(None, None)]


async def test_a_later_process_goes_on_with_the_tables(tmp_path: Path) -> None:
    one, two = pod("one", A, started_ms=when(10)), pod("two", B, started_ms=when(10))
    async with opened(tmp_path / "data", resume=True) as stored:
        stored.store.owners([came(one, when(11)), came(two, when(11))])
        await stored.flows(flow("10.0.0.3", B, 15))
    three = pod("three", "10.0.0.3", started_ms=when(12))
    async with opened(tmp_path / "data", resume=True) as stored:
        stored.store.owners([came(two, when(30)), came(three, when(30))])
        sql = "SELECT Name, TimeDeletedMs FROM pod ORDER BY rowid"
        assert await stored.rows(sql) == [("one", when(30)), ("two", None), ("three", None)]
        sql = "SELECT Name, ValidFromMs, ValidToMs FROM ip_owner ORDER BY rowid"
        assert await stored.rows(sql) == [
            ("one", when(10), when(30)),
            ("two", when(10), None),
            ("three", when(12), None),
        ]
        await stored.until("SELECT SrcK8S_Name, DstK8S_Name FROM flow", [("three", "two")])


async def test_a_change_of_a_pod_changes_its_row(stored: Stored) -> None:
    one = pod("one", A, started_ms=when(10), phase="Pending")
    stored.store.owners([came(one, when(11))])
    running = pod("one", A, started_ms=when(10), phase="Running")
    stored.store.owners([Change(one, running, when(12))])
    assert await stored.rows("SELECT Phase FROM pod") == [("Running",)]
    assert await stored.rows("SELECT count(*) FROM ip_owner") == [(1,)]
