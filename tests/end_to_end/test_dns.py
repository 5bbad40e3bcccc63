"""DNS exchanges with a resolver that does as it is told, against what it was told and tshark."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from tests import network
from tests.network import SCENARIOS, Pair, Tcpdump, tshark
from tests.scenarios import dns
from tests.session import Row, Session, session

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

PORT, OTHER_PORT, UNREAD_PORT = 53, 5300, 5400
BLOG = """SELECT DnsLatencyMs, DnsFlagsResponseCode, DnsId, DstAddr, DstPort, Interface, Proto,
SrcAddr, SrcPort, Bytes, Packets FROM flow WHERE DnsLatencyMs >10 LIMIT 10"""
"""As users of NetObserv know it from its blog."""

LONGEST = dns.longest("a1")
ADDRESSES = {
    "A": [f"192.0.2.{n}" for n in range(1, 201)],
    "AAAA": [f"2001:db8::{n:x}" for n in range(1, 10)],
}


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, and what the resolver does with it (see dns_server.py)."""

    ident: int
    labels: tuple[str | bytes, ...]
    type: str = "A"
    via: str = "udp"
    six: bool = False
    port: int = PORT
    how: str = "whole"
    times: int = 1
    wait: float = 5
    more: tuple[tuple[tuple[str, ...], str], ...] = ()
    """Further questions of the same message."""
    batch: str = ""
    """Neighbours of the same batch share a connection."""

    status: str = "answered"
    rcode: str | None = "NoError"
    answers: int | None = 0
    least_ms: float = 0
    name: str = ""
    """Where it is not simply the labels."""
    problem: bool = False

    def __str__(self) -> str:
        words = [str(label)[:12] for label in self.labels[:3]]
        return ".".join([*words, self.via, "6" if self.six else "4", self.how])

    def message(self) -> bytes:
        more = [(dns.name(*labels), dns.TYPES[kind]) for labels, kind in self.more]
        return dns.query(
            self.ident, (dns.name(*self.labels), dns.TYPES.get(self.type, 0) or int(self.type[4:])),
            *more,
        )  # fmt: skip

    def full_name(self) -> str:
        names = [self.name or ".".join(map(str, self.labels)) or "."]
        return ", ".join([*names, *(".".join(labels) for labels, _ in self.more)])

    def full_type(self) -> str:
        return ", ".join([self.type, *(kind for _, kind in self.more)])


ASKS = [
    Ask(0x1001, ("wait12ms", "a1", "test"), answers=1, least_ms=12),
    Ask(0x1002, ("wait32ms", "aaaa2", "test"), "AAAA", answers=2, least_ms=32),
    Ask(0x1003, ("wait300us", "a1", "test"), answers=1, least_ms=0.3),
    Ask(0x1004, ("a1", "cname", "test"), answers=2),
    Ask(0x1005, ("nxdomain", "test"), rcode="NXDomain"),
    Ask(0x1006, ("servfail", "wait15ms", "test"), rcode="ServFail", least_ms=15),
    Ask(0x1007, ("refused", "test"), "MX", rcode="Refused"),
    Ask(0x1008, ("badvers", "test"), "TXT", rcode="BADVERS"),
    Ask(0x1009, ("a60", "large", "test"), answers=60),
    Ask(0, ("wait11ms", "a1", "zero", "test"), answers=1, least_ms=11),
    Ask(0x100A, tuple(LONGEST), answers=1),
    Ask(0x100B, ("a1", b"x.y\x07\xff", "test"), answers=1, name=r"a1.x\.y\007\255.test"),
    Ask(0x100C, (), "NS", answers=0),
    Ask(0x100D, ("a1", "odd", "test"), "TYPE4711", answers=1),
    Ask(0x100E, ("a1", "several", "test"), answers=1,
        more=((("other", "test"), "AAAA"), (("third", "test"), "PTR"))),
    Ask(0x100F, ("wait13ms", "a1", "six", "test"), six=True, answers=1, least_ms=13),
    Ask(0x1010, ("a1", "port", "test"), port=OTHER_PORT, answers=1),
    Ask(0x1011, ("wait14ms", "a2", "stream", "test"), via="tcp", answers=2, least_ms=14),
    Ask(0x1012, ("a1", "stream", "test"), via="tcp", six=True, port=OTHER_PORT, answers=1),
    Ask(0x1013, ("a1", "split", "test"), via="tcp", how="split", answers=1),
    # Its first segment is what there is of it.
    Ask(0x1014, ("a200", "long", "test"), via="tcp", answers=200, problem=True),
    Ask(0x1015, ("a3", "first", "test"), via="tcp", how="together", batch="both", answers=3),
    Ask(0x1016, ("nxdomain", "second", "test"), via="tcp", how="together", batch="both",
        rcode="NXDomain"),
    Ask(0x1020, ("loop", "test"), answers=1, problem=True),
    Ask(0x1021, ("garbage", "test"), answers=0, problem=True),
    Ask(0x1022, ("a9", "cut", "test"), answers=9, problem=True),
]  # fmt: skip
"""Each is answered."""

