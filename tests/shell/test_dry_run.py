"""`filter try` and `filter explain`: how they are read, refused and told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nshell.shell.commands import build_registry
from nshell.shell.errors import CommandError, Failure
from nshell.shell.kinds import World
from nshell.shell.kinds.filters import Trial

if TYPE_CHECKING:
    from tests.shell.conftest import Shell


def offered(line: str, world: World | None = None) -> list[str]:
    return [each.text for each in build_registry().complete(line, world or World())]


@pytest.mark.parametrize(
    ("line", "words", "seconds"),
    [
        ("port 443", "port 443", None),
        ("port 443 10s", "port 443", 10),
        ("port 443 for 1m30s", "port 443", 90),
        ("reject port 443 for flows 250ms", "reject port 443 for flows", 0.25),
        ("port 443 for packets for 2s", "port 443 for packets", 2),
        # A pod may be called that.
        ("pod 10s", "pod 10s", None),
        ("pod 10s 10s", "pod 10s", 10),
        ("port 443 as web 3s", "port 443 as web", 3),
    ],
)
def test_a_duration_may_stand_behind_the_filter(
    line: str, words: str, seconds: float | None
) -> None:
    (trial,) = build_registry().parse(f"filter try {line}").arguments
    assert trial == Trial(tuple(words.split()), seconds)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("filter try", "is missing: filter try "),
        ("filter try 5s", "filter needs a predicate"),
        ("filter try prot 80", "unknown predicate 'prot': did you mean 'port' or 'protocol'?"),
        ("filter try port 80 for 5", "unknown kind '5' after 'for'"),
        ("filter try port 99999 5s", "99999"),
        ("filter tyr port 80", "unknown word 'tyr' after 'filter': did you mean 'try'?"),
        ("filter expain 10.0.0.1 10.0.0.2", "did you mean 'explain'?"),
        ("filter explain 10.0.0.1", "DST[:PORT] is missing"),
        ("filter explain 10.0.0.1 10.0.0.2 tpc", "'tpc' is not a protocol: did you mean 'tcp'?"),
        ("filter explain 10.0.0.1 10.0.0.2:0", "'0' is not a port: a number from 1 to 65535"),
        ("filter explain 10.0.0.1 10.0.0.2 tcp udp", "unexpected 'udp'"),
    ],
)
def test_wrong_words_are_named(line: str, reason: str) -> None:
    with pytest.raises(CommandError) as refused:
        build_registry().parse(line)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("10.0.0.1 example.com", "'example.com' is a DNS name: filters know addresses"),
        ("example.com 10.0.0.1", "'example.com' is a DNS name: filters know addresses"),
        ("10.0.0.1 fd00::1", "10.0.0.1 is IPv4 and fd00::1 is IPv6: no packet has both"),
        ("10.0.0.1 10.0.0.2:80 icmp", "icmp has no ports: leave out :80"),
    ],
)
async def test_ends_that_no_packet_has_are_refused(shell: Shell, line: str, reason: str) -> None:
    with pytest.raises(Failure) as refused:
        await shell.run(f"filter explain {line}")
    assert str(refused.value) == f"filter explain: {reason}"


@pytest.mark.parametrize(
    ("filters", "question", "there", "back"),
    [
        ("", "10.0.0.1 10.0.0.2",
         "flows are captured: no filter holds, and none accepts",
         "flows are captured: no filter holds, and none accepts"),
        ("dport 443", "10.0.0.1 10.0.0.2:443",
         "flows are captured, by filter 1",
         "flows are left out: no filter holds, and some accept"),
        ("dport 443", "10.0.0.1:443 10.0.0.2 tcp",
         "flows are left out: no filter holds, and some accept",
         "flows are captured, by filter 1"),
        ("reject tcp_flags rst\nport 443", "[fd00::1] [fd00::2]:443 tcp",
         "flows may be captured: that depends on filter 1 (tcp_flags)",
         "flows may be captured: that depends on filter 1 (tcp_flags)"),
        ("reject interface eth0 as lan\nport 443 as web", "10.0.0.1 10.0.0.2:443",
         "flows may be captured: that depends on filter lan (interface)",
         "flows may be captured: that depends on filter lan (interface)"),
        ("port 443 as web", "10.0.0.1 10.0.0.2:443 tcp",
         "flows are captured, by filter web", "flows are captured, by filter web"),
        ("tcp_flags syn\nport 443\nport 443 direction ingress", "10.0.0.1 10.0.0.2:443",
         "flows are captured, whichever filter decides",
         "flows are captured, whichever filter decides"),
        ("interface eth0 direction egress\nreject protocol udp for packets",
         "10.0.0.1 10.0.0.2 udp",
         "flows may be captured: that depends on filter 1 (direction, interface)",
         "flows may be captured: that depends on filter 1 (direction, interface)"),
    ],
)  # fmt: skip
async def test_the_verdict_is_one_clause_for_each_way(
    shell: Shell, filters: str, question: str, there: str, back: str
) -> None:
    if filters:
        await shell.run("\n".join(f"filter {each}" for each in filters.splitlines()))
    lines = (await shell.run(f"filter explain {question}")).splitlines()
    off = "; packets are not being captured"
    assert lines[0].partition(": ")[2].removesuffix(off) == there
    assert lines[1] == f"answers: {back}{off}"


async def test_flows_and_packets_that_fare_alike_share_a_clause(shell: Shell) -> None:
    await shell.run("capture packets on\nfilter port 443\nfilter port 80 for packets")
    lines = (await shell.run("filter explain 10.0.0.1 10.0.0.2:443")).splitlines()
    assert lines[0] == "10.0.0.1 to 10.0.0.2:443: flows and packets are captured, by filter 1"
    lines = (await shell.run("filter explain 10.0.0.1 10.0.0.2:80")).splitlines()
    assert lines[0] == (
        "10.0.0.1 to 10.0.0.2:80: flows are left out: no filter holds, and some accept; "
        "packets are captured, by filter 2"
    )


async def test_every_filter_is_shown_and_programs_get_the_facts(shell: Shell) -> None:
    await shell.run("\n".join(f"filter port {port}" for port in range(1, 13)))
    table = await shell.run("filter explain 10.0.0.1 10.0.0.2:12")
    assert [line.split()[0] for line in table.splitlines() if "port" in line and "no" in line] == [
        str(number) for number in range(1, 12)
    ]
    await shell.run("set format json")
    told = json.loads(await shell.run("filter explain 10.0.0.1 10.0.0.2:12 udp"))
    rows = told.pop("evidence")["filters"]
    assert told == {
        "source": "10.0.0.1", "target": "10.0.0.2:12",
        "there_flows": "captured", "there_flows_filter": 12,
        "there_packets": "off", "there_packets_filter": 12,
        "back_flows": "captured", "back_flows_filter": 12,
        "back_packets": "off", "back_packets_filter": 12,
    }  # fmt: skip
    assert rows[0] == {"filter": 1, "rule": "port 1", "there": "no: port", "back": "no: port"}
    assert rows[-1] == {"filter": 12, "rule": "port 12", "there": "yes", "back": "yes"}


def test_what_may_follow_is_offered() -> None:
    assert {"try", "explain"} <= set(offered("filter "))
    assert "port" in offered("filter try ")
    assert "https" in offered("filter try port ht") or "http" in offered("filter try port ht")
    assert {"tcp", "udp"} <= set(offered("filter explain 10.0.0.1 10.0.0.2 "))
    world = World(selectable={"pod": ["shop/web-1"], "service": ["shop/web"]})
    assert "shop/web-1" in offered("filter explain sh", world)
    assert {"shop/web-1", "shop/web"} <= set(offered("filter explain 10.0.0.1 sh", world))
