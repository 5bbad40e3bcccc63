"""Explain: what the rules in force say, with selectors and what is laid over the filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nshell.collector.explain import explanation
from nshell.collector.session import Session, Settings
from nshell.filters import parse_rule
from nshell.proto import session_pb2 as pb
from tests.classifier import clusters as c
from tests.collector.test_following import collecting

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.conftest import Collector

OWN = parse_rule(["reject", "peer_ip", "10.0.0.9", "port", "7443"])


def packet(src: str, dst: str, *, port: int = 0, protocol: int | None = 6) -> pb.ExplainRequest:
    request = pb.ExplainRequest(source=c.raw(src), destination=c.raw(dst), protocol=protocol)
    if port:
        request.destination_port.CopyFrom(pb.PortRange(first=port, last=port))
        request.source_port.CopyFrom(pb.PortRange(first=40000, last=40000))
    return request


def session(*texts: str, settings: Settings | None = None) -> Session:
    return Session(settings or Settings(), [parse_rule(text.split()) for text in texts], own=[OWN])


def said(course: pb.Course) -> list[tuple[int, int, list[str]]]:
    return [(each.id, each.holds, list(each.predicates)) for each in course.filters]


def test_both_ways_are_told_with_the_filter_that_decides() -> None:
    asked = packet("10.0.0.1", "10.0.0.2", port=443)
    told = explanation(session("dport 443", "reject protocol tcp"), asked)
    assert (told.generation, told.flows, told.packets) == (1, True, False)
    assert said(told.there) == [(0, pb.NO, ["peer_ip"]), (1, pb.YES, []), (2, pb.YES, [])]
    assert said(told.back) == [(0, pb.NO, ["peer_ip"]), (1, pb.NO, ["dport"]), (2, pb.YES, [])]
    assert (told.there.flows.captured, told.there.flows.decided_by) == (pb.YES, 1)
    assert (told.back.flows.captured, told.back.flows.decided_by) == (pb.NO, 2)


def test_what_belongs_to_the_session_itself_is_told_as_such() -> None:
    told = explanation(session(), packet("10.0.0.1", "10.0.0.9", port=7443))
    (match,) = told.there.filters
    assert (match.id, match.holds) == (0, pb.YES)
    assert match.text == "own traffic: reject peer_ip 10.0.0.9 port 7443"
    assert told.there.flows.captured == told.back.flows.captured == pb.NO


def test_a_session_that_is_paused_or_over_captures_neither() -> None:
    paused = session(settings=Settings(paused=True, packets=True))
    told = explanation(paused, packet("10.0.0.1", "10.0.0.2"))
    assert (told.flows, told.packets) == (False, False)
    over = session(settings=Settings(packets=True))
    over.end("max-time")
    told = explanation(over, packet("10.0.0.1", "10.0.0.2"))
    assert (told.flows, told.packets) == (False, False)


def test_filters_of_an_overlay_are_told_in_their_place() -> None:
    made = session("port 443")
    overlay = made.lay("why", [parse_rule(["port", "80"])], [])
    told = explanation(made, packet("10.0.0.1", "10.0.0.2", port=80))
    assert [each.text for each in told.there.filters][1:] == ["why: port 80", "port 443"]
    assert told.there.filters[told.there.flows.decided_by].id == 2
    made.lift(overlay)
    made.lay("try", [parse_rule(["port", "80"])], [], counts=True)
    told = explanation(made, packet("10.0.0.1", "10.0.0.2", port=80))
    assert [each.text for each in told.there.filters][1:] == ["port 443", "try: port 80"]
    counted = told.there.filters[-1]
    assert (counted.holds, counted.flows, counted.packets) == (pb.YES, False, False)
    assert told.there.flows.captured == pb.NO


async def test_names_stand_for_what_they_do_now(short_path: Path) -> None:
    inventory = c.cluster(*c.SHOP)
    async with collecting(short_path, inventory) as made:
        shell = made.collector.shell
        await shell.add_filter("service", "shop/web")
        await shell.add_filter("pod", "shop/db-0", "port", "5432")
        to_pod = await shell.explain(packet("10.1.0.9", "10.1.0.1", port=8080))
        assert said(to_pod.there) == [(1, pb.YES, []), (2, pb.NO, ["pod"])]
        assert (to_pod.back.flows.captured, to_pod.back.flows.decided_by) == (pb.YES, 0)
        wrong_port = await shell.explain(packet("10.1.0.9", "10.1.0.1", port=8081))
        assert said(wrong_port.there) == [(1, pb.NO, ["service"]), (2, pb.NO, ["pod"])]
        wrong_port = await shell.explain(packet("10.1.0.9", "10.1.0.3", port=80))
        assert said(wrong_port.there) == [(1, pb.NO, ["service"]), (2, pb.NO, ["port"])]
        before = await shell.explain(packet("10.1.0.9", "10.1.0.7", port=5432))
        assert said(before.there)[1] == (2, pb.NO, ["pod"])
        c.tell(inventory, *c.SHOP, c.pod("shop/db-0", "10.1.0.7"))
        await shell.status(lambda s: "10.1.0.7" in s.rules[1].addresses)
        after = await shell.explain(packet("10.1.0.9", "10.1.0.7", port=5432))
        assert said(after.there)[1] == (2, pb.YES, [])


async def test_an_address_that_is_none_is_refused(collector: Collector) -> None:
    asked = pb.ExplainRequest(source=b"\x01", destination=c.raw("10.0.0.1"))
    error = await collector.shell.refusal(collector.shell.explain(asked))
    assert error.details() == "an address has 16 bytes"


@pytest.mark.parametrize("text", ["", "port 80"])
def test_a_counted_filter_is_behind_all_and_changes_no_setting(text: str) -> None:
    settings = Settings(paused=True, packets=True, features=("dns",))
    made = session(*([text] if text else []), settings=settings)
    before = [each.rule for each in made.present.rules]
    overlay = made.lay("try", [parse_rule(["port", "443"])], [], counts=True)
    assert [each.rule for each in made.present.rules[:-1]] == before
    last = made.present.rules[-1]
    assert (last.text, last.rule.flows, last.rule.packets) == ("try: port 443", False, False)
    assert made.present.settings == settings
    assert made.add_filter(["port", "1"]) == (last.id + 1,)
    made.lift(overlay)
    assert [each.rule for each in made.present.rules][: len(before)] == before
