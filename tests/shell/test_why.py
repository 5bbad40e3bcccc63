"""`why` as a whole: rows of a real schema in, a verdict out, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from nshell.collector import schema
from nshell.shell.commands import why as why_command
from nshell.shell.errors import CommandError, Failure
from nshell.shell.interrupts import Interrupts
from nshell.shell.why import evidence as evidence_module
from nshell.shell.why.evidence import Drop, Event, Exchange, Flow, gather
from nshell.shell.why.question import Question, parse_target
from nshell.tasks import first_of

if TYPE_CHECKING:
    from pathlib import Path

    from nshell.shell.why.evidence import Evidence
    from tests.shell.conftest import Shell

A, B, DNS, ROUTER = "10.0.0.1", "10.0.0.2", "10.0.0.53", "10.0.0.254"
GENERATION = 2
"""Of the first overlay of a made-up session."""
SYN, RST_ACK = 2, 0x14


@dataclass(slots=True)
class Rows:
    """A database with the collector's schema, to be filled."""

    path: Path
    _db: sqlite3.Connection = field(init=False)

    def __post_init__(self) -> None:
        schema.create(self.path)
        self._db = sqlite3.connect(self.path)

    def add(self, table: str, **cells: Any) -> None:
        names, marks = ", ".join(cells), ", ".join("?" * len(cells))
        self._db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(cells.values()))
        self._db.commit()

    def flow(self, **cells: Any) -> None:
        """From A to port 443 of B, unless told otherwise."""
        usual = {
            "Node": "n1", "SrcAddr": A, "SrcPort": 40000, "DstAddr": B, "DstPort": 443, "Proto": 6,
            "Packets": 1, "Bytes": 60, "Flags": SYN, "Generation": GENERATION,
            "TimeFlowStartMs": 1000,
        }  # fmt: skip
        self.add("flow", **(usual | cells))

    def back(self, **cells: Any) -> None:
        """The other way."""
        turned = {"SrcAddr": B, "SrcPort": 443, "DstAddr": A, "DstPort": 40000, "Flags": RST_ACK}
        self.flow(**(turned | cells))

    def drop(self, **cells: Any) -> None:
        usual = {
            "Node": "n1", "TimeNs": 10**9, "SrcAddr": A, "SrcPort": 40000, "DstAddr": B,
            "DstPort": 443, "Proto": 6, "Reason": "NETFILTER_DROP", "Loss": 1,
            "Function": "nf_hook_slow+0xb6", "Length": 60, "Generation": GENERATION,
        }  # fmt: skip
        self.add("packet_drop", **(usual | cells))

    def dns(self, **cells: Any) -> None:
        usual = {
            "Node": "n1", "TimeNs": 10**9, "ClientAddr": A, "ClientPort": 5000, "ServerAddr": DNS,
            "ServerPort": 53, "Proto": 17, "Name": "api.example", "Type": "A", "Rcode": "NoError",
            "LatencyMs": 1.5, "Addresses": json.dumps([B]), "Retries": 0, "Status": "answered",
            "Generation": GENERATION,
        }  # fmt: skip
        self.add("dns", **(usual | cells))

    def event(self, **cells: Any) -> None:
        usual = {
            "Node": "n1", "TimeNs": 10**9, "Event": "retransmit", "SrcAddr": A, "SrcPort": 40000,
            "DstAddr": B, "DstPort": 443, "State": "TCP_SYN_SENT", "Generation": GENERATION,
        }  # fmt: skip
        self.add("tcp_event", **(usual | cells))


@pytest.fixture
def rows(tmp_path: Path, shell: Shell) -> Rows:
    made = Rows(tmp_path / "session.db")
    shell.service.serve(made.path)
    return made


async def found(shell: Shell, target: str, *, source: str = A) -> Evidence:
    return await gather(
        shell.client,
        Question(ip_address(source), parse_target(target)),
        generation=GENERATION,
        since_ns=2_000_000_000,
        seconds=1.0,
        dns_ports=(53, 5353),
    )


async def test_rows_of_a_direction_are_summed_per_node(shell: Shell, rows: Rows) -> None:
    rows.flow(Packets=2, Flags=SYN, TimeHandshakeRttNs=5)
    rows.flow(Packets=3, Flags=0x19, TcpRetransmits=1, TimeFlowRttNs=7)
    rows.flow(Packets=2, Flags=SYN, Node="n2")
    rows.back(Flags=0x112)
    evidence = await found(shell, f"{B}:443")
    assert evidence.flows == (
        Flow("n1", A, 40000, B, 443, 6, None, None, 5, 120, 0x1B, 7, 5, 1),
        Flow("n1", B, 443, A, 40000, 6, None, None, 1, 60, 0x112, None, None, None),
        Flow("n2", A, 40000, B, 443, 6, None, None, 2, 60, SYN, None, None, None),
    )