REPEATED = Ask(0x1017, ("a1", "twice", "wait40ms", "test"), times=2, answers=1, least_ms=40)
"""The resolver answers each of the two."""

PIECES = Ask(0x1030, ("a1", "pieces", "test"), via="tcp", how="pieces", answers=1)
"""Message and response come in segments that cut the name."""

SILENT = [
    Ask(0x2001, ("silent", "test"), times=3, wait=0, status="unanswered", rcode=None,
        answers=None),
    Ask(0x2002, ("silent", "six", "test"), "AAAA", six=True, wait=0, status="unanswered",
        rcode=None, answers=None),
    Ask(0x2003, ("silent", "stream", "test"), via="tcp", wait=0, status="unanswered",
        rcode=None, answers=None),
    Ask(0x2004, ("short", "test"), status="unanswered", rcode=None, answers=None),
]  # fmt: skip
"""The last one's response is shorter than a header."""

LATE = Ask(0x3001, ("wait6500ms", "a1", "late", "test"), wait=0, answers=1, least_ms=6500)
UNREAD = Ask(0x4001, ("a1", "unread", "test"), port=UNREAD_PORT, answers=1)
"""On a port that nobody said has DNS."""


def ask(pair: Pair, asks: list[Ask]) -> list[list[str]]:
    """Responses to each connection's messages, in hex."""
    words: list[dict[str, Any]] = []
    for _, group in groupby(asks, key=lambda a: a.batch or str(a.ident)):
        together = list(group)
        first = together[0]
        words.append(
            {"to": pair.peer6 if first.six else pair.peer4, "port": first.port, "via": first.via,
             "messages": [a.message().hex() for a in together], "how": first.how,
             "times": first.times, "gap": 0.02, "wait": first.wait}
        )  # fmt: skip
    program = str(SCENARIOS / "dns_client.py")
    found: list[list[str]] = json.loads(pair.ours.run(sys.executable, program, json.dumps(words)))
    return found


@dataclass(frozen=True, slots=True)
class Resolved:
    """A session that has seen every exchange, and tcpdump's file of them."""

    pair: Pair
    session: Session
    file: str

    def exchanges(self, ident: int) -> list[Row]:
        return self.session.sql(f"SELECT * FROM dns WHERE DnsId = {ident} ORDER BY TimeNs, Status")

    def tshark_ms(self) -> dict[int, float]:
        """Latency by id."""
        rows = tshark(
            self.file, ["dns.id", "dns.time"], where="dns.time",
            options=[f"-d{t}.port=={p},dns" for t in ("udp", "tcp") for p in (OTHER_PORT,)],
        )  # fmt: skip
        return {int(ident, 16): float(seconds) * 1000 for ident, seconds in rows}


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resolved]:
    file = str(tmp_path_factory.mktemp("oracle") / "dns.pcap")
    with network.pair() as pair, session(pair.ours, "-i", "eth0") as live:
        # A response longer than a segment goes in several frames.
        pair.peer.run("ip", "link", "set", "eth0", "gso_max_segs", "1")
        pair.peer.start_program(
            "dns_server.py", f"{pair.peer4},{pair.peer6}", f"{PORT},{OTHER_PORT},{UNREAD_PORT}"
        )
        live.do("enable dns", f"set dns_port {PORT},{OTHER_PORT}")
        dump = Tcpdump(pair.ours, "eth0", file)
        ask(pair, [LATE, *SILENT[:-1]])
        answered = ask(pair, [*ASKS, REPEATED, PIECES, SILENT[-1], UNREAD])
        assert all(all(responses) for responses in answered)
        rows = len(ASKS) + 2 + 1 + len(SILENT) + 2  # two of REPEATED and of LATE
        live.settle("SELECT count(*) FROM dns", least=rows, seconds=25)
        dump.stop()
        yield Resolved(pair, live, file)


