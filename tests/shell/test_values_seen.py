"""Values that a capture has seen: what is asked of the store, when, and what is offered of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from nshell.collector import schema
from nshell.collector.query.functions import Functions
from nshell.collector.views import VIEWS
from nshell.shell.commands import build_registry
from nshell.shell.completion.known import Known
from nshell.shell.completion.seen import OF_PREDICATE, ColumnValues, Ends
from nshell.shell.errors import CommandError
from nshell.shell.kinds import World
from tests.shell.fake_session import FakeSession

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nshell.shell.completion.seen import Question
    from nshell.shell.kinds import Candidate

FLOWS = """
INSERT INTO flow (SrcAddr, DstAddr, SrcPort, DstPort, Proto, Bytes, Interface,
    SrcK8S_Type, SrcK8S_Namespace, SrcK8S_Name, SrcK8S_OwnerType, SrcK8S_OwnerName)
VALUES
    ('10.0.0.1', '10.0.0.2', 40000, 443, 6, 1000, 'eth0', 'Pod', 'shop', 'web-2', 'Deployment',
     'web'),
    ('10.0.0.2', '10.0.0.1', 443, 40000, 6, 5000000, 'eth0', NULL, NULL, NULL, NULL, NULL),
    ('fd00::1', 'fd00::2', 40001, 53, 17, 300, 'eth1', 'Pod', 'shop', 'web-1', 'Deployment',
     'web'),
    (NULL, NULL, NULL, NULL, NULL, 60, 'eth1', NULL, NULL, NULL, NULL, NULL);
INSERT INTO packet_drop (Reason) VALUES ('NO_SOCKET'), ('NETFILTER_DROP'), ('NO_SOCKET');
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    """A store with a few flows, with the functions that queries may use."""
    path = tmp_path_factory.mktemp("seen") / "session.db"
    schema.create(path)
    connection = apsw.Connection(str(path))
    connection.execute(FLOWS)
    owners = {"10.0.0.1": "shop/web-2"}
    Functions(hosts={}, owners=owners.get).register(connection)
    yield connection
    connection.close()


@pytest.fixture
def world(store: apsw.Connection) -> World:
    """As if everything had been asked already."""

    def seen(question: Question) -> Sequence[Sequence[Any]]:
        return store.execute(question.sql).fetchall()

    return World(
        tables={t.name: {c.name: c.type for c in t.columns} for t in schema.RELATIONS},
        views={view.name for view in VIEWS},
        interfaces=("lo", "eth1", "eth0"),
        selectable={"pod": ("shop/db-1", "shop/web-1", "shop/web-2"), "owner": ("deployment/web",)},
        seen=seen,
    )


def complete(marked: str, world: World) -> list[Candidate]:
    before, _, after = marked.partition("|")
    return build_registry().complete(before, world, after=after)


def offered(marked: str, world: World) -> list[str]:
    return [candidate.text for candidate in complete(marked, world)]


