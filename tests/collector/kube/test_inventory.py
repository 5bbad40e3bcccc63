"""The inventory: what the watches tell becomes what is there, and changes in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.collector.kube.inventory import Inventory
from nshell.collector.kube.objects import Owner
from nshell.collector.kube.reflector import Changed, Listed, Trouble
from tests.collector.kube.things import node, pod, service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.collector.kube.inventory import Change
    from nshell.collector.kube.objects import Pod
    from nshell.collector.kube.reflector import News

REPLICA_SET = Owner("ReplicaSet", "web-5d4f")
KEY = ("team", "web-1")


class Told:
    """An inventory and the changes that it tells."""

    def __init__(self, *news: News) -> None:
        self.batches: list[Sequence[Change]] = []
        self.inventory = Inventory(tell=self.batches.append)
        self.inventory.apply(news, now_ms=1)

    def changes(self, *news: News) -> list[tuple[object, object]]:
        """Those that the news make."""
        self.batches.clear()
        self.inventory.apply(news, now_ms=2)
        return [(each.old, each.new) for batch in self.batches for each in batch]


def synced(*pods: Pod) -> list[News]:
    """All kinds listed, with these pods."""
    return [
        Listed("nodes", {}),
        Listed("replicasets", {}),
        Listed("services", {}),
        Listed("pods", {(each.namespace, each.name): each for each in pods}),
    ]


def test_what_a_new_list_lacks_is_gone() -> None:
    one, other = pod("one", "10.0.0.1"), pod("other", "10.0.0.2")
    told = Told(*synced(one, other))
    assert told.changes(Listed("pods", {("team", "one"): one})) == [(other, None)]
    assert set(told.inventory.pods) == {("team", "one")}


def test_what_is_told_again_is_no_change() -> None:
    one = pod("one", "10.0.0.1")
    told = Told(*synced(one))
    assert told.changes(Changed("pods", ("team", "one"), pod("one", "10.0.0.1"))) == []


def test_another_pod_of_the_same_name_is_a_departure_and_an_arrival() -> None:
    old, new = pod("db-0", "10.0.0.1", uid="a"), pod("db-0", "10.0.0.1", uid="b")
    told = Told(*synced(old))
    assert told.changes(Changed("pods", ("team", "db-0"), new)) == [(old, None), (None, new)]


def test_nobody_is_told_before_all_kinds_are_known() -> None:
    one = pod("one", "10.0.0.1")
    told = Told(Listed("pods", {("team", "one"): one}))
    assert told.batches == []
    assert not told.inventory.synced
    first = node("node1", "192.0.2.1")
    made = told.changes(
        Listed("services", {}), Listed("replicasets", {}), Listed("nodes", {("", "node1"): first})
    )
    assert made == [(None, one), (None, first)]
    assert told.inventory.synced


def test_a_kind_that_is_refused_is_not_waited_for_and_said() -> None:
    one = pod("one", "10.0.0.1")
    told = Told(
        *(each for each in synced(one) if isinstance(each, Listed) and each.kind != "nodes")
    )
    assert not told.inventory.synced
    refused = Trouble("nodes", "HTTP 403: no", refused=True)
    assert told.changes(refused) == [(None, one)]
    assert bool(told.inventory.synced)
    assert told.inventory.problem == "nodes: HTTP 403: no"
    told.changes(Trouble("nodes", ""))
    assert told.inventory.problem == ""


def test_trouble_of_all_kinds_is_said_once() -> None:
    told = Told(
        *(Trouble(kind, "no answer") for kind in ("nodes", "replicasets", "services", "pods"))
    )
    assert told.inventory.problem == "no answer"
    assert not told.inventory.synced


def test_a_pod_of_a_replica_set_is_its_deployments() -> None:
    told = Told(*synced())
    told.changes(Changed("replicasets", ("team", "web-5d4f"), Owner("Deployment", "web")))
    told.changes(Changed("pods", KEY, pod("web-1", owner=REPLICA_SET)))
    assert told.inventory.pods[KEY].owner == Owner("Deployment", "web")


def test_a_replica_set_that_comes_after_its_pod_names_it() -> None:
    told = Told(*synced(pod("web-1", owner=REPLICA_SET)))
    assert told.inventory.pods[KEY].owner == REPLICA_SET
    ((_, new),) = told.changes(
        Changed("replicasets", ("team", "web-5d4f"), Owner("Deployment", "web"))
    )
    assert new == told.inventory.pods[KEY]
    assert told.inventory.pods[KEY].owner == Owner("Deployment", "web")


def test_without_replica_sets_the_pods_own_label_tells_its_deployment() -> None:
    labels = {"pod-template-hash": "5d4f"}
    told = Told(*synced(pod("web-1", owner=REPLICA_SET, labels=labels)))
    assert told.inventory.pods[KEY].owner == Owner("Deployment", "web")


def test_subscribers_are_called_once_for_a_batch_when_it_is_all_there() -> None:
    told = Told()
    seen = []
    told.inventory.subscribe(lambda: seen.append(len(told.inventory.pods)))
    told.inventory.apply(synced(pod("one"), pod("two")))
    assert seen == [2]


def test_present_names_follow_and_a_pod_goes_before_a_service() -> None:
    told = Told(*synced(pod("one", "10.0.0.1"), pod("host", "192.0.2.1", host_network=True)))
    names = told.inventory.names
    told.changes(Changed("nodes", ("", "node1"), node("node1", "192.0.2.1")))
    told.changes(Changed("services", ("team", "web"), service("web", "10.0.0.1", "10.96.0.1")))
    told_now = [names.get(each) for each in ("10.0.0.1", "192.0.2.1", "10.96.0.1", "10.9.9.9")]
    assert told_now == ["team/one", "node1", "team/web", None]
    told.changes(Changed("pods", ("team", "two"), pod("two", "10.0.0.1")))
    told.changes(Changed("pods", ("team", "one"), None))
    assert names.get("10.0.0.1") == "team/two"
