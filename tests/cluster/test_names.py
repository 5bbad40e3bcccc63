"""Pods by name where a capture leaves the cluster: in files, and behind interfaces."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cluster import shell as shells
from tests.cluster.workloads import SEND, SINK
from tests.network import tshark, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.api import Api
    from tests.cluster.nodes import Nodes
    from tests.cluster.workloads import Place

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

PORT = 7001


def test_files_name_the_pods_and_interfaces_say_which_pod_is_behind_them(
    api: Api, nodes: Nodes, image: str, kubeconfig: str, workload: Place, tmp_path: Path
) -> None:
    (sink,) = workload.deployment("sink", SINK, PORT, node=nodes.names[1])
    (sender,) = workload.deployment(
        "sender", SEND, sink.address, PORT, 6000, 0.05, node=nodes.names[0]
    )
    shell, file = shells.in_new_namespace(api, kubeconfig, image), tmp_path / "named.pcapng"
    rule = f"pod {workload.name}/sender* port {PORT}"
    with shell.session("names", "--packets", "--filter", rule) as live:
        until(lambda: live.value("SELECT count(*) > 20 FROM packet") == 1, 30)
        told = live.sql("SELECT Node, Name, Peer FROM interface WHERE Peer IS NOT NULL")
        behind = {
            (row["Node"], address): row["Name"]
            for row in told
            for address in json.loads(row["Peer"])
        }
        live.do(f"export pcapng {file}")
        classic = tmp_path / "plain.pcap"
        live.do(f"export pcap {classic}")

    def named(path: Path) -> set[str]:
        words = ["-N", "n", "-T", "fields", "-e", "ip.src_host", "-e", "ip.dst_host"]
        done = subprocess.run(
            ["tshark", "-r", str(path), *words], capture_output=True, text=True, check=True
        )
        return set(done.stdout.splitlines())

    # Wireshark shows 63 characters of a name.
    names = [f"{workload.name}/{pod.name}"[:63] for pod in (sender, sink)]
    assert named(file) == {"\t".join(names)}
    assert named(classic) == {f"{sender.address}\t{sink.address}"}
    veth = behind.get((nodes.names[0], sender.address))
    if veth is None and nodes.testbed is None:
        pytest.skip("the network plugin of this cluster gives pods neither a route nor a bridge")
    described = {text for (text,) in tshark(str(file), ["frame.interface_description"])}
    (ours,) = [text for text in described if f"({veth}) of node {nodes.names[0]}" in text]
    assert ours.endswith(f": pod {workload.name}/{sender.name}")
