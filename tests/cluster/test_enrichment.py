"""Names in rows, from a real API server: who had an address when.

The collector runs in this process. Where a test is about addresses and times, its
pods exist for the API server alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.cluster.collecting import collecting, inventory, names, send, until
from tests.cluster.relay import relayed
from tests.cluster.workloads import SERVE, Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.cluster.api import Api
    from tests.cluster.team import Team
    from tests.collector.conftest import Collector


pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


@pytest.fixture
async def collector(kubeconfig: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    async with collecting(kubeconfig, monkeypatch) as made:
        await until(lambda: inventory(made).synced)
        yield made


async def test_real_pods_have_owner_node_and_service_and_a_replaced_one_another_row(
    collector: Collector, workload: Place, api: Api
) -> None:
    (first,) = await asyncio.to_thread(workload.deployment, "web", SERVE, 8080)
    service = workload.service("web", port=80, target=8080)
    api.label_node(first.node, "topology.kubernetes.io/zone", "zone-of-test")
    try:
        known = inventory(collector)
        await until(lambda: (workload.name, "web") in known.services)
        await until(lambda: known.names.get(first.address) == f"{workload.name}/{first.name}")
        await until(lambda: known.nodes[first.node].zone == "zone-of-test")
        agent = await collector.agent()
        await send(agent, (first.address, service), (first.host_address, first.address))
        await collector.shell.until("SELECT count(*) FROM flow", 2)
        row = await collector.shell.row(
            "SELECT SrcK8S_Namespace, SrcK8S_Name, SrcK8S_Type, SrcK8S_OwnerType, SrcK8S_OwnerName,"
            " SrcK8S_HostName, SrcK8S_HostIP, SrcK8S_Zone, DstK8S_Type, DstK8S_Name, K8S_FlowLayer"
            f" FROM flow WHERE DstAddr = '{service}'"
        )
        assert row == [
            workload.name, first.name, "Pod", "Deployment", "web", first.node, first.host_address,
            "zone-of-test", "Service", "web", "infra",
        ]  # fmt: skip
        other = await collector.shell.row(
            f"SELECT SrcK8S_Type, SrcK8S_Name FROM flow WHERE SrcAddr = '{first.host_address}'"
        )
        assert other == ["Node", first.node]
    finally:
        api.label_node(first.node, "topology.kubernetes.io/zone", None)
    workload.delete_pod(first.name)
    (second,) = await asyncio.to_thread(workload.running, "web", but=[first.uid])
    where = f"FROM pod WHERE Namespace = '{workload.name}' AND TimeDeletedMs IS NULL"
    await collector.shell.until(f"SELECT group_concat(Name) {where}", second.name)
    gone = await collector.shell.row(
        f"SELECT OwnerName, TimeDeletedMs > TimeStartedMs FROM pod WHERE Uid = '{first.uid}'"
    )
    assert gone == ["web", 1]
    assert await collector.shell.row(f"SELECT ip_name('{second.address}')") == [
        f"{workload.name}/{second.name}"
    ]


async def test_a_reused_address_is_of_who_had_it_at_the_time(
    collector: Collector, team: Team
) -> None:
    known, agent = inventory(collector), await collector.agent()
    team.pod("one", team.address)
    await until(lambda: known.names.get(team.address) == f"{team.name}/one")
    await send(agent, (team.address, "203.0.113.1"))
    team.delete("Pod", "one")
    await until(lambda: known.names.get(team.address) is None)
    # The next second: starts have no fractions.
    await asyncio.sleep(1.1)
    team.pod("two", team.address)
    await until(lambda: known.names.get(team.address) == f"{team.name}/two")
    await send(agent, (team.address, "203.0.113.1"))
    assert await names(collector, 2) == [["one", None], ["two", None]]
    history = await collector.shell.rows(
        "SELECT Name, ValidToMs IS NULL, ValidFromMs >= lag(ValidToMs) OVER (ORDER BY ValidFromMs)"
        f" FROM ip_owner WHERE Address = '{team.address}' ORDER BY ValidFromMs"
    )
    assert history == [["one", 0, None], ["two", 1, 1]]


async def test_a_service_address_that_another_service_gets_is_of_each_in_its_time(
    collector: Collector, team: Team
) -> None:
    known, agent = inventory(collector), await collector.agent()
    address = team.service("one")
    await until(lambda: known.names.get(address) == f"{team.name}/one")
    await send(agent, ("203.0.113.1", address))
    team.delete("Service", "one")
    await until(lambda: known.names.get(address) is None)
    team.service("two", address)
    await until(lambda: known.names.get(address) == f"{team.name}/two")
    await send(agent, ("203.0.113.1", address))
    assert await names(collector, 2) == [[None, "one"], [None, "two"]]


async def test_rows_that_came_before_the_watches_told_of_their_pod_are_named_afterwards(
    kubeconfig: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, team: Team
) -> None:
    with relayed(kubeconfig, tmp_path) as (relay, through):
        async with collecting(through, monkeypatch) as collector:
            known = inventory(collector)
            await until(lambda: known.synced)
            relay.cut()
            await until(lambda: known.problem)
            assert "\n" not in known.problem
            status = await collector.shell.status(lambda status: bool(status.kubernetes.problem))
            assert status.kubernetes.synced
            team.pod("late", team.address)
            agent = await collector.agent()
            await send(agent, (team.address, "203.0.113.1"), ("203.0.113.1", team.address))
            assert await names(collector, 2) == [[None, None], [None, None]]
            relay.mend()
            await collector.shell.until(
                "SELECT count(*) FROM flow WHERE 'late' IN (SrcK8S_Name, DstK8S_Name)"
                " AND K8S_FlowLayer = 'infra'",
                2,
            )
            await until(lambda: not known.problem)


async def test_what_went_while_the_watches_were_away_is_gone_afterwards(
    kubeconfig: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, team: Team
) -> None:
    team.pod("gone", team.address)
    with relayed(kubeconfig, tmp_path) as (relay, through):
        async with collecting(through, monkeypatch) as collector:
            known = inventory(collector)
            await until(lambda: (team.name, "gone") in known.pods)
            relay.cut()
            await until(lambda: known.problem)
            team.delete("Pod", "gone")
            team.pod("new", "198.19.0.8")
            relay.mend()
            await until(lambda: (team.name, "new") in known.pods)
            await until(lambda: (team.name, "gone") not in known.pods)
            where = f"WHERE Address = '{team.address}' AND ValidToMs IS NOT NULL"
            await collector.shell.until(f"SELECT count(*) FROM ip_owner {where}", 1)
