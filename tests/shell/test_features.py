"""What is observed beside flows and packets: switched, shown, completed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agent import wire
from nshell.shell.commands import build_registry
from nshell.shell.errors import Failure
from nshell.shell.features import FEATURES
from nshell.shell.kinds import World
from nshell.shell.settings import MAX_DNS_PORTS

if TYPE_CHECKING:
    from tests.shell.conftest import Shell


def offered(text: str) -> list[str]:
    return [candidate.text for candidate in build_registry().complete(text, World())]


def test_the_shell_knows_the_features_that_there_are() -> None:
    assert tuple(FEATURES) == wire.FEATURES
    assert MAX_DNS_PORTS == wire.MAX_DNS_PORTS


async def test_features_are_switched_several_at_once(shell: Shell) -> None:
    await shell.run("enable dns drops,rtt DNS")
    assert shell.seen.told == ["dns, drops, rtt on  applied 1/1 in 42 ms (generation 2)"]
    await shell.run("disable drops")
    assert shell.seen.told == ["drops off  applied 1/1 in 42 ms (generation 3)"]
    assert shell.capture.features == ["dns", "rtt"]


async def test_a_feature_that_does_not_work_somewhere_is_a_failure_though_it_stays_on(
    shell: Shell,
) -> None:
    shell.capture.agents = {"node-1": True, "node-2": True}
    shell.capture.broken = {"node-2": ["rtt: tcp_probe is not there", "tcp: no BTF"]}
    with pytest.raises(Failure) as failed:
        await shell.run("enable dns rtt")
    assert str(failed.value) == (
        "enable: dns, rtt on  applied 2/2 (generation 2), but node-2: rtt: tcp_probe is not there"
    )
    assert shell.capture.features == ["dns", "rtt"]


async def test_a_feature_that_does_not_work_is_no_failure_of_other_changes(shell: Shell) -> None:
    shell.capture.broken = {"node-1": ["rtt: tcp_probe is not there"]}
    await shell.run("enable dns\nfilter port 80\ndisable rtt")
    assert shell.seen.told[-1] == "rtt off  applied 1/1 in 42 ms (generation 4)"


async def test_nodes_behind_and_nodes_without_a_feature_are_told_together(shell: Shell) -> None:
    shell.capture.agents = dict.fromkeys(["a", "b", "c", "d", "e"], True)
    shell.capture.deaf = {"a": "map is full", "b": ""}
    shell.capture.broken = {node: ["rtt: no\x1b"] for node in ("c", "d")}
    with pytest.raises(Failure) as failed:
        await shell.run("enable rtt")
    assert failed.value.reason == (
        "rtt on  applied 3/5 (generation 2): a: map is full; b: no answer in time; "
        "c: rtt: no\\x1b; and 1 node more"
    )


async def test_dns_ports_are_set_and_shown(shell: Shell) -> None:
    await shell.run("set dns_port 53,5353, 5300")
    assert shell.seen.told == ["DNS on port 53, 5353, 5300  applied 1/1 in 42 ms (generation 2)"]
    assert shell.capture.dns_ports == [53, 5353, 5300]
    assert await shell.run("set dns_port") == "dns_port 53,5353,5300\n"
    assert "dns_port   53,5353,5300  the session" in await shell.run("set")


async def test_a_setting_of_the_shell_asks_nobody(shell: Shell) -> None:
    assert await shell.run("set format json") == "format json\n"
    assert await shell.run("set timing off") == "timing off\n"
    assert await shell.run("set timing") == "timing off\n"
    assert not shell.capture.calls


async def test_status_and_agents_show_features_and_events(shell: Shell) -> None:
    assert "features     none\n" in await shell.run("status")
    await shell.run("enable dns tcp\nset dns_port 53,5353")
    text = await shell.run("status")
    assert "features     dns, tcp\n" in text
    assert "dns ports    53, 5353\n" in text
    assert "events       4,321\n" in text
    await shell.run("set format json")
    assert json.loads(await shell.run("agents"))[0]["features"] == "dns tcp"


def test_names_are_completed_each_once() -> None:
    assert offered("enable ") == ["dns", "drops", "rtt", "tcp"]
    assert offered("enable d") == ["dns", "drops"]
    assert offered("enable dns d") == ["drops"]
    found = build_registry().complete("disable dns,r", World())
    assert [(c.text, c.replaces, c.meta) for c in found] == [("rtt", 1, FEATURES["rtt"])]


def test_settings_are_completed_with_their_own_values() -> None:
    assert offered("set ")[::8] == ["format", "dns_port"]
    assert offered("set timing ") == ["on", "off"]
    assert offered("set format c") == ["csv"]
    assert offered("set dns_port ") == []
    assert offered("set format csv ") == []