@pytest.mark.parametrize("asked", ASKS, ids=str)
def test_an_exchange_is_what_the_resolver_was_told(resolved: Resolved, asked: Ask) -> None:
    pair = resolved.pair
    (row,) = resolved.exchanges(asked.ident)
    client, server = (pair.ours6, pair.peer6) if asked.six else (pair.ours4, pair.peer4)
    assert (row["ClientAddr"], row["ServerAddr"]) == (client, server)
    assert (row["ServerPort"], row["Proto"]) == (asked.port, 6 if asked.via == "tcp" else 17)
    assert (row["Name"], row["Type"]) == (asked.full_name(), asked.full_type())
    assert row["Questions"] == 1 + len(asked.more)
    assert (row["Status"], row["Rcode"], row["Answers"]) == ("answered", asked.rcode, asked.answers)
    assert row["Retries"] == asked.times - 1
    assert row["LatencyMs"] >= asked.least_ms
    assert (row["Problem"] is not None) == asked.problem
    assert row["Interface"] == "eth0"


def test_latency_is_tsharks(resolved: Resolved) -> None:
    """In the rows of exchanges and of flows, matched by id."""
    theirs = resolved.tshark_ms()
    ours = {r["DnsId"]: r["LatencyMs"] for r in resolved.session.sql(
        "SELECT DnsId, LatencyMs FROM dns WHERE Status = 'answered'")}  # fmt: skip
    flows = {r["DnsId"]: r["DnsLatencyMs"] for r in resolved.session.sql(
        "SELECT DnsId, DnsLatencyMs FROM flow WHERE DnsId IS NOT NULL")}  # fmt: skip
    apart = []
    for asked in [a for a in ASKS if not a.problem and not a.batch]:
        apart.append(abs(ours[asked.ident] - theirs[asked.ident]))
        assert flows[asked.ident] == pytest.approx(ours[asked.ident], abs=0.001)
    # Between its hook and ours a busy machine may do something else: once, not twice.
    assert sorted(apart)[-2] <= 1, apart
    assert max(apart) < 20, apart


def test_latency_keeps_its_microseconds(resolved: Resolved) -> None:
    values = [r["LatencyMs"] for r in resolved.session.sql(
        "SELECT LatencyMs FROM dns WHERE Status = 'answered'")]  # fmt: skip
    assert any(value < 1 for value in values), "a resolver that does not wait takes less than 1 ms"
    assert sum(value != round(value, 1) for value in values) > len(values) / 2


@pytest.mark.parametrize("asked", [a for a in ASKS if a.answers and not a.problem], ids=str)
def test_addresses_are_those_of_the_answer(resolved: Resolved, asked: Ask) -> None:
    (row,) = resolved.exchanges(asked.ident)
    aliases = "cname" in asked.labels
    kind = "AAAA" if asked.type == "AAAA" else "A"
    assert asked.answers is not None
    assert json.loads(row["Addresses"]) == ADDRESSES[kind][: asked.answers - aliases]


def test_names_of_addresses_are_kept(resolved: Resolved) -> None:
    names = {(r["Address"], r["Name"]) for r in resolved.session.sql("SELECT * FROM dns_name")}
    assert {("192.0.2.1", "wait12ms.a1.test"), ("2001:db8::2", "wait32ms.aaaa2.test")} <= names


def test_a_query_sent_again_is_one_exchange(resolved: Resolved) -> None:
    """Its second response is told apart."""
    rows = resolved.exchanges(REPEATED.ident)
    assert [(r["Status"], r["Retries"]) for r in rows] == [("answered", 1), ("unasked", 0)]
    assert rows[0]["LatencyMs"] >= REPEATED.least_ms, "since the first"
    assert rows[1]["LatencyMs"] is None


def test_a_message_in_pieces_is_an_exchange(resolved: Resolved) -> None:
    """Its name is cut where its first segment ends: that is said, and the rest holds."""
    (row,) = resolved.exchanges(PIECES.ident)
    assert (row["Status"], row["Rcode"], row["Answers"]) == ("answered", "NoError", 1)
    assert row["LatencyMs"] is not None
    assert row["Problem"]


@pytest.mark.parametrize("asked", SILENT, ids=str)
def test_a_query_without_response_is_a_row(resolved: Resolved, asked: Ask) -> None:
    (row,) = resolved.exchanges(asked.ident)
    assert (row["Status"], row["Rcode"], row["LatencyMs"]) == ("unanswered", None, None)
    assert (row["Answers"], row["Addresses"]) == (None, None)
    assert (row["Name"], row["Type"]) == (asked.full_name(), asked.full_type())
    assert row["Retries"] == asked.times - 1


