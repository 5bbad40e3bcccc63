"""Who had an address when: the register's intervals."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from nshell.collector.kube.claims import FOREVER, KEPT_MS, Claim, Names
from nshell.collector.kube.inventory import Change
from nshell.collector.kube.register import Register, is_app
from nshell.collector.storage.catalog import Catalog
from tests.collector.kube.things import S, came, node, pod, service, went

if TYPE_CHECKING:
    from collections.abc import Sequence

A = "10.0.0.1"


def register(*changes: Change, **options: int) -> Register:
    made = Register(Catalog(), **options)
    for each in changes:
        made.take([each])
    return made


def at(made: Register, seconds: float, address: str = A) -> str | None:
    """Who had it then."""
    names = made.claims.at(address, int(seconds * S))
    return names.cells[0] if names else None


def during(made: Register, first: float, last: float, address: str = A) -> object:
    found = made.claims.find(address, int(first * S), int(last * S))
    return found.cells[0] if isinstance(found, Names) else found


def test_a_pod_has_its_address_from_its_start_to_its_end() -> None:
    one = pod("one", A, started_ms=10 * S)
    made = register(came(one, 12 * S), went(one, 20 * S))
    assert [at(made, when) for when in (9.9, 10, 19.9, 20)] == [None, "one", "one", None]


def test_the_next_owner_of_an_address_takes_over_when_the_last_one_was_gone() -> None:
    one, two = pod("one", A, started_ms=10 * S), pod("two", A, started_ms=20 * S)
    made = register(came(one, 11 * S), went(one, 20 * S + 500), came(two, 22 * S))
    assert [at(made, when) for when in (20, 20.4, 20.5, 30)] == ["one", "one", "two", "two"]
    assert during(made, 11, 20.4) == "one"
    assert during(made, 20.5, 30) == "two"


def test_a_pod_that_waited_for_an_address_does_not_take_the_last_owners_rows() -> None:
    one, two = pod("one", A, started_ms=10 * S), pod("two", started_ms=12 * S)
    made = register(came(one, 11 * S), came(two, 12 * S), went(one, 60 * S))
    made.take([Change(two, pod("two", A, started_ms=12 * S), 61 * S)])
    assert [at(made, when) for when in (13, 59, 60, 61)] == ["one", "one", "two", "two"]


def test_a_deletion_that_was_seen_late_does_not_take_rows_from_the_next_owner() -> None:
    one = pod("one", A, started_ms=10 * S)
    two = pod("two", A, started_ms=20 * S, running_ms=22 * S)
    # The watch was away from 15 to 60.
    made = register(came(one, 11 * S), went(one, 60 * S), came(two, 60 * S))
    assert [at(made, when) for when in (19, 21, 22, 59)] == ["one", "one", "two", "two"]


def test_owners_that_are_told_in_the_wrong_order_stand_in_the_right_one() -> None:
    one = pod("one", A, started_ms=10 * S)
    two = pod("two", A, started_ms=20 * S, running_ms=22 * S)
    made = register(came(two, 60 * S), came(one, 60 * S), went(one, 61 * S))
    assert [at(made, when) for when in (9, 15, 19, 20, 62)] == [None, "one", "one", "two", "two"]


def test_a_pod_of_its_nodes_network_leaves_the_address_to_the_node() -> None:
    host = pod("agent", "192.0.2.1", host_network=True)
    made = register(came(host, 5 * S), came(node("node1", "192.0.2.1"), 5 * S))
    assert at(made, 6, "192.0.2.1") == "node1"


def test_pods_go_before_nodes_and_nodes_before_services() -> None:
    one = pod("one", A, started_ms=10 * S)
    made = register(came(service("web", A), 5 * S), came(node("node1", A), 5 * S))
    made.take([came(one, 10 * S)])
    made.take([went(one, 20 * S)])
    assert [at(made, when) for when in (6, 15, 25)] == ["node1", "one", "node1"]


def test_an_address_that_a_pod_gets_in_place_of_another_is_its_from_when_it_was_told_of() -> None:
    before, after = pod("one", A), pod("one", "10.0.0.2")
    made = register(came(before, 5 * S), Change(before, after, 50 * S))
    assert [at(made, when) for when in (4, 49, 50)] == ["one", "one", None]
    assert [at(made, when, "10.0.0.2") for when in (4, 6, 51)] == [None, "one", "one"]


def test_a_start_in_the_future_of_our_clock_hides_no_rows() -> None:
    made = register(came(pod("one", A, started_ms=1000 * S), 5 * S))
    assert at(made, 6) == "one"


def test_names_change_with_their_owner_and_zones_with_their_node() -> None:
    one = pod("one", A)
    made = register(came(one, 2 * S), came(node("node1", zone="eu-1"), 3 * S))
    names = made.claims.at(A, 4 * S)
    assert names is not None
    assert names.cells == (
        "one", "team", "Pod", "web", "Deployment", "192.0.2.1", "node1", "eu-1",
    )  # fmt: skip


def test_what_ended_long_ago_is_forgotten() -> None:
    one, two = pod("one", A), pod("two", "10.0.0.2")
    made = register(came(one, 2 * S), went(one, 3 * S), came(two, 4 * S))
    assert len(made.claims) == 2
    made.take([came(pod("three"), 5 * S + KEPT_MS)])
    assert len(made.claims) == 1


def test_the_layer_is_told_by_namespaces_as_in_netobserv() -> None:
    assert is_app("team", "web")
    assert is_app("default", "web")
    for namespace, name in (
        ("openshift-dns", "x"), ("netobserv", "x"), ("netobserv-cli", "x"), ("kube-system", "x"),
        ("default", "kubernetes"), ("default", "openshift"),
    ):  # fmt: skip
        assert not is_app(namespace, name)


def test_rows_of_what_is_gone_are_few_and_the_rest_is_counted() -> None:
    catalog = Catalog()
    made = Register(catalog, gone_kept=3)
    for number in range(10):
        each = pod(f"p{number}", f"10.0.1.{number}")
        made.take([came(each, number * 10 * S), went(each, (number * 10 + 1) * S)])
    made.take([came(pod("last", A), 200 * S)])
    rows = {each.table: each for each in catalog.take()}
    assert sorted(rows["pod"].columns["Name"]) == ["last", "p8", "p9"]  # type: ignore[type-var]
    assert list(rows["counter"].columns["Value"]) == [8 + 8]


# What happens to one address: pods come with a start some time ago, and go again.
HAPPENINGS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 30), st.integers(0, 30)), max_size=25
)


@given(HAPPENINGS)
def test_no_moment_belongs_to_two_pods_and_every_row_of_the_table_tells_the_same(
    happenings: Sequence[tuple[int, int, int]],
) -> None:
    made = Register(Catalog())
    claims: list[Claim] = []
    there: dict[int, Change] = {}
    now = 100
    for count, (number, back, running) in enumerate(happenings):
        now += 1
        if number in there:
            change = there.pop(number)
            assert change.new is not None
            made.take([went(change.new, now)])
        else:
            one = pod(
                f"p{number}", A, uid=f"u{count}", started_ms=now - back,
                running_ms=max(now - running, now - back),
            )  # fmt: skip
            there[number] = came(one, now)
            claims += made.take([there[number]])
    for each in claims:
        assert each.from_ms <= each.to_ms
        assert each.from_ms >= each.started_ms
    lasting = sorted(
        (each for each in claims if each.from_ms < each.to_ms), key=lambda c: c.from_ms
    )
    for one_claim, next_claim in itertools.pairwise(lasting):
        assert one_claim.to_ms <= next_claim.from_ms
    assert sum(each.to_ms == FOREVER for each in lasting) <= 1
    for moment in range(60, now + 2):
        held: list[Names | None] = [
            each.names for each in lasting if each.from_ms <= moment < each.to_ms
        ]
        assert [made.claims.at(A, moment)] == (list(held) or [None])


@given(HAPPENINGS, st.integers(60, 130), st.integers(0, 20))
def test_a_span_is_decided_only_where_all_its_moments_agree(
    happenings: Sequence[tuple[int, int, int]], first: int, length: int
) -> None:
    made, now = Register(Catalog()), 100
    for count, (number, back, stay) in enumerate(happenings):
        now += 1
        one = pod(f"p{number}", A, uid=f"u{count}", started_ms=now - back)
        made.take([came(one, now)])
        now += stay
        made.take([went(one, now)])
    found = made.claims.find(A, first, first + length)
    moments = {made.claims.at(A, each) for each in range(first, first + length + 1)}
    if found is None:
        assert moments == {None}
    elif isinstance(found, Names):
        assert moments == {found}
