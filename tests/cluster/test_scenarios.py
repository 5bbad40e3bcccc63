"""One session on two nodes: names on both ends, a drop, one pod's packets, a pod that moves.

The session watches the test's own namespace and nothing else. What is right is
said by the API server, by tcpdump and nftables in the nodes' namespaces, and by
the numbers that the traffic bears.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

import pytest

from tests.cluster import shell as shells
from tests.cluster.oracles import blocked, captured, dumped, numbers
from tests.cluster.workloads import ASK, SEND, SERVE, SINK, Running
from tests.network import tshark, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nshell.cluster.manifests import Object
    from tests.cluster.api import Api
    from tests.cluster.nodes import Nodes
    from tests.cluster.workloads import Place
    from tests.session import Session

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

SESSION = "scenes"
HTTP, UDP, BLOCKED = 8080, 7001, 8081
REQUESTS = 40
CHANGES = 100
PROMISED_NS, TOO_LATE_NS = 10**9, 3 * 10**9
"""How soon a pod is followed, and when a busy machine is no excuse any more."""
ZONE = "topology.kubernetes.io/zone"


@dataclass(frozen=True, slots=True)
class Scene:
    """A session that captures what the pods of one namespace say to each other."""

    live: Session
    place: Place
    api: Api
    nodes: Nodes
    server: Running

    @property
    def here(self) -> str:
        """Name of the node of clients."""
        return self.nodes.names[0]

    @property
    def there(self) -> str:
        """Name of the node of servers."""
        return self.nodes.names[1]


@pytest.fixture(scope="module")
def zones(api: Api, nodes: Nodes) -> Iterator[dict[str, str]]:
    """Each node's zone; those that have none get one for as long as the module runs."""
    found, made = {}, []
    for name in nodes.names:
        (node,) = api.items("v1", "Node", field_selector=f"metadata.name={name}")
        if ZONE not in node["metadata"]["labels"]:
            api.label_node(name, ZONE, f"zone-of-{name}")
            made.append(name)
        found[name] = node["metadata"]["labels"].get(ZONE, f"zone-of-{name}")
    try:
        yield found
    finally:
        for name in made:
            api.label_node(name, ZONE, None)


@pytest.fixture(scope="module")
def scene(
    api: Api, nodes: Nodes, image: str, kubeconfig: str, workload: Place, zones: dict[str, str]
) -> Iterator[Scene]:
    assert zones
    server = workload.deployment("server", SERVE, HTTP, node=nodes.names[1])[0]
    workload.deployment("sink", SINK, UDP, node=nodes.names[1])
    shell = shells.in_new_namespace(api, kubeconfig, image)
    rule = f"namespace {workload.name}"
    with shell.session(SESSION, "--packets", "--enable", "drops", "--filter", rule) as live:
        print(live.narration[-1])
        yield Scene(live, workload, api, nodes, server)