async def test_what_is_not_about_the_question_is_left_out(shell: Shell, rows: Rows) -> None:
    rows.flow(Generation=GENERATION - 1)
    rows.flow(DstPort=80)
    rows.flow(DstAddr=ROUTER)
    rows.flow(SrcAddr=B, DstAddr=A)
    rows.flow(SrcAddr=ROUTER, DstAddr=A, Proto=1, IcmpType=0, SrcPort=None, DstPort=None)
    rows.drop(Loss=0)
    rows.drop(Generation=GENERATION - 1)
    rows.drop(DstPort=80)
    rows.dns(ClientAddr=B)
    rows.dns(Generation=GENERATION - 1)
    rows.event(Event="state", NewState="TCP_CLOSE")
    rows.event(DstAddr=ROUTER)
    evidence = await found(shell, f"{B}:443")
    told = (evidence.flows, evidence.drops, evidence.exchanges, evidence.events)
    assert told == ((), (), (), ())
    assert evidence.addresses == (B,)


async def test_drops_events_and_exchanges_are_counted_by_cause(shell: Shell, rows: Rows) -> None:
    rows.drop()
    rows.drop()
    rows.drop(Reason="SOCKET_RCVBUFF", TcpState="TCP_ESTABLISHED", Function=None)
    rows.drop(DstAddr=DNS, DstPort=5353, Proto=17)
    rows.event()
    rows.event()
    rows.event(Event="reset_received", SrcAddr=B, SrcPort=443, DstAddr=A, DstPort=40000)
    rows.dns(Status="unanswered", Rcode=None, LatencyMs=None, Addresses=None, Retries=None)
    evidence = await found(shell, B)
    assert sorted(evidence.drops, key=str) == sorted([
        Drop("n1", "NETFILTER_DROP", "nf_hook_slow+0xb6", None, A, 40000, B, 443, 6, 2),
        Drop("n1", "SOCKET_RCVBUFF", None, "TCP_ESTABLISHED", A, 40000, B, 443, 6, 1),
        Drop("n1", "NETFILTER_DROP", "nf_hook_slow+0xb6", None, A, 40000, DNS, 5353, 17, 1),
    ], key=str)  # fmt: skip
    assert sorted(evidence.events, key=str) == sorted([
        Event("n1", "retransmit", A, 40000, B, 443, "TCP_SYN_SENT", None, 2),
        Event("n1", "reset_received", B, 443, A, 40000, "TCP_SYN_SENT", None, 1),
    ], key=str)  # fmt: skip
    assert evidence.exchanges == (
        Exchange(DNS, "api.example", "A", None, None, (), 0, "unanswered"),
    )


async def test_packets_to_name_servers_and_icmp_errors_are_among_it(
    shell: Shell, rows: Rows
) -> None:
    rows.flow(DstAddr=DNS, DstPort=5353, Proto=17)
    rows.back(SrcAddr=DNS, SrcPort=53, Proto=17)
    rows.flow(SrcAddr=ROUTER, DstAddr=A, Proto=1, IcmpType=3, IcmpCode=1, SrcPort=None,
              DstPort=None)  # fmt: skip
    evidence = await found(shell, f"{B}:443")
    assert {(flow.src, flow.dst, flow.icmp_code) for flow in evidence.flows} == {
        (A, DNS, None), (DNS, A, None), (ROUTER, A, 1),
    }  # fmt: skip


async def test_addresses_of_a_name_are_those_of_the_answers(shell: Shell, rows: Rows) -> None:
    rows.dns(Name="API.example", Addresses=json.dumps([B, "10.0.0.3"]))
    rows.dns(Name="api.example.local", Addresses=json.dumps([B]))
    rows.dns(Name="xapi.example", Addresses=json.dumps(["10.0.0.9"]))
    rows.flow(DstAddr="10.0.0.3")
    rows.flow(DstAddr="10.0.0.9")
    evidence = await found(shell, "api.example")
    assert evidence.addresses == (B, "10.0.0.3")
    assert [flow.dst for flow in evidence.flows] == ["10.0.0.3"]


async def test_addresses_of_a_name_may_be_known_from_before(shell: Shell, rows: Rows) -> None:
    rows.add("dns_name", Address=B, Name="api.example")
    rows.add("dns_name", Address="10.0.0.9", Name="other")
    rows.flow()
    evidence = await found(shell, "api.example")
    assert evidence.addresses == (B,)
    assert len(evidence.flows) == 1


