"""Queries and responses become exchanges: answered, unanswered, late or unasked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nshell.collector import schema
from nshell.collector.decode.events import read_events
from nshell.collector.decode.rows import Cell, GenerationKey, NodeContext, Rows
from nshell.collector.decode.texts import Texts
from nshell.collector.dns.exchanges import CHANGED, TICK_SECONDS, DnsExchanges
from nshell.collector.dns.names import DnsNames
from nshell.collector.dns.queries import (
    ARRIVAL_SECONDS,
    ENDED,
    FULL,
    UNANSWERED_SECONDS,
    DnsMessage,
    Exchange,
    WaitingQueries,
)
from nshell.collector.interfaces import Interface
from nshell.collector.storage.catalog import Catalog
from tests.collector.test_decoding_events import cells_of
from tests.collector.wiretap import CLOCK_OFFSET_NS, Dns, address, event_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

MS = 1_000_000
SECOND = 1_000_000_000
PATIENCE = UNANSWERED_SECONDS + ARRIVAL_SECONDS


def query(
    name: str = "example.com.",
    *,
    dns_id: int = 0x1234,
    at: int = SECOND,
    retries: int = 0,
    sport: int = 40000,
    rule: int = 0,
    generation: int = 1,
) -> Dns:
    """From 10.0.0.1 to 10.0.0.2."""
    made = dns.message.make_query(name, "A")
    made.id = dns_id
    return Dns(
        data=made.to_wire(),
        time_ns=at,
        query_ns=at,
        retries=retries,
        sport=sport,
        rule=rule,
        generation=generation,
    )


def answer(
    to: Dns,
    *addresses: str,
    after: int = 12 * MS,
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR,
    matched: bool = True,
    retries: int = 0,
) -> Dns:
    """What the server sends; matched: the kernel saw the query."""
    made = dns.message.make_response(dns.message.from_wire(to.data))
    made.set_rcode(rcode)
    for each in addresses:
        kind = "AAAA" if ":" in each else "A"
        made.answer.append(dns.rrset.from_text(made.question[0].name, 60, "IN", kind, each))
    return Dns(
        src=to.dst,
        dst=to.src,
        sport=to.dport,
        dport=to.sport,
        data=made.to_wire(),
        time_ns=to.time_ns + after,
        query_ns=to.time_ns if matched else 0,
        latency_ns=after if matched else 0,
        retries=retries,
        errno=0 if matched else 2,
        generation=2,
        proto=to.proto,
    )


class Observer:
    """A node's exchanges as the store's thread deals with them, on a clock of the test."""

    def __init__(self, *, sampling: int = 1, generations: int = 1) -> None:
        self.catalog = Catalog()
        self.exchanges = DnsExchanges(
            Texts(),
            DnsNames(self.catalog),
            generations={
                number: GenerationKey((6 + number,), sampling)
                for number in range(1, generations + 1)
            },
        )
        self.context = NodeContext("node-a", "192.0.2.1")
        self.context.interfaces.replace([Interface(2, "eth0")])

    def see(self, *messages: Dns, now: float = 100.0) -> Sequence[dict[str, Cell]]:
        """Rows of the exchanges that end with these."""
        events = read_events(event_batch(messages).records)
        return rows_of(
            self.exchanges.take(events, self.context, offset_ns=CLOCK_OFFSET_NS, now=now)
        )

    def tick(self, now: float) -> Sequence[dict[str, Cell]]:
        """Rows of the queries that have waited long enough."""
        return rows_of(self.exchanges.tick(now))

    def names(self) -> list[tuple[Cell, ...]]:
        """Rows of the dns_name table."""
        found: list[tuple[Cell, ...]] = []
        for rows in self.catalog.take():
            found += zip(*(rows.columns[name] for name in schema.DNS_NAME.names), strict=True)
        return sorted(found, key=repr)


def rows_of(made: list[Rows]) -> Sequence[dict[str, Cell]]:
    """Of every node."""
    return [row for rows in made for row in cells_of(rows)]


def test_an_answered_exchange_has_every_value_in_its_column() -> None:
    asked = query("www.example.com.")
    assert Observer().see(asked) == []
    response = answer(asked, "192.0.2.1", "2001:db8::1", after=12_345_678)
    (row,) = Observer().see(asked, response)
    assert row == {
        "TimeNs": 1_700_000_001_000_000_000,
        "Node": "node-a",
        "Interface": "eth0",
        "ClientAddr": "10.0.0.1",
        "ClientPort": 40000,
        "ServerAddr": "10.0.0.2",
        "ServerPort": 53,
        "Proto": 17,
        "DnsId": 0x1234,
        "Name": "www.example.com",
        "Type": "A",
        "Questions": 1,
        "Rcode": "NoError",
        "LatencyMs": 12.346,
        "Answers": 2,
        "Addresses": '["192.0.2.1", "2001:db8::1"]',
        "Retries": 0,
        "Status": "answered",
        "Length": len(response.data),
        "Problem": None,
        "Generation": 1,
        "FilterId": 7,
    }
    # Who had the addresses is known elsewhere.
    assert tuple(row) == tuple(name for name in schema.DNS.names if "K8S_" not in name)


def test_id_zero_and_a_latency_below_a_millisecond_are_values() -> None:
    asked = query(dns_id=0)
    (row,) = Observer().see(asked, answer(asked, after=250_000))
    assert (row["DnsId"], row["LatencyMs"], row["Status"]) == (0, 0.25, "answered")


def test_the_same_id_of_another_client_or_protocol_is_another_exchange() -> None:
    observer = Observer()
    first, other = query(), query(sport=40001)
    over_tcp = Dns(data=first.data, proto=6)
    observer.see(first, other, over_tcp)
    assert [row["ClientPort"] for row in observer.see(answer(other))] == [40001]
    assert [row["Proto"] for row in observer.see(answer(over_tcp))] == [6]
    assert [row["ClientPort"] for row in observer.see(answer(first))] == [40000]


@pytest.mark.parametrize(
    ("rcode", "name"),
    [
        (dns.rcode.NXDOMAIN, "NXDomain"),
        (dns.rcode.SERVFAIL, "ServFail"),
        (dns.rcode.REFUSED, "Refused"),
    ],
)
def test_a_failure_has_its_response_code_and_no_address(rcode: dns.rcode.Rcode, name: str) -> None:
    asked = query()
    (row,) = Observer().see(asked, answer(asked, rcode=rcode))
    assert [row[column] for column in ("Rcode", "Answers", "Addresses")] == [name, 0, None]


def test_a_query_without_response_is_unanswered_after_a_while() -> None:
    observer = Observer()
    asked = query()
    assert observer.see(asked, now=100.0) == []
    assert observer.tick(100.0 + PATIENCE - 0.01) == []
    (row,) = observer.tick(100.0 + PATIENCE)
    assert row["Status"] == "unanswered"
    assert row["Name"] == "example.com"
    names = ("Rcode", "LatencyMs", "Answers", "Addresses", "Problem")
    assert [row[name] for name in names] == [None] * len(names)
    assert row["Length"] == len(asked.data)
    assert observer.tick(1000.0) == []


def test_a_query_waits_from_when_it_was_sent_and_not_from_when_it_was_heard_of() -> None:
    observer = Observer()
    observer.see(query(at=SECOND), query(at=4 * SECOND, sport=40001), now=100.0)
    rows = observer.tick(97.0 + PATIENCE)
    assert [row["ClientPort"] for row in rows] == [40000]


def test_a_query_that_is_sent_again_is_one_exchange() -> None:
    observer = Observer()
    first = query()
    observer.see(first, now=100.0)
    observer.see(query(at=6 * SECOND, retries=1), now=105.0)
    assert observer.tick(100.0 + PATIENCE) == []
    (row,) = observer.see(answer(first, after=5500 * MS, retries=1), now=105.5)
    assert (row["Retries"], row["LatencyMs"], row["Status"]) == (1, 5500.0, "answered")
    assert row["TimeNs"] == 1_700_000_001_000_000_000
    assert observer.tick(1000.0) == []


def test_retries_of_an_unanswered_query_are_counted() -> None:
    observer = Observer()
    observer.see(query(), query(at=2 * SECOND, retries=1), query(at=3 * SECOND, retries=2))
    (row,) = observer.tick(100.0 + PATIENCE)
    assert (row["Retries"], row["TimeNs"]) == (2, 1_700_000_001_000_000_000)


def test_a_response_to_what_counts_as_unanswered_is_late() -> None:
    observer = Observer()
    asked = query()
    observer.see(asked, now=100.0)
    assert len(observer.tick(110.0)) == 1
    (row,) = observer.see(answer(asked, "192.0.2.1", after=9 * SECOND), now=110.0)
    assert (row["Status"], row["LatencyMs"]) == ("late", 9000.0)
    (again,) = observer.see(answer(asked, after=10 * SECOND, matched=False), now=111.0)
    assert again["Status"] == "unasked"


def test_a_response_that_nobody_was_seen_to_ask_for_is_unasked() -> None:
    observer = Observer()
    (row,) = observer.see(answer(query(), "192.0.2.1", after=MS, matched=False))
    assert (row["Status"], row["LatencyMs"]) == ("unasked", None)
    assert row["TimeNs"] == 1_700_000_001_001_000_000
    assert (row["ClientAddr"], row["ClientPort"]) == ("10.0.0.1", 40000)
    assert observer.names() == []


def test_a_query_whose_event_was_lost_is_still_answered() -> None:
    (row,) = Observer().see(answer(query(), after=3 * MS))
    assert (row["Status"], row["LatencyMs"]) == ("answered", 3.0)
    assert row["TimeNs"] == 1_700_000_001_000_000_000


def test_a_latency_that_the_kernel_does_not_know_is_told_by_the_events() -> None:
    asked = query()
    (row,) = Observer().see(asked, answer(asked, after=3 * MS, matched=False))
    assert (row["Status"], row["LatencyMs"]) == ("answered", 3.0)


def test_what_still_waits_at_the_end_is_unanswered_and_says_why() -> None:
    observer = Observer()
    observer.see(query())
    (row,) = rows_of(observer.exchanges.end())
    assert (row["Status"], row["Problem"]) == ("unanswered", ENDED)


def test_a_sampled_query_without_response_says_that_it_was_sampled() -> None:
    observer = Observer(sampling=10)
    observer.see(query())
    (row,) = observer.tick(200.0)
    assert row["Problem"] == "1 of 10 packets was looked at"


def test_a_query_whose_response_a_change_may_have_hidden_says_so() -> None:
    observer = Observer(generations=2)
    observer.see(query(generation=1), query(generation=2, sport=40001))
    rows = observer.tick(200.0)
    assert [row["Problem"] for row in rows] == [CHANGED, None]
    assert [row["Status"] for row in rows] == ["unanswered"] * 2


def test_a_message_cut_short_keeps_what_was_seen_of_it() -> None:
    asked = query()
    whole = answer(asked, "192.0.2.1", "192.0.2.2")
    cut = Dns(**{
        **{name: getattr(whole, name) for name in ("src", "dst", "sport", "dport", "time_ns")},
        "data": whole.data[:-10], "message_len": len(whole.data), "query_ns": SECOND,
        "latency_ns": MS, "errno": 22,
    })  # fmt: skip
    (row,) = Observer().see(asked, cut)
    assert (row["Name"], row["Addresses"], row["Answers"]) == (
        "example.com", '["192.0.2.1"]', 2,
    )  # fmt: skip
    assert row["Problem"] == f"{len(cut.data)} of its {len(whole.data)} bytes were seen"


def test_a_response_without_a_readable_question_has_the_name_of_its_query() -> None:
    asked = query()
    response = Dns(
        src=asked.dst, dst=asked.src, sport=53, dport=40000, query_ns=SECOND, latency_ns=MS,
        data=asked.data[:2] + b"\x81\x82" + bytes(8),
    )  # fmt: skip
    (row,) = Observer().see(asked, response)
    assert (row["Name"], row["Rcode"], row["Problem"]) == ("example.com", "ServFail", None)
    headless = Dns(
        src=asked.dst, dst=asked.src, sport=53, dport=40000, data=asked.data[:2] + b"\x81\x83",
        query_ns=SECOND, latency_ns=MS,
    )  # fmt: skip
    (row,) = Observer().see(asked, headless)
    assert [row[name] for name in ("Name", "Rcode", "Questions", "Answers", "Problem")] == [
        "example.com", "NXDomain", None, None, "shorter than a header",
    ]  # fmt: skip


def test_several_questions_are_joined() -> None:
    asked = dns.message.make_query("a.example.", "A")
    asked.question.append(dns.message.make_query("b.example.", "MX").question[0])
    observer = Observer()
    observer.see(Dns(data=asked.to_wire()))
    (row,) = observer.tick(200.0)
    assert [row[name] for name in ("Name", "Type", "Questions")] == [
        "a.example, b.example", "A, MX", 2,
    ]  # fmt: skip


def test_flows_can_ask_for_what_their_response_said() -> None:
    observer = Observer()
    asked = query("Www.example.com.")
    observer.see(asked, answer(asked, rcode=dns.rcode.BADVERS))
    # Addresses, ports, protocol and four more bytes, as in a flow map.
    key = address("10.0.0.2") + address("10.0.0.1") + bytes.fromhex("3500 409c 11000000")
    answered = observer.exchanges.answered("node-a", key, 0x1234)
    assert answered is not None
    assert (answered.name, answered.rcode) == ("Www.example.com", "BADVERS")
    assert observer.exchanges.answered("node-a", key, 0x1235) is None
    assert observer.exchanges.answered("node-b", key, 0x1234) is None


def test_addresses_are_noted_under_the_name_that_was_asked_for() -> None:
    observer = Observer()
    for second, name in ((1, "a.example."), (2, "A.EXAMPLE."), (3, "b.example.")):
        asked = query(name, at=second * SECOND)
        observer.see(asked, answer(asked, "192.0.2.1", "2001:db8::1", after=MS))
    base = 1_700_000_000_001
    assert observer.names() == [
        ("192.0.2.1", "a.example", base + 1000, base + 2000),
        ("192.0.2.1", "b.example", base + 3000, base + 3000),
        ("2001:db8::1", "a.example", base + 1000, base + 2000),
        ("2001:db8::1", "b.example", base + 3000, base + 3000),
    ]


def test_the_oldest_name_makes_room_for_the_next() -> None:
    catalog = Catalog()
    names = DnsNames(catalog, limit=2)
    for time_ms, name in enumerate(("a", "b", "a", "c", "d", "a")):
        names.add("192.0.2.1", name, time_ms)
    (rows,) = catalog.take()
    pairs = zip(rows.columns["Name"], rows.columns["TimeFirstMs"], strict=True)
    assert sorted(pairs) == [("a", 5), ("d", 4)]
    assert rows.count == 2


def test_the_thread_is_woken_only_while_a_query_waits() -> None:
    observer = Observer()
    asked = query()
    assert observer.exchanges.seconds_until_due(100.0) is None
    observer.see(asked)
    assert observer.exchanges.seconds_until_due(100.0) == TICK_SECONDS
    assert observer.exchanges.seconds_until_due(100.25) == TICK_SECONDS - 0.25
    assert observer.exchanges.seconds_until_due(101.0) == 0.0
    assert observer.tick(101.0) == []
    assert observer.exchanges.seconds_until_due(101.0) == TICK_SECONDS
    observer.see(answer(asked))
    assert observer.exchanges.seconds_until_due(101.0) is None


def message(key: int, *, back: bool = False, since: float = 0.0, data: bytes = b"") -> DnsMessage:
    """A query, or a response to one that the kernel has not seen."""
    return DnsMessage(
        ("n", bytes(37), key), 0, 0, 0, 0, 0x8000 if back else 0, 0, data, None, 1, None, since
    )


def test_when_too_many_wait_the_oldest_is_written_off_and_may_still_be_late() -> None:
    waiting = WaitingQueries(max_waiting=2)
    ended: list[Exchange] = []
    for key in (1, 2, 3):
        ended += waiting.take(message(key))
    assert [(each.status, each.problem) for each in ended] == [("unanswered", FULL)]
    (late,) = waiting.take(message(1, back=True))
    assert late.status == "late"
    assert len(waiting) == 2


def test_what_waits_is_bounded_in_bytes() -> None:
    waiting = WaitingQueries(max_bytes=5000)
    ended = [each for key in range(10) for each in waiting.take(message(key, data=bytes(1000)))]
    assert [each.status for each in ended] == ["unanswered"] * 5
    assert len(waiting) == 5


steps = st.lists(
    st.tuples(st.sampled_from(["query", "response", "tick"]), st.integers(0, 3)), max_size=60
)


@given(steps)
def test_every_query_ends_once_and_every_response_is_told(steps_: list[tuple[str, int]]) -> None:
    waiting = WaitingQueries(max_waiting=3)
    ended: list[Exchange] = []
    now, responses, first_queries, open_ = 0.0, 0, 0, set[int]()
    for kind, key in steps_:
        now += 1.0
        match kind:
            case "tick":
                now += key
                ended += waiting.expire(now)
            case "query":
                first_queries += key not in open_
                ended += waiting.take(message(key, since=now))
            case _:
                responses += 1
                ended += waiting.take(message(key, back=True, since=now))
        still = {each.key[2] for each in waiting._waiting.values()}
        open_ = still
    ended += waiting.end()
    assert sum(each.response is not None for each in ended) == responses
    closed = [each for each in ended if each.status in ("answered", "unanswered")]
    assert len(closed) == first_queries
    assert len(waiting) == 0


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_messages_of_any_bytes_end_as_rows(data: list[bytes]) -> None:
    observer = Observer()
    made = list(observer.see(*(Dns(data=each, sport=number) for number, each in enumerate(data))))
    made += rows_of(observer.exchanges.end())
    assert len(made) == len(data)
    for row in made:
        assert row["Addresses"] is None or isinstance(json.loads(str(row["Addresses"])), list)
