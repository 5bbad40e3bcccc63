"""Selectors in a session: what they stand for, what is said of them, what makes a generation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nshell.collector.kube.select import resolve
from nshell.collector.messages import desired_state
from nshell.collector.resolution import unknown_cluster
from nshell.collector.session import ChangeError, NumberedRule, Session, Settings
from nshell.filters import Rule, parse_rule, split_words
from tests.classifier import clusters as c

if TYPE_CHECKING:
    from nshell.collector.kube.inventory import Inventory

TCP = c.TCP


def rule(line: str) -> Rule:
    return parse_rule(split_words(line))


def notes(line: str, known: Inventory | None = None) -> list[str]:
    return list(resolve(rule(line), known or c.cluster(*c.SHOP)).notes)


def addresses(line: str, known: Inventory | None = None) -> list[str]:
    return list(resolve(rule(line), known or c.cluster(*c.SHOP)).addresses)


def session_of(known: Inventory) -> Session:
    return Session(Settings(), resolve=lambda rule: resolve(rule, known))


def test_pods_stand_for_their_addresses() -> None:
    assert addresses("pod shop/web-*") == ["10.1.0.1", "10.1.1.2", "2001:db8::2"]
    assert addresses("pod web-1") == ["10.1.0.1", "10.1.0.9"]
    assert addresses("label app=web namespace shop node node1") == ["10.1.0.1"]
    assert addresses("owner shop/sts/*,daemonset/proxy") == ["10.1.0.3", "192.168.7.2"]


def test_a_namespace_alone_has_its_services_and_a_node_alone_itself() -> None:
    assert addresses("namespace default,other") == ["10.1.0.9", "10.96.0.2"]
    assert addresses("namespace other label app") == ["10.1.0.9"]
    assert addresses("node node1") == ["10.1.0.1", "10.1.0.3", "10.1.0.9", "192.168.7.1"]
    assert addresses("node node1 namespace shop") == ["10.1.0.1", "10.1.0.3"]


def test_a_service_stands_for_addresses_with_their_ports() -> None:
    assert addresses("service shop/web") == [
        "10.1.0.1:5353/udp",
        "10.1.0.1:8080",
        "10.1.1.2:5353/udp",
        "10.1.1.2:8081",
        "10.96.0.1:53/udp",
        "10.96.0.1:80",
        "[2001:db8::2]:5353/udp",
        "[2001:db8::2]:8081",
    ]
    assert addresses("service db") == ["10.1.0.3:5432"]


def test_services_with_equal_ports_share_their_rules() -> None:
    things = [
        each
        for n in range(40)
        for each in (
            c.service(
                f"shop/s{n}", f"10.96.1.{n}", ports=[(80, 8080, TCP)], selector={"s": f"{n}"}
            ),
            c.pod(f"shop/p{n}", f"10.2.0.{n}", labels={"s": str(n)}),
        )
    ]
    made = resolve(rule("service shop/*"), c.cluster(*things))
    assert len(made.addresses) == 80
    assert len(made.rules) == 4


def test_tcp_and_udp_of_equal_ports_share_their_rules() -> None:
    dns = c.service("kube-system/dns", "10.96.0.10", ports=[(53, 53, TCP), (53, 53, c.UDP)])
    assert len(resolve(rule("service kube-system/dns"), c.cluster(dns)).rules) == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "pod shop/wbe-1",
            ["pod shop/wbe-1 matches no pod yet: waiting, did you mean shop/web-1 or shop/web-2?"],
        ),
        (
            "pod other/db-0",
            ["pod other/db-0 matches no pod yet: waiting, did you mean shop/db-0?"],
        ),
        ("pod xyzzy", ["pod xyzzy matches no pod yet: waiting"]),
        (
            "pod shop/web-1,shop/wob-2",
            ["pod shop/wob-2 matches no pod yet: waiting, did you mean shop/web-1 or shop/web-2?"],
        ),
        ("namespace shp", ["namespace shp matches no pod yet: waiting, did you mean shop?"]),
        (
            "service shop/wbe",
            ["service shop/wbe matches no service yet: waiting, did you mean shop/web or shop/db?"],
        ),
        (
            "owner deployment/wev",
            ["owner deployment/wev matches no pod yet: waiting, did you mean shop/deployment/web?"],
        ),
        (
            "label app=proxi",
            ["label app=proxi matches no pod yet: waiting, did you mean app=proxy?"],
        ),
        (
            "node node3",
            ["node node3 matches no node yet: waiting, did you mean node1 or node2?"],
        ),
        ("namespace other label app=db", ["no pod matches namespace and label yet: waiting"]),
        ("pod shop/new", ["shop/new has no address yet: waiting"]),
        (
            "label app=proxy",
            ["kube-system/proxy is in its node's network: all of its traffic"],
        ),
        ("node node2", []),
        ("service shop/nothing", ["shop/nothing: no pod behind it yet"]),
        (
            "service default/kubernetes",
            ["default/kubernetes: no selector, so the pods behind it are not known"],
        ),
        (
            "service shop/web port 9999",
            [],
        ),
        ("service shop/db dport 80 sport 90", ["its other predicates leave nothing of that"]),
    ],
)
def test_what_a_filter_does_not_match_or_matches_unexpectedly_is_said(
    line: str, said: list[str]
) -> None:
    assert notes(line) == said


def test_of_many_things_that_match_nothing_a_few_are_named() -> None:
    names = ",".join(f"shop/x{n}y" for n in range(9))
    said = notes(f"pod {names}", c.cluster())
    assert len(said) == 4
    assert said[-1] == "and 6 more of its values match nothing yet"


def test_selectors_need_a_cluster() -> None:
    session = Session(Settings())
    with pytest.raises(ChangeError) as caught:
        session.add_filter(["pod", "shop/web-1"])
    line = "pod needs a cluster session: here a filter takes addresses, such as `peer_ip`"
    assert str(caught.value) == line
    with pytest.raises(ChangeError, match="label needs a cluster session"):
        Session(Settings(), [rule("label app=web")])
    assert session.present.number == 1
    assert session.add_filter(["port", "80"]) == (1,)


def test_before_the_cluster_is_known_a_selector_waits_and_accepts_nothing() -> None:
    session = Session(Settings(), [rule("pod shop/web-1")], resolve=unknown_cluster)
    assert session.notes([1]) == ["the cluster is not known yet: waiting"]
    (sent,) = desired_state(session.present).rules
    assert (sent.id, sent.reject, len(sent.src)) == (1, False, 1)
    session.follow(lambda each: resolve(each, c.cluster(*c.SHOP)))
    assert session.present.number == 2
    (sent,) = desired_state(session.present).rules
    assert [each.address for each in sent.either] == [c.raw("10.1.0.1")]


def test_a_filter_of_several_rules_keeps_its_number_and_place() -> None:
    session = session_of(c.cluster(*c.SHOP))
    for words in (["port", "1"], ["service", "shop/db"], ["port", "2"]):
        session.add_filter(words)
    assert [each.id for each in session.present.rules] == [1, 2, 2, 3]
    assert [each.rule.text for each in session.present.rules][1:3] == ["service shop/db"] * 2
    assert [each.rule.text for each in session.rules] == ["port 1", "service shop/db", "port 2"]
    assert session.delete_filters([2]) == (2,)
    assert [each.id for each in session.present.rules] == [1, 3]


def test_only_what_agents_would_do_otherwise_makes_a_generation() -> None:
    known = c.cluster(*c.SHOP)
    session = session_of(known)
    session.add_filter(["pod", "shop/web-*"])
    before = session.present
    rest = [each for each in c.SHOP if each is not c.SHOP[2]]
    # Another pod comes, and one of these has another label: not a thing of theirs.
    c.tell(known, *c.SHOP, c.pod("other/new", "10.1.0.77"))
    session.refresh()
    c.tell(known, *rest, c.pod("shop/web-1", "10.1.0.1", labels={"app": "changed"}))
    session.refresh()
    assert session.present is before
    c.tell(known, *rest, c.pod("shop/web-1", "10.1.0.55"))
    session.refresh()
    assert session.present.number == before.number + 1
    assert "10.1.0.55" in session.rules[0].addresses
    c.tell(known, *rest)
    session.refresh()
    assert "10.1.0.55" not in session.rules[0].addresses
    assert [len(each.rules) for each in (before, session.present)] == [1, 1]


def test_a_note_changes_without_a_generation() -> None:
    known = c.cluster()
    session = session_of(known)
    session.add_filter(["pod", "shop/web-1"])
    number = session.present.number
    c.tell(known, c.pod("shop/web-1"))
    session.refresh()
    assert session.notes([1]) == ["shop/web-1 has no address yet: waiting"]
    assert session.present.number == number


def test_what_services_come_to_counts_towards_the_limit() -> None:
    things = [
        c.service(f"shop/s{n}", f"10.96.1.{n}", ports=[(8000 + n, 80, TCP)]) for n in range(40)
    ]
    session = session_of(c.cluster(*things))
    session.add_filter(["port", "80"])
    with pytest.raises(ChangeError) as caught:
        session.add_filter(["service", "shop/*"])
    assert str(caught.value) == (
        "2 filters come to 81 rules with what services stand for: 64 are the limit, "
        "name fewer services or delete a filter first"
    )
    assert session.present.number == 2


def test_a_filter_that_grows_over_a_limit_stays_as_it_was_and_says_so() -> None:
    things = [
        c.service(f"shop/s{n}", f"10.96.1.{n}", ports=[(8000 + n, 80, TCP)]) for n in range(40)
    ]
    known = c.cluster(things[0], c.pod("shop/web", "10.1.0.1"))
    session = session_of(known)
    session.add_filter(["service", "shop/*"])
    session.add_filter(["pod", "shop/*"])
    c.tell(known, *things, c.pod("shop/web", "10.1.0.2"))
    session.refresh()
    (note,) = session.notes([1])
    assert note.startswith("not followed any more: 2 filters come to 81 rules")
    assert list(session.rules[0].addresses) == ["10.96.1.0:8000"]
    # The other filter is followed.
    assert list(session.rules[1].addresses) == ["10.1.0.2"]
    c.tell(known, things[1], c.pod("shop/web", "10.1.0.2"))
    session.refresh()
    assert session.notes([1]) == [
        "shop/s1: no selector, so the pods behind it are not known",
    ]


def test_an_overlay_lies_over_selectors_and_they_go_on_beneath() -> None:
    known = c.cluster(*c.SHOP)
    session = session_of(known)
    session.add_filter(["pod", "shop/web-1"])
    overlay = session.lay("why", [rule("pod shop/db-0")], ["drops"])
    assert [each.label for each in session.present.rules] == ["why", ""]
    c.tell(known, c.pod("shop/web-1", "10.1.0.55"), c.pod("shop/db-0", "10.1.0.56"))
    session.refresh()
    assert [each.rule.either[0].address for each in session.present.rules] == [
        c.raw("10.1.0.56"),
        c.raw("10.1.0.55"),
    ]
    session.lift(overlay)
    assert session.overlay is None
    assert [each.label for each in session.present.rules] == [""]


def test_a_session_goes_on_with_its_selectors() -> None:
    session = session_of(c.cluster(*c.SHOP))
    session.go_on(
        (NumberedRule(4, rule("pod shop/web-1")),), Settings(), next_id=5, above=9, ended=""
    )
    assert list(session.rules[0].addresses) == ["10.1.0.1"]
    assert [len(each.rule.either) for each in session.present.rules] == [1]


def test_nothing_is_followed_any_more_after_the_end() -> None:
    known = c.cluster(*c.SHOP)
    session = session_of(known)
    session.add_filter(["pod", "shop/web-1"])
    session.end("max-time of 1m reached")
    number = session.present.number
    c.tell(known, c.pod("shop/web-1", "10.1.0.55"))
    session.refresh()
    assert session.present.number == number


def test_of_very_many_addresses_the_log_has_some_and_a_count() -> None:
    pods = [c.pod(f"shop/p{n}", f"10.{n >> 8}.{n & 255}.1") for n in range(1234)]
    made = resolve(rule("namespace shop"), c.cluster(*pods))
    logged = json.loads(made.logged)
    assert (len(made.addresses), len(logged), logged[-1]) == (1234, 1001, "and 234 more")