async def test_interfaces_and_losses_meanwhile_are_told(shell: Shell, rows: Rows) -> None:
    rows.add("interface", Node="n1", Name="eth0", Attached=1)
    rows.add("interface", Node="n1", Name="lo", Attached=0)
    rows.add("loss", Node="n1", Stage="event_ring", Count=5, TimeToMs=1999)
    rows.add("loss", Node="n1", Stage="event_ring", Count=7, TimeToMs=2000)
    evidence = await found(shell, B)
    assert evidence.interfaces == ("eth0",)
    assert evidence.caveats == ("7 rows or packets were lost meanwhile: `losses` says where",)


async def test_too_many_rows_are_cut_and_that_is_told(
    shell: Shell, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_module, "MAX_ROWS", 2)
    for port in range(3):
        rows.flow(SrcPort=port)
    evidence = await found(shell, B)
    assert len(evidence.flows) == 2
    assert evidence.caveats == ("more than 2 rows tell of it: the first ones were looked at",)


async def test_ipv6_is_found_as_rows_write_it(shell: Shell, rows: Rows) -> None:
    rows.flow(SrcAddr="fd00::1", DstAddr="fd00::2")
    evidence = await found(shell, "[FD00:0:0::2]:443", source="fd00:0::1")
    assert len(evidence.flows) == 1


def refused(rows: Rows) -> None:
    rows.flow()
    rows.back()


async def test_the_verdict_is_a_line_and_the_rows_follow(shell: Shell, rows: Rows) -> None:
    refused(rows)
    lines = (await shell.run(f"why {A} {B}:443 for 1ms")).splitlines()
    assert lines[:3] == [
        "refused: 10.0.0.1 to 10.0.0.2 TCP port 443 is refused: RST from 10.0.0.2", "", "flow:",
    ]  # fmt: skip
    assert [line.split() for line in (lines[3], *lines[5:])] == [
        ["Node", "SrcAddr", "SrcPort", "DstAddr", "DstPort", "Proto", "Packets", "Bytes", "Flags"],
        ["n1", A, "40000", B, "443", "6", "1", "60", "2"],
        ["n1", B, "443", A, "40000", "6", "1", "60", "20"],
    ]


async def test_for_programs_it_is_one_object(shell: Shell, rows: Rows) -> None:
    refused(rows)
    rows.dns()
    await shell.run("set format json")
    document = json.loads(await shell.run(f"why {A} {B}:443 for 1ms"))
    seconds = document.pop("seconds")
    assert seconds >= 0.001
    evidence = document.pop("evidence")
    assert shell.seen.told == [f"watching {A} and {B} for 0.001 s; Ctrl-C ends it early"]
    assert document == {
        "verdict": "refused",
        "summary": "10.0.0.1 to 10.0.0.2 TCP port 443 is refused: RST from 10.0.0.2",
        "source": A,
        "target": B,
        "port": 443,
        "addresses": [B],
        "caveats": [],
    }
    assert list(evidence) == ["flow", "dns"]
    assert evidence["flow"][1]["SrcAddr"] == B
    assert evidence["dns"] == [
        {
            "ServerAddr": DNS, "Name": "api.example", "Type": "A", "Rcode": "NoError",
            "LatencyMs": 1.5, "Addresses": json.dumps([B]), "Retries": 0, "Status": "answered",
        }
    ]  # fmt: skip


async def test_csv_is_the_verdict_and_markdown_has_tables(shell: Shell, rows: Rows) -> None:
    rows.add("interface", Node="n1", Name="eth0", Attached=1)
    await shell.run("set format csv")
    lines = (await shell.run(f"why {A} {B} for 1ms")).splitlines()
    assert lines[0] == "verdict,summary,source,target,port,addresses,seconds,caveats"
    assert lines[1].startswith("nothing-sent,")
    assert lines[1].endswith(",what does not pass eth0 is not seen")
    refused(rows)
    # The second overlay of this session.
    await shell.run("set format markdown")
    shell.capture.generation = GENERATION - 1
    text = await shell.run(f"why {A} {B} for 1ms")
    assert "\nflow:\n\n| Node | SrcAddr |" in text


async def test_what_strangers_wrote_is_escaped_for_people(shell: Shell, rows: Rows) -> None:
    rows.dns(Name="api.example.\x1b[2J", Rcode="NXDomain", Addresses=None)
    text = await shell.run(f"why {A} api.example for 1ms")
    assert "\x1b" not in text
    assert "api.example.\\x1b[2J A: NXDomain" in text


async def test_many_rows_are_shown_in_part_and_counted(shell: Shell, rows: Rows) -> None:
    for port in range(30):
        rows.flow(SrcPort=port)
    text = await shell.run(f"why {A} {B} for 1ms")
    assert text.endswith("and 22 more rows\n")
    assert "; 30 of 30 such connections\n" in text


