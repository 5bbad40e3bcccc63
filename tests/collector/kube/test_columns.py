"""Columns of owners: in every table, by the time of each row, and none without a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nshell.collector import schema
from nshell.collector.decode.rows import Rows
from nshell.collector.kube.columns import NAMED, with_names
from nshell.collector.kube.register import Register
from nshell.collector.storage.catalog import Catalog
from tests.collector.kube.things import S, came, node, pod, service, went

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nshell.collector.decode.rows import Cell
    from nshell.collector.kube.inventory import Change

A, B, WEB, ELSEWHERE = "10.0.0.1", "10.0.0.2", "10.96.0.1", "198.51.100.1"
CLUSTER = (
    came(node("node1", "192.0.2.1"), 2 * S),
    came(pod("one", A), 2 * S),
    came(service("web", WEB), 2 * S),
    came(service("kubernetes", "10.96.0.2", namespace="default"), 2 * S),
)


def named(
    table: str, *rows: tuple[str | None, str | None, float], claims: tuple[Change, ...] = CLUSTER
) -> tuple[Mapping[str, Sequence[Cell]], set[str]]:
    """Columns of rows with source, destination and time, and the addresses without a name."""
    register = Register(Catalog())
    register.take(claims)
    how = NAMED[table]
    (src, _), (dst, _) = how.ends
    columns: dict[str, Sequence[Cell]] = {
        src: [row[0] for row in rows],
        dst: [row[1] for row in rows],
        how.time: [int(row[2] * S) * how.per_ms for row in rows],
    }
    found = with_names(Rows(table, len(rows), columns, {}), register.claims)
    return found.rows.columns, found.nameless


@pytest.mark.parametrize("table", NAMED)
def test_every_column_is_one_of_its_table(table: str) -> None:
    columns, _ = named(table, (A, WEB, 5))
    (declared,) = (each.names for each in schema.TABLES if each.name == table)
    assert set(columns) <= set(declared)
    assert {name for name in declared if "K8S" in name} <= set(columns)


def test_a_flow_says_all_of_both_ends() -> None:
    columns, nameless = named("flow", (A, WEB, 5))
    assert {name: cells[0] for name, cells in columns.items() if "K8S" in name} == {
        "SrcK8S_Name": "one",
        "SrcK8S_Namespace": "team",
        "SrcK8S_Type": "Pod",
        "SrcK8S_OwnerName": "web",
        "SrcK8S_OwnerType": "Deployment",
        "SrcK8S_HostIP": "192.0.2.1",
        "SrcK8S_HostName": "node1",
        "SrcK8S_Zone": "a",
        "DstK8S_Name": "web",
        "DstK8S_Namespace": "team",
        "DstK8S_Type": "Service",
        "DstK8S_OwnerName": "web",
        "DstK8S_OwnerType": "Service",
        "DstK8S_HostIP": None,
        "DstK8S_HostName": None,
        "DstK8S_Zone": None,
        "K8S_FlowLayer": "app",
    }
    assert nameless == set()


def test_what_nobody_has_is_null_and_told() -> None:
    columns, nameless = named("flow", (A, ELSEWHERE, 5), (None, None, 5), (ELSEWHERE, A, 5))
    assert columns["SrcK8S_Name"] == ["one", None, None]
    assert columns["DstK8S_Type"] == [None, None, "Pod"]
    assert columns["K8S_FlowLayer"] == ["app", None, "app"]
    assert nameless == {ELSEWHERE}


def test_where_nobody_is_known_there_are_no_columns() -> None:
    columns, nameless = named("packet", (B, ELSEWHERE, 5))
    assert set(columns) == {"SrcAddr", "DstAddr", "TimeNs"}
    assert nameless == {B, ELSEWHERE}


def test_the_layer_is_app_when_an_end_is_one() -> None:
    columns, _ = named(
        "flow",
        (A, "192.0.2.1", 5),
        ("192.0.2.1", "10.96.0.2", 5),
        ("192.0.2.1", ELSEWHERE, 5),
        (ELSEWHERE, ELSEWHERE, 5),
    )
    assert columns["K8S_FlowLayer"] == ["app", "infra", "infra", None]


def test_rows_of_one_batch_are_of_who_had_the_address_at_their_time() -> None:
    one, two = pod("one", A), pod("two", A, started_ms=20 * S)
    changes = (came(one, 2 * S), went(one, 15 * S), came(two, 21 * S))
    columns, nameless = named(
        "packet", (A, B, 0.5), (A, B, 10), (A, B, 16), (A, B, 20), (A, B, 30), claims=changes
    )
    assert columns["SrcK8S_Name"] == [None, "one", None, "two", "two"]
    assert nameless == {A, B}


def test_dns_names_client_and_server() -> None:
    columns, _ = named("dns", (A, WEB, 5))
    assert columns["ClientK8S_Name"] == ["one"]
    assert columns["ServerK8S_Namespace"] == ["team"]