def test_a_response_after_the_time_out_is_late(resolved: Resolved) -> None:
    rows = resolved.exchanges(LATE.ident)
    assert [r["Status"] for r in rows] == ["late", "unanswered"]
    late = rows[0]
    assert (late["Name"], late["Rcode"], late["Answers"]) == (LATE.full_name(), "NoError", 1)
    assert late["LatencyMs"] >= LATE.least_ms


def test_other_ports_have_no_dns(resolved: Resolved) -> None:
    assert resolved.exchanges(UNREAD.ident) == []
    assert resolved.session.sql(
        f"""SELECT DISTINCT DnsId, DnsLatencyMs, DnsFlagsResponseCode, DnsErrno, DnsName FROM flow
        WHERE {UNREAD_PORT} IN (SrcPort, DstPort)"""
    ) == [{"DnsId": None, "DnsLatencyMs": None, "DnsFlagsResponseCode": None, "DnsErrno": None,
           "DnsName": None}]  # fmt: skip


def test_the_blogs_query_returns_what_the_resolver_was_told(resolved: Resolved) -> None:
    rows = resolved.session.sql(BLOG)
    slow = {a.ident: a for a in [*ASKS, REPEATED, LATE] if a.least_ms > 10}
    assert len(rows) == 10 or slow.keys() <= {r["DnsId"] for r in rows}, "id 0 among them"
    for row in rows:
        assert row["DnsLatencyMs"] > 10
        assert row["SrcAddr"] in {resolved.pair.peer4, resolved.pair.peer6}
        assert row["DstAddr"] in {resolved.pair.ours4, resolved.pair.ours6}
        assert row["Interface"] == "eth0"
        assert row["Packets"] >= 1
    for row in [r for r in rows if r["DnsId"] in slow]:
        asked = slow[row["DnsId"]]
        assert row["DnsLatencyMs"] >= asked.least_ms
        assert row["DnsFlagsResponseCode"] == asked.rcode
        assert (row["SrcPort"], row["Proto"]) == (asked.port, 6 if asked.via == "tcp" else 17)


def test_only_the_row_of_the_response_has_the_dns_columns(resolved: Resolved) -> None:
    asking = f"DstPort IN ({PORT}, {OTHER_PORT})"
    assert resolved.session.sql(f"SELECT * FROM flow WHERE {asking} AND DnsId IS NOT NULL") == []
    rows = resolved.session.sql("SELECT DnsId, DnsName, DnsErrno FROM flow WHERE DnsId IS NOT NULL")
    found = {r["DnsId"]: (r["DnsName"], r["DnsErrno"]) for r in rows}
    for asked in ASKS:
        if not asked.problem and not asked.batch and not asked.more:
            assert found[asked.ident] == (asked.full_name(), 0)


def test_dns_slow_puts_unanswered_names_first(resolved: Resolved) -> None:
    rows = resolved.session.sql("SELECT Name, Unanswered, MaxMs FROM dns_slow")
    unanswered = [bool(r["Unanswered"]) for r in rows]
    assert unanswered == sorted(unanswered, reverse=True)
    assert {a.full_name() for a in SILENT} <= {r["Name"] for r in rows if r["Unanswered"]}
    times = [r["MaxMs"] for r in rows if not r["Unanswered"]]
    assert times == sorted(times, reverse=True)


def test_nothing_of_it_is_lost_or_unread(resolved: Resolved) -> None:
    assert resolved.session.value("SELECT ifnull(sum(Count), 0) FROM loss") == 0
    unread = resolved.session.value("SELECT Value FROM counter WHERE Name = 'dns_unread'")
    assert unread == 1, "the response that is shorter than a header"


def test_a_switch_takes_effect_at_once(pair: Pair) -> None:
    pair.peer.start_program("dns_server.py", pair.peer4, f"{PORT}")
    asks = [Ask(n, ("a1", f"number{n}", "test")) for n in range(1, 5)]
    with session(pair.ours, "-i", "eth0", "--filter", f"protocol udp port {PORT}") as live:
        ask(pair, asks[:1])
        live.do("enable dns")
        ask(pair, asks[1:2])
        live.do(f"set dns_port {OTHER_PORT}")
        ask(pair, asks[2:3])
        live.do(f"set dns_port {PORT}", "disable dns")
        ask(pair, asks[3:])
        live.settle("SELECT sum(Packets) FROM flow", least=8)
        assert live.sql("SELECT DnsId, Name, Status FROM dns") == [
            {"DnsId": 2, "Name": "a1.number2.test", "Status": "answered"}
        ]
        assert live.sql("SELECT DnsId, DnsName FROM flow WHERE DnsId IS NOT NULL") == [
            {"DnsId": 2, "DnsName": "a1.number2.test"}
        ]
