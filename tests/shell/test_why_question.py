"""What `why` is asked: ends as they are written, and the filters that they need."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from nshell.filters import parse_rule
from nshell.shell.commands import build_registry
from nshell.shell.errors import CommandError
from nshell.shell.kinds import World
from nshell.shell.why.naming import ClusterName
from nshell.shell.why.question import Question, Target, parse_target


def question(line: str) -> Question:
    call = build_registry().parse(line)
    assert call.command.name == "why"
    return Question(*call.arguments[:2])


@pytest.mark.parametrize(
    ("word", "target"),
    [
        ("10.0.0.2", Target(address=ip_address("10.0.0.2"))),
        ("10.0.0.2:443", Target(address=ip_address("10.0.0.2"), port=443)),
        ("::ffff:10.0.0.2", Target(address=ip_address("10.0.0.2"))),
        ("fd00::2", Target(address=ip_address("fd00::2"))),
        ("[fd00::2]", Target(address=ip_address("fd00::2"))),
        ("[FD00:0::2]:80", Target(address=ip_address("fd00::2"), port=80)),
        ("API.example.com.", Target(name="api.example.com")),
        ("api:8080", Target(name="api", port=8080)),
        ("_dmarc.ex-ample.com", Target(name="_dmarc.ex-ample.com")),
        ("bücher.example", Target(name="xn--bcher-kva.example")),
        ("shop/db:5432", Target(cluster_name=ClusterName("shop", "db"), port=5432)),
    ],
)
def test_a_target_is_an_address_or_a_name_and_perhaps_a_port(word: str, target: Target) -> None:
    assert parse_target(word) == target


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("why", "SRC is missing: why SRC DST[:PORT] [for DURATION]"),
        ("why 10.0.0.1", "DST[:PORT] is missing: why SRC DST[:PORT] [for DURATION]"),
        (
            "why api 10.0.0.1",
            "'api' is not an IP address: SRC is who sends, an address or NAMESPACE/POD",
        ),
        ("why 10.0.0.1 10.0.0.300", "'10.0.0.300' is neither an IP address nor a DNS name"),
        ("why 10.0.0.1 a..b", "'a..b' is neither an IP address nor a DNS name"),
        ("why 10.0.0.1 a/B", "'a/B' is not NAMESPACE/NAME of a pod or a service"),
        ("why a/ 10.0.0.1", "'a/' is not NAMESPACE/NAME of a pod or a service"),
        ("why 10.0.0.1 10.0.0.2:0", "'0' is not a port: a number from 1 to 65535"),
        ("why 10.0.0.1 api:http", "'http' is not a port: a number from 1 to 65535"),
        ("why ::1 [fd00::2]:", "'' is not a port: a number from 1 to 65535"),
        ("why 10.0.0.1 [10.0.0.2]:80", "'10.0.0.2' in brackets is not an IPv6 address"),
        ("why fe80::1%eth0 ::2", "'fe80::1%eth0': leave out %eth0, packets do not carry it"),
        ("why 10.0.0.1 10.0.0.2 10s", "unexpected '10s': `for DURATION` may follow here"),
        ("why 10.0.0.1 10.0.0.2 for", "a duration must follow `for`, such as 30s"),
        ("why 10.0.0.1 10.0.0.2 for 5", "'5' is not a duration: did you mean 5s?"),
        (
            "why 10.0.0.1 10.0.0.2 for 5s x",
            "unexpected 'x': why SRC DST[:PORT] [for DURATION]",
        ),
    ],
)
def test_a_wrong_question_is_told_the_word_at_fault(line: str, reason: str) -> None:
    with pytest.raises(CommandError) as wrong:
        build_registry().parse(line)
    assert str(wrong.value) == reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "why 10.0.0.1 fd00::2",
            "10.0.0.1 is IPv4 and fd00::2 is IPv6: no packet has both",
        ),
        ("why ::1 ::1", "::1 at both ends: say the port, [::1]:PORT"),
        ("why 10.0.0.1 10.0.0.1", "10.0.0.1 at both ends: say the port, 10.0.0.1:PORT"),
    ],
)
def test_ends_that_do_not_go_together_are_refused(line: str, reason: str) -> None:
    with pytest.raises(CommandError) as wrong:
        question(line)
    assert str(wrong.value) == reason


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        (
            "why 10.0.0.1 10.0.0.2",
            [
                "peer_ip 10.0.0.2 cidr 10.0.0.1 for flows",
                "cidr 10.0.0.1 protocol icmp for flows",
                "cidr 10.0.0.1 port 53,5353 for flows",
            ],
        ),
        (
            "why fd00::1 [fd00::2]:443",
            [
                "peer_ip fd00::2 cidr fd00::1 port 443 for flows",
                "cidr fd00::1 protocol icmpv6 for flows",
                "cidr fd00::1 port 53,5353 for flows",
            ],
        ),
        ("why 10.0.0.1 api.example:443", ["cidr 10.0.0.1 for flows"]),
    ],
)
def test_its_filters_take_what_tells_of_it_and_nothing_else(line: str, rules: list[str]) -> None:
    made = question(line).rules((53, 5353))
    assert [parse_rule(words).text for words in made] == rules


def test_completion_knows_that_a_duration_may_follow() -> None:
    def offered(text: str) -> list[str]:
        return [candidate.text for candidate in build_registry().complete(text, World())]

    assert offered("why 10.0.0.1 10.0.0.2 ") == ["for"]
    assert offered("why 10.0.0.1 10.0.0.2 for ") == []
    assert offered("why ") == []


def test_completion_offers_the_pods_and_services_of_a_cluster() -> None:
    world = World(selectable={"pod": ["shop/web-1"], "service": ["shop/db"]})

    def offered(text: str) -> list[str]:
        return [candidate.text for candidate in build_registry().complete(text, world)]

    assert offered("why sh") == ["shop/web-1"]
    assert offered("why shop/web-1 shop/") == ["shop/web-1", "shop/db"]