@pytest.mark.usefixtures("rows")
async def test_it_lays_its_filters_and_features_over_the_session_and_lifts_them(
    shell: Shell,
) -> None:
    await shell.run("filter port 80\nset dns_port 53,5353")
    watching = asyncio.gather(shell.run(f"why {A} {B}:443 for 1h"))
    await shell.service.laid.wait()
    laid = shell.capture.overlay
    assert laid is not None
    assert (laid.label, list(laid.features)) == ("why", ["dns", "drops", "rtt", "tcp"])
    assert [" ".join(rule.words) for rule in laid.rules] == [
        f"cidr {A} peer_ip {B} port 443 for flows",
        f"cidr {A} protocol icmp for flows",
        f"cidr {A} port 53,5353 for flows",
    ]
    await eventually_offered(shell.context.interrupts)
    await watching
    assert shell.capture.overlay is None
    assert list(shell.capture.rules.values()) == ["port 80"]


async def eventually_offered(interrupts: Interrupts) -> None:
    """A first Ctrl-C, once the watching has begun."""
    while not interrupts.offer():
        await asyncio.sleep(0.01)


async def test_the_first_interrupt_ends_the_watching_and_gives_the_verdict(
    shell: Shell, rows: Rows
) -> None:
    refused(rows)
    watching = asyncio.gather(shell.run(f"why {A} {B}:443 for 1h"))
    await eventually_offered(shell.context.interrupts)
    assert not shell.context.interrupts.offer()  # the second one is for the shell
    assert (await watching)[0].startswith("refused: ")
    assert not shell.context.interrupts.offer()


@pytest.mark.usefixtures("rows")
async def test_a_second_one_calls_it_off_and_the_overlay_goes(shell: Shell) -> None:
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    work = first_of(shell.runner.run_text(f"why {A} {B} for 1h"), name="why", unless=[stop])
    running = asyncio.gather(work)
    await shell.service.laid.wait()
    stop.set_exception(KeyError("cancelled"))
    with pytest.raises(KeyError):
        await running
    await asyncio.wait_for(shell.service.lifted.wait(), 10)
    assert shell.capture.overlay is None
    assert not shell.context.interrupts.offer()


@pytest.mark.usefixtures("rows")
async def test_an_error_in_the_middle_lifts_the_overlay(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise CommandError("no more")

    monkeypatch.setattr(why_command, "watch", broken)
    with pytest.raises(Failure, match="why: no more"):
        await shell.run(f"why {A} {B}")
    await asyncio.wait_for(shell.service.lifted.wait(), 10)


async def test_what_does_not_work_on_a_node_is_said(shell: Shell, rows: Rows) -> None:
    refused(rows)
    shell.capture.agents = {"n1": True, "n2": True}
    shell.capture.deaf = {"n2": "map is full"}
    shell.capture.broken = {"n1": ["rtt: tcp_probe is not there"]}
    shell.capture.sampling = 10
    text = await shell.run(f"why {A} {B}:443 for 1ms")
    assert text.splitlines()[1:4] == [
        "but: nothing was watched on n2: map is full",
        "but: not seen on n1: rtt: tcp_probe is not there",
        "but: one of 10 packets is looked at: what is not seen may be there",
    ]


@pytest.mark.parametrize(
    ("agents", "deaf", "line"),
    [
        ({}, {}, "no agent is connected: nothing can be watched"),
        ({"n1": True}, {"n1": "map is full"}, "nothing can be watched: n1: map is full"),
        ({"n1": True}, {"n1": ""}, "nothing can be watched: n1: no answer in time"),
    ],
)
@pytest.mark.usefixtures("rows")
async def test_where_nothing_watches_there_is_no_verdict(
    shell: Shell, agents: dict[str, bool], deaf: dict[str, str], line: str
) -> None:
    shell.capture.agents, shell.capture.deaf = agents, deaf
    with pytest.raises(Failure) as failed:
        await shell.run(f"why {A} {B}")
    assert failed.value.reason == line
    await asyncio.wait_for(shell.service.lifted.wait(), 10)


@pytest.mark.usefixtures("rows")
async def test_one_at_a_time(shell: Shell) -> None:
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    first = first_of(shell.runner.run_text(f"why {A} {B} for 1h"), name="why", unless=[stop])
    running = asyncio.gather(first)
    await shell.service.laid.wait()
    with pytest.raises(Failure) as failed:
        await shell.run(f"why {A} {B}")
    assert failed.value.reason == "why is at work already: one at a time"
    assert shell.capture.overlay is not None
    stop.set_exception(KeyError("enough"))
    with pytest.raises(KeyError):
        await running


def test_only_the_first_interrupt_is_taken_and_only_while_it_is_wanted() -> None:
    interrupts = Interrupts()
    assert not interrupts.offer()
    with interrupts.first_one() as enough:
        assert interrupts.offer()
        assert enough.is_set()
        assert not interrupts.offer()
    assert not interrupts.offer()