@pytest.fixture(scope="module")
def asked(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> tuple[Running, Path, Path]:
    """A client that has asked its requests; what tcpdump saw of them on each eth0, if it could."""
    folder = tmp_path_factory.mktemp("dumps")
    files = folder / "here.pcap", folder / "there.pcap"
    with contextlib.ExitStack() as stack:
        for node, file in zip(
            scene.nodes.names if scene.nodes.testbed else (), files, strict=False
        ):
            dump = dumped(scene.nodes.inside(node), "eth0", file, "tcp", "port", str(HTTP))
            stack.enter_context(dump)
        (client,) = scene.place.deployment(
            "client", ASK, scene.server.address, HTTP, REQUESTS, 0.02, node=scene.here
        )
        until(lambda: len(scene.place.log(client.name)) == REQUESTS, 30)
    assert scene.place.log(client.name) == [str(number) for number in range(REQUESTS)]
    return client, *files


def test_rows_name_both_ends_as_the_api_server_does(
    scene: Scene, asked: tuple[Running, Path, Path], zones: dict[str, str]
) -> None:
    client, server = asked[0], scene.server
    flows = f"FROM flow WHERE DstPort = {HTTP} AND SrcAddr = '{client.address}'"
    scene.live.settle(f"SELECT sum(Packets) {flows}", least=REQUESTS)
    named = f"{flows} AND SrcK8S_Name IS NOT NULL AND DstK8S_Zone IS NOT NULL"
    until(lambda: scene.live.value(f"SELECT count(*) {flows}")
          == scene.live.value(f"SELECT count(*) {named}"), 15)  # fmt: skip
    columns = ["Name", "Namespace", "Type", "OwnerName", "OwnerType", "HostIP", "HostName", "Zone"]
    ends = {"Src": (client, "client"), "Dst": (server, "server")}
    wanted = {
        f"{end}K8S_{column}": value
        for end, (pod, owner) in ends.items()
        for column, value in zip(
            columns,
            (pod.name, pod.namespace, "Pod", owner, "Deployment", pod.host_address, pod.node,
             zones[pod.node]),
            strict=True,
        )
    }  # fmt: skip
    rows = scene.live.sql(f"SELECT DISTINCT DstAddr, {', '.join(wanted)} {flows}")
    assert rows == [{"DstAddr": server.address, **wanted}]
    assert {row["Node"] for row in scene.live.sql(f"SELECT DISTINCT Node {flows}")} == set(
        scene.nodes.names
    )


def test_each_node_counts_what_tcpdump_counts_there(
    scene: Scene, asked: tuple[Running, Path, Path]
) -> None:
    client, *files = asked
    scene.nodes.inside(scene.here)
    for node, file in zip(scene.nodes.names, files, strict=False):
        for end, other in (("Src", "Dst"), ("Dst", "Src")):
            ours = (
                f"FROM flow WHERE Node = '{node}' AND {end}Addr = '{client.address}'"
                f" AND {other}Port = {HTTP}"
            )
            expected = tshark(
                str(file), ["frame.len"],
                where=f"ip.{end.lower()} == {client.address} && tcp.port == {HTTP}",
            )  # fmt: skip
            assert len(expected) > REQUESTS
            scene.live.settle(f"SELECT sum(Packets) {ours}", least=len(expected))
            (row,) = scene.live.sql(f"SELECT sum(Packets) AS n, sum(Bytes) AS bytes {ours}")
            assert row == {"n": len(expected), "bytes": sum(int(size) for (size,) in expected)}


def test_tables_of_the_cluster_are_as_the_api_server_has_it(scene: Scene) -> None:
    pods = {
        (pod["metadata"]["name"], pod["metadata"]["uid"], pod["status"]["podIP"])
        for pod in scene.api.items("v1", "Pod", namespace=scene.place.name)
    }
    seen = f"FROM pod WHERE Namespace = '{scene.place.name}' AND TimeDeletedMs IS NULL"
    # The last of them may be a moment old.
    complete = f"count(*) = {len(pods)} AND count(Addresses ->> 0) = {len(pods)}"
    scene.live.do(f"wait until SELECT {complete} {seen} timeout 20s;")
    rows = scene.live.sql(f"SELECT Name, Uid, Addresses ->> 0 AS Address {seen}")
    assert {(row["Name"], row["Uid"], row["Address"]) for row in rows} == pods
    services = scene.live.sql("SELECT Name FROM service WHERE Namespace = 'default'")
    assert "kubernetes" in {row["Name"] for row in services}
    told = {row["Name"] for row in scene.live.sql("SELECT Name FROM node")}
    assert told >= set(scene.nodes.names)


def test_a_packet_filter_on_the_node_is_the_cause_of_drops_with_names(scene: Scene) -> None:
    server = scene.server
    with blocked(scene.nodes.inside(scene.there), server.address, BLOCKED) as met:
        # One connection at a time, given up after a second.
        (knocker,) = scene.place.deployment(
            "knocker", ASK, server.address, BLOCKED, 60, 0.1, node=scene.here
        )
        until(lambda: met() > 2, 20)
        dropped = f"FROM packet_drop WHERE SrcAddr = '{knocker.address}' AND DstPort = {BLOCKED}"
        named = f"SELECT count(*) > 2 AND count(*) = count(SrcK8S_Name) {dropped}"
        scene.live.do(f"wait until {named} timeout 20s;")
        rows = scene.live.sql(
            f"""SELECT DISTINCT Node, Reason, Loss, SrcK8S_Namespace, SrcK8S_Name,
            DstK8S_Namespace, DstK8S_Name {dropped}"""
        )
        assert rows == [
            {"Node": scene.there, "Reason": "NETFILTER_DROP", "Loss": 1,
             "SrcK8S_Namespace": scene.place.name, "SrcK8S_Name": knocker.name,
             "DstK8S_Namespace": scene.place.name, "DstK8S_Name": server.name}
        ]  # fmt: skip
        here, there = (f"{each.namespace}/{each.name}" for each in (knocker, server))
        (told,) = scene.live.do(f"why {here} {there}:{BLOCKED} for 4s")
        assert "NETFILTER_DROP" in told["summary"], told
        assert scene.there in told["summary"], told
        scene.place.scale("knocker", 0)
        # The API server lets go of a pod before its node has ended it.
        until(lambda: not scene.place.pods("knocker"), 30)
        dropped += " AND Reason = 'NETFILTER_DROP'"
        until(lambda: scene.live.settle(f"SELECT count(*) {dropped}") == met(), 30)


@pytest.fixture(scope="module")
def senders(scene: Scene) -> Iterator[tuple[Running, Running]]:
    """Two pods that send numbered datagrams to the sink, fifty a second each."""
    (sink,) = scene.place.running("sink")
    one, other = (
        scene.place.deployment(
            f"sender-{name}", SEND, sink.address, UDP, 6000, 0.02, node=scene.here
        )[0]
        for name in "ab"
    )
    yield one, other
    for name in "ab":
        scene.place.scale(f"sender-{name}", 0)


def test_the_packets_of_one_pod_are_exactly_its_own(
    scene: Scene, senders: tuple[Running, Running], tmp_path: Path
) -> None:
    one, _ = senders
    live, file = scene.live, tmp_path / "one.pcapng"
    live.do("filter clear", f"filter pod {one.namespace}/sender-a* for packets")
    began = time.time_ns()
    generation = live.value("SELECT max(Generation) FROM filter_log")
    time.sleep(3)
    ended = time.time_ns()
    of_it = f"FROM packet WHERE Generation = {generation}"
    until(lambda: (live.value(f"SELECT max(TimeNs) {of_it}") or 0) > ended, 15)
    live.do(f"export pcapng {file} where Generation = {generation}")

    found = captured(file, port=UDP)
    all_packets = tshark(str(file), ["ip.src", "ip.dst"])
    assert len(all_packets) == len(found), "nothing else is in the file"
    assert {address for address, *_ in found} == {one.address}
    (sink,) = scene.place.running("sink")
    for address, source, target, _ in found:
        assert address == one.address
        assert one.name in source
        assert sink.name in target
    sent = numbers(scene.place.log(one.name), of=one.name)
    seen = set(numbers([text for *_, text in found], of=one.name))
    wanted = {number for number, at in sent.items() if began <= at <= ended}
    assert len(wanted) > 20
    assert wanted <= seen
    assert seen == set(range(min(seen), max(seen) + 1)), "without a gap"


def test_filters_on_names_are_tried_on_both_nodes_and_explained(
    scene: Scene, senders: tuple[Running, Running]
) -> None:
    one, other = senders
    (sink,) = scene.place.running("sink")
    live, there = scene.live, f"{sink.namespace}/{sink.name}:{UDP}"
    live.do("filter clear", f"filter pod {other.namespace}/{other.name} as other")
    (rows,) = live.do(f"filter try pod {one.namespace}/{one.name} port {UDP} 3s")
    # Fifty a second, at each interface that they pass.
    assert {row["node"]: row["packets"] > 100 for row in rows} == dict.fromkeys(
        scene.nodes.names, True
    )
    for pod, verdict in ((one, "left out"), (other, "captured")):
        (told,) = live.do(f"filter explain {pod.namespace}/{pod.name} {there} udp")
        assert told["there_flows"] == told["back_flows"] == verdict, told
    (row,) = told["evidence"]["filters"]
    assert (row["there"], row["back"]) == ("yes", "yes")
    live.do(f"wait until SELECT filter_name(FilterId) = 'other' FROM flow WHERE SrcAddr = "
            f"'{other.address}' AND FilterId = {row['filter']} LIMIT 1 timeout 20s;")  # fmt: skip


def test_a_pod_that_comes_back_elsewhere_is_followed(
    scene: Scene, senders: tuple[Running, Running], tmp_path: Path
) -> None:
    old, _ = senders
    live, file = scene.live, tmp_path / "moved.pcapng"
    live.do("filter clear", f"filter pod {old.namespace}/sender-a* for packets")
    events: list[tuple[int, Object]] = []
    watching = threading.Thread(target=watch_pods, args=(scene, "sender-a", events))
    watching.start()
    scene.place.delete_pod(old.name)
    (new,) = scene.place.running("sender-a", but=[old.uid])
    assert new.address != old.address
    time.sleep(6)
    now = time.time_ns()
    of_it = f"FROM packet WHERE SrcAddr = '{new.address}'"
    until(lambda: (live.value(f"SELECT max(TimeNs) {of_it}") or 0) > now, 15)
    watching.join(30)
    has_address = min(
        at for at, pod in events
        if pod["metadata"]["uid"] == new.uid and pod["status"].get("podIP") == new.address
    )  # fmt: skip
    live.do(f"export pcapng {file} where SrcAddr = '{new.address}'")
    sent = numbers(scene.place.log(new.name), of=new.name)
    seen = numbers([text for *_, text in captured(file, port=UDP)], of=new.name)
    lost = [at - has_address for n, at in sent.items() if n not in seen and at <= now]
    print(
        f"new pod: first packet {(min(seen.values()) - has_address) / 1e6:+.0f} ms from the event"
        f" that tells its address; of {len(sent)} datagrams {len(lost)} are missing,"
        f" {sum(late > PROMISED_NS for late in lost)} of them later than a second after it"
    )
    assert sum(at - has_address > TOO_LATE_NS for at in sent.values()) > 20
    assert max(lost, default=0) <= TOO_LATE_NS
    log = live.sql("SELECT Generation, Filter, Addresses FROM filter_log WHERE Filter LIKE 'pod %'")
    assert any(new.address in str(row["Addresses"]) for row in log), log


def watch_pods(scene: Scene, name: str, events: list[tuple[int, Object]]) -> None:
    """For a while; what came, and when."""
    query = {"namespace": scene.place.name, "label_selector": f"app={name}", "timeout": 8}
    for _, pod in scene.api.watch("v1", "Pod", **query):
        events.append((time.time_ns(), pod))


def test_a_hundred_changes_reach_both_nodes(scene: Scene) -> None:
    live = scene.live
    live.do("filter clear", f"filter namespace {scene.place.name} port 1")
    (added,) = live.do("filter list")[-1]
    mark = len(live.narration)
    for number in range(CHANGES):
        words = f"namespace {scene.place.name} protocol udp port {1 + number % 7}"
        live.tell(f"filter replace {added['id']} {words}")
    live.do("filter clear")
    of = len(scene.nodes.names)

    def told() -> list[float]:
        lines = live.narration[mark:]
        found = [re.search(rf"applied {of}/{of} in ([\d.]+) ms", line) for line in lines]
        return [float(match[1]) for match in found if match]

    # What is told comes through another pipe than what is answered.
    until(lambda: len(told()) >= CHANGES)
    times = told()[:CHANGES]
    print(f"filter change on a selector to applied {of}/{of}: p50 {median(times):.0f} ms,"
          f" p95 {quantiles(times, n=20)[18]:.0f} ms (goal 500)")  # fmt: skip
