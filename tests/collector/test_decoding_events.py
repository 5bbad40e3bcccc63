"""Event batches become rows of packet_drop and tcp_event; what is no batch is refused."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import wire
from agent.proto import agentlink_pb2 as pb
from nshell.collector import schema
from nshell.collector.decode.drops import drop_rows
from nshell.collector.decode.events import read_events
from nshell.collector.decode.rows import Cell, DecodeError, GenerationKey, NodeContext, Rows
from nshell.collector.decode.tcpevents import tcp_event_rows
from nshell.collector.decode.texts import Texts
from nshell.collector.interfaces import Interface
from tests.collector.wiretap import (
    CLOCK_OFFSET_NS,
    Dns,
    Drop,
    TcpEvent,
    event_batch,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

GENERATIONS = {1: GenerationKey((7,), 1), 2: GenerationKey((8, 9), 1)}
NAMES = pb.Names(
    drop_reasons={2: "NOT_SPECIFIED", 12: "NETFILTER_DROP", 3 << 16 | 1: "OVS_LAST_ACTION"},
    reset_reasons={3: "NO_SOCKET"},
    functions={0xFFFFFFFF81000010: "nf_hook_slow+0xb3"},
)


def node() -> NodeContext:
    """With eth0 as number 2 and the names of its kernel."""
    context = NodeContext("node-a", "192.0.2.1")
    context.interfaces.replace([Interface(2, "eth0")])
    context.names.add(NAMES)
    return context


def cells_of(rows: Rows) -> Sequence[dict[str, Cell]]:
    """Rows by column."""
    return [
        dict(zip(rows.columns, cells, strict=True)) | dict(rows.constants)
        for cells in zip(*rows.columns.values(), strict=True)
    ]


def decoded(
    records: NDArray[Any], to_rows: Callable[..., Rows], context: NodeContext | None = None
) -> Sequence[dict[str, Cell]]:
    """On a node with eth0 as 2."""
    rows = to_rows(
        records,
        context or node(),
        offset_ns=CLOCK_OFFSET_NS,
        texts=Texts(),
        generations=GENERATIONS,
    )
    return cells_of(rows)


def drops(*events: Drop) -> Sequence[dict[str, Cell]]:
    """Rows of drops."""
    return decoded(read_events(event_batch(events).records).drops, drop_rows)


def tcp_events(*events: TcpEvent) -> Sequence[dict[str, Cell]]:
    """Rows of TCP events."""
    return decoded(read_events(event_batch(events).records).tcp, tcp_event_rows)


def test_a_drop_has_every_value_in_its_column() -> None:
    (row,) = drops(
        Drop(time_ns=123_456_789, reason=12, length=60, state=10, direction=1, flags=2, rule=0)
    )
    assert row == {
        "TimeNs": 1_700_000_000_123_456_789,
        "Node": "node-a",
        "Interface": "eth0",
        "IfDirection": 1,
        "SrcAddr": "10.0.0.1",
        "DstAddr": "10.0.0.2",
        "SrcPort": 40000,
        "DstPort": 443,
        "Proto": 6,
        "Etype": 0x0800,
        "Flags": 2,
        "IcmpType": None,
        "IcmpCode": None,
        "Reason": "NETFILTER_DROP",
        "Loss": 1,
        "Function": "nf_hook_slow+0xb3",
        "Length": 60,
        "TcpState": "TCP_LISTEN",
        "NetNs": 4026531840,
        "Generation": 1,
        "FilterId": 7,
    }
    assert set(row) == {name for name in schema.PACKET_DROP.names if "K8S_" not in name}


def test_what_a_drop_does_not_have_is_null() -> None:
    row, _ = drops(
        Drop(proto=17, ifindex=0, location=1, netns=0, src="2001:db8::1", etype=0x86DD), Drop()
    )
    names = ("Interface", "Flags", "Function", "TcpState", "NetNs", "FilterId", "IcmpType")
    assert [row[name] for name in names] == [None] * len(names)
    assert row["SrcAddr"] == "2001:db8::1"


@pytest.mark.parametrize(
    ("reason", "text"),
    [(12, "NETFILTER_DROP"), (77, "77"), (196609, "OVS_LAST_ACTION"), (262149, "SUBSYS4_5")],
)
def test_a_reason_is_the_kernels_word_or_its_number(reason: int, text: str) -> None:
    (row,) = drops(Drop(reason=reason))
    assert row["Reason"] == text


def test_housekeeping_is_told_from_loss() -> None:
    assert [row["Loss"] for row in drops(Drop(loss=0), Drop(loss=1))] == [0, 1]


def test_an_interface_of_another_namespace_has_no_name_here() -> None:
    rows = drops(Drop(elsewhere=1, netns=99), Drop(ifindex=5))
    assert [row["Interface"] for row in rows] == [None, "if5"]
    assert rows[0]["NetNs"] == 99


def test_names_that_come_later_hold_from_then_on() -> None:
    context = node()
    records = read_events(event_batch([Drop(reason=50)]).records).drops
    (before,) = decoded(records, drop_rows, context)
    context.names.add(pb.Names(drop_reasons={50: "TCP_RESET"}))
    (after,) = decoded(records, drop_rows, context)
    assert [before["Reason"], after["Reason"]] == ["50", "TCP_RESET"]


def test_a_state_change_has_every_value_in_its_column() -> None:
    (row,) = tcp_events(
        TcpEvent(
            event=wire.TCP_STATE,
            old_state=2,
            new_state=1,
            duration_ns=1_234_567,
            pid=4242,
            comm=b"curl".ljust(16, b"\0"),
            reason=3,
        )
    )
    assert row == {
        "TimeNs": 1_700_000_001_000_000_000,
        "Node": "node-a",
        "Interface": "eth0",
        "Event": "state",
        "SrcAddr": "10.0.0.1",
        "SrcPort": 40000,
        "DstAddr": "10.0.0.2",
        "DstPort": 443,
        "Segments": None,
        "State": "TCP_SYN_SENT",
        "NewState": "TCP_ESTABLISHED",
        "DurationMs": 1.235,
        "Reason": None,
        "Pid": 4242,
        "Command": "curl",
        "NetNs": 4026531840,
        "Generation": 1,
        "FilterId": None,
    }
    assert set(row) == {name for name in schema.TCP_EVENT.names if "K8S_" not in name}


def test_only_a_state_change_has_a_new_state_and_only_a_sent_reset_a_reason() -> None:
    rows = tcp_events(
        *(
            TcpEvent(event=event, new_state=1, duration_ns=10**6, reason=3, segments=2)
            for event in (1, 2, 3, 4)
        )
    )
    assert [row["Segments"] for row in rows] == [2, None, None, None]
    assert [row["Event"] for row in rows] == [
        "retransmit", "reset_sent", "reset_received", "state",
    ]  # fmt: skip
    assert [row["Reason"] for row in rows] == [None, "NO_SOCKET", None, None]
    assert [row["NewState"] for row in rows] == [None, None, None, "TCP_ESTABLISHED"]
    assert [row["DurationMs"] for row in rows] == [None, None, None, 1.0]


def test_what_is_not_known_of_a_socket_is_null() -> None:
    row, _ = tcp_events(
        TcpEvent(event=wire.TCP_STATE), TcpEvent(pid=1, comm=b"\xff" * 16, old_state=1)
    )
    names = ("State", "NewState", "DurationMs", "Pid", "Command")
    assert [row[name] for name in names] == [None] * len(names)


def test_a_command_that_is_no_text_is_shown_as_far_as_it_is() -> None:
    (row,) = tcp_events(TcpEvent(comm=b"a\xffb\0garbage".ljust(16, b"x")))
    assert row["Command"] == "a\N{REPLACEMENT CHARACTER}b"


def test_kinds_may_be_mixed_and_each_keeps_its_order() -> None:
    events = read_events(
        event_batch(
            [Drop(length=1), Dns(data=b"a" * 13), TcpEvent(pid=1), Drop(length=2), Dns(data=b"b")]
        ).records
    )
    assert events.count == 5
    assert events.drops["length"].tolist() == [1, 2]
    assert events.tcp["pid"].tolist() == [1]
    assert events.messages == [b"a" * 13, b"b"]


def test_every_event_has_the_filter_of_its_own_generation() -> None:
    rows = drops(Drop(generation=1, rule=0), Drop(generation=2, rule=1), Drop(generation=3, rule=0))
    assert [row["FilterId"] for row in rows] == [7, 9, None]


def test_the_head_of_an_event_holds_the_key_of_its_flow() -> None:
    at = wire.EVENT_HEAD.offset("src")
    for field in wire.FLOW_KEY.fields:
        assert wire.EVENT_HEAD.offset(field.name) == at + wire.FLOW_KEY.offset(field.name)


@pytest.mark.parametrize(
    ("events", "cut", "line"),
    [
        ([Drop()], 1, "event batch ends inside a record"),
        ([Drop(kind=9)], 0, "event batch has a record of unknown kind 9"),
        ([Dns(data=bytes(12))], 20, "event batch ends inside a record"),
    ],
)
def test_what_is_no_batch_is_refused(events: list[Any], cut: int, line: str) -> None:
    records = event_batch(events).records
    with pytest.raises(DecodeError, match=line):
        read_events(records[: len(records) - cut])


def test_a_message_longer_than_its_record_is_refused() -> None:
    records = bytearray(event_batch([Dns(data=bytes(12))]).records)
    struct.pack_into("<I", records, 8 + wire.DNS_EVENT.offset("cap_len"), 13)
    with pytest.raises(DecodeError, match="a record shorter than its message"):
        read_events(bytes(records))


def test_a_record_shorter_than_its_kind_is_refused() -> None:
    records = event_batch([Drop(kind=wire.EVENT_DNS)]).records
    with pytest.raises(DecodeError, match="a record shorter than its event"):
        read_events(records)


def test_an_empty_batch_has_no_events() -> None:
    events = read_events(b"")
    assert (events.count, len(events.dns), len(events.drops), len(events.tcp)) == (0, 0, 0, 0)


def _read(records: bytes) -> None:
    try:
        events = read_events(records)
    except DecodeError:
        return
    decoded(events.drops, drop_rows)
    decoded(events.tcp, tcp_event_rows)


@given(st.binary(max_size=400))
def test_any_bytes_are_either_events_or_refused(data: bytes) -> None:
    _read(data)


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=12))
def test_a_damaged_batch_is_either_events_or_refused(changes: list[tuple[int, int]]) -> None:
    records = bytearray(event_batch([Drop(), Dns(data=bytes(20)), TcpEvent()]).records)
    for place, value in changes:
        records[place % len(records)] = value
    _read(bytes(records))