@pytest.mark.parametrize(
    ("marked", "first"),
    [
        ("filter peer_ip |", ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"]),
        ("filter reject peer_ip |", ["10.0.0.1", "10.0.0.2"]),
        ("filter src_cidr |", ["10.0.0.0/24", "10.0.0.2", "10.0.0.1", "fd00::1"]),
        ("filter dst_cidr |", ["10.0.0.0/24", "10.0.0.1", "10.0.0.2", "fd00::2"]),
        ("filter peer_ip 10.0.0.1,|", ["10.0.0.2", "fd00::1"]),
        ("filter peer_ip 10.0.0.1, |", ["10.0.0.2", "fd00::1"]),
        ("filter peer_ip fd|", ["fd00::1", "fd00::2"]),
        ("filter peer_ip .2|", ["10.0.0.2"]),
        ("filter port |", ["443", "40000", "53", "40001", "http"]),
        ("filter dport |", ["40000", "443", "53", "http"]),
        ("filter sport |", ["443", "40000", "40001"]),
        ("filter port 443,|", ["40000", "53"]),
        ("filter protocol |", ["tcp", "udp", "icmp"]),
        ("filter interface |", ["eth0", "eth1", "lo"]),
        ("filter pod |", ["shop/", "shop/web-2", "shop/web-1", "shop/db-1"]),
        ("filter pod shop/|", ["shop/web-2", "shop/web-1", "shop/db-1"]),
        ("filter owner |", ["deployment/web"]),
        ("filter port 443 dport |", ["40000"]),
        ("filter replace 1 peer_ip |", ["10.0.0.1"]),
        ("why |", ["10.0.0.2", "10.0.0.1", "fd00::1"]),
        ("why 10.0.0.1 |", ["10.0.0.2:443", "10.0.0.2"]),
        ("why fd00::1 |", ["[fd00::2]:53", "fd00::2"]),
        ("why 10.9.9.9 |", ["10.0.0.2:443", "10.0.0.2", "[fd00::2]:53"]),
        ("why 10.0.0.1 10.0.0.2:4|", ["10.0.0.2:443"]),
        ("SELECT * FROM drop_summary WHERE Reason = |", ["'NO_SOCKET'", "'NETFILTER_DROP'"]),
        ("SELECT * FROM flow WHERE Proto = |", ["6", "17"]),
        ("export pcap where Proto = |", ["TimeNs"]),
    ],
)
def test_values_come_by_bytes_the_most_first(marked: str, first: list[str], world: World) -> None:
    assert offered(marked, world)[: len(first)] == first


def test_a_value_says_how_many_bytes_and_whose_it_is(world: World) -> None:
    found = {c.text: c.meta for c in complete("filter peer_ip ", world)}
    assert found["10.0.0.1"] == "5.0 MB · shop/web-2"
    assert found["10.0.0.2"] == "5.0 MB"
    ports = {c.text: c.meta for c in complete("filter port ", world)}
    assert ports["443"] == "5.0 MB · https"
    pods = {c.text: c.meta for c in complete("filter pod shop/", world)}
    assert pods == {"shop/web-2": "1.0 kB", "shop/web-1": "300 B", "shop/db-1": "pod"}
    networks = {c.text: c.meta for c in complete("filter dst_cidr ", world)}
    assert networks["10.0.0.0/24"] == "5.0 MB · 2 addresses"


@pytest.mark.parametrize(
    "question",
    [*dict.fromkeys(OF_PREDICATE.values()), Ends(), ColumnValues("flow", "SrcAddr")],
    ids=repr,
)
def test_no_question_reads_more_than_the_last_rows(
    question: Question, store: apsw.Connection
) -> None:
    plan = [row[3] for row in store.execute(f"EXPLAIN QUERY PLAN {question.sql}")]
    tables = [step for step in plan if "flow" in step]
    assert tables
    assert all("rowid>?" in step or step == "SEARCH flow" for step in tables), plan


class Store:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.rows: list[tuple[object, ...]] = [("10.0.0.1", 1, None)]
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, sql: str) -> Sequence[Sequence[Any]]:
        self.asked.append(sql)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.rows


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


QUESTION = OF_PREDICATE["peer_ip"]
OTHER = OF_PREDICATE["port"]


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_answer_is_asked_for_once_and_there_the_next_time() -> None:
    store, clock, news = Store(), Clock(), list[int]()

    async def told() -> None:
        news.append(1)

    known = Known(store, news=told, clock=clock)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        running = group.create_task(known.run())
        assert known(QUESTION) == ()
        await settled()
        assert known(QUESTION) == (("10.0.0.1", 1, None),)
        await settled()
        assert len(store.asked) == len(news) == 1
        clock.now += 10
        assert known(QUESTION) == (("10.0.0.1", 1, None),)
        await settled()
        # Asked again, and nothing new.
        assert (len(store.asked), len(news)) == (2, 1)
        running.cancel()


async def test_what_cannot_be_answered_breaks_nothing_and_keeps_what_was_known() -> None:
    store, clock = Store(), Clock()
    known = Known(store, clock=clock)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        running = group.create_task(known.run())
        known(QUESTION)
        await settled()
        store.error = CommandError("no such column")
        clock.now += 10
        known(QUESTION)
        known(OTHER)
        await settled()
        assert known(QUESTION) == (("10.0.0.1", 1, None),)
        assert known(OTHER) == ()
        assert len(store.asked) == 3
        running.cancel()


async def test_while_one_question_is_open_others_wait_and_the_latest_comes_first() -> None:
    store = Store()
    store.gate.clear()
    known = Known(store)
    third = OF_PREDICATE["interface"]
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        running = group.create_task(known.run())
        for question in (QUESTION, OTHER, third):
            known(question)
            await settled()
        assert store.asked == [QUESTION.sql]
        store.gate.set()
        await settled()
        assert store.asked == [each.sql for each in (QUESTION, third, OTHER)]
        running.cancel()


async def test_a_question_may_be_asked_from_another_thread() -> None:
    store = Store()
    known = Known(store)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        running = group.create_task(known.run())
        await settled()
        await asyncio.to_thread(known, QUESTION)
        while not known(QUESTION):
            await asyncio.sleep(0.01)
        running.cancel()


def test_values_of_the_made_up_session_have_rows_of_their_own() -> None:
    service = FakeSession()
    rows = service._db.execute(ColumnValues("flow", "DstPort").sql).fetchall()
    assert rows == [(53, 1), (443, 1)]
    service.close()


def test_nothing_is_asked_where_no_value_may_stand(world: World) -> None:
    asked: list[object] = []

    def seen(question: object) -> Sequence[Sequence[Any]]:
        asked.append(question)
        return ()

    quiet = replace(world, seen=seen)
    for marked in ("filter |", "SELECT |", "SELECT * FROM flow WHERE |", "status |", "filter po|"):
        complete(marked, quiet)
    assert asked == []
