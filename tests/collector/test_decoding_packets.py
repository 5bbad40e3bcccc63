"""Packet batches become rows and blocks; what is no batch is refused."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nshell.collector.decode.packets import PacketBlocks, decode_packets
from nshell.collector.decode.rows import Cell, DecodeError, GenerationKey, NodeContext
from nshell.collector.decode.texts import Texts
from nshell.collector.interfaces import RAW_IP, Interface
from nshell.collector.storage.segments import InterfaceBlocks
from tests.collector.wiretap import Packet, packet_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.proto import agentlink_pb2 as pb

GENERATIONS = {1: GenerationKey((7,), 1), 2: GenerationKey((8, 9), 1)}


def decode_batch(batch: pb.PacketBatch) -> PacketBlocks | None:
    """On a node with eth0 as 2 and tun0, without a link header, as 7."""
    context = NodeContext("node-a", "192.0.2.1")
    context.interfaces.replace([Interface(2, "eth0"), Interface(7, "tun0", link_type=RAW_IP)])
    blocks = InterfaceBlocks()
    return decode_packets(
        batch,
        context,
        texts=Texts(),
        generations=GENERATIONS,
        interface_id=lambda interface: blocks.number("node-a", interface),
    )


def rows_of(*packets: Packet) -> Sequence[dict[str, Cell]]:
    """Rows by column."""
    decoded = decode_batch(packet_batch(packets))
    assert decoded is not None
    columns = decoded.rows.columns
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def test_every_packet_has_the_filter_of_its_own_generation() -> None:
    rows = rows_of(
        Packet(generation=1, rule=0),
        Packet(generation=2, rule=0),
        Packet(generation=2, rule=1),
        Packet(generation=1, rule=1),
        Packet(generation=3, rule=0),
    )
    assert [row["Generation"] for row in rows] == [1, 2, 2, 1, 3]
    assert [row["FilterId"] for row in rows] == [7, 8, 9, None, None]


def test_times_keep_their_nanoseconds() -> None:
    (row,) = rows_of(Packet(time_ns=123_456_789))
    assert row["TimeNs"] == 1_700_000_000_123_456_789


def test_a_tag_is_shown_and_counted_where_it_was_taken_off_the_frame() -> None:
    untagged, taken_off, in_frame = rows_of(
        Packet(data=bytes(60)),
        Packet(data=bytes(60), vlan_proto=0x8100, vlan_tci=0x6007, orig_len=100),
        Packet(data=bytes(64), vlan_tci=9),
    )
    assert [row["Vlan"] for row in (untagged, taken_off, in_frame)] == [None, 7, 9]
    assert [row["CapLen"] for row in (untagged, taken_off, in_frame)] == [60, 64, 64]
    assert [row["Length"] for row in (untagged, taken_off, in_frame)] == [60, 104, 64]


@pytest.mark.parametrize("length", range(14))
def test_a_tag_goes_only_into_a_frame_that_has_room_for_it(length: int) -> None:
    (row,) = rows_of(Packet(data=bytes(length), vlan_proto=0x8100, vlan_tci=7, orig_len=60))
    assert row["CapLen"] == length + 4 * (length >= 12)
    assert row["Length"] == 64


def test_packets_without_a_link_header_get_no_tag() -> None:
    (row,) = rows_of(Packet(data=bytes(60), ifindex=7, vlan_proto=0x8100, vlan_tci=7))
    assert (row["CapLen"], row["Length"]) == (60, 60)


def test_discarded_records_are_skipped() -> None:
    rows = rows_of(Packet(sport=1), Packet(sport=2, discarded=True), Packet(sport=3))
    assert [row["SrcPort"] for row in rows] == [1, 3]
    assert decode_batch(packet_batch([Packet(discarded=True)])) is None


def test_an_empty_batch_is_no_packet() -> None:
    assert decode_batch(packet_batch([])) is None


def test_a_batch_may_end_without_the_gap_behind_its_last_record() -> None:
    batch = packet_batch([Packet(data=bytes(61))])
    batch.records = batch.records[: 8 + 80 + 61]
    decoded = decode_batch(batch)
    assert decoded is not None
    assert decoded.rows.count == 1


@pytest.mark.parametrize("cut", [1, 9, 80, 100])
def test_a_batch_that_ends_inside_a_record_is_refused(cut: int) -> None:
    batch = packet_batch([Packet(), Packet(data=bytes(64))])
    batch.records = batch.records[:-cut]
    with pytest.raises(DecodeError, match="packet batch ends inside a record"):
        decode_batch(batch)


def test_a_record_shorter_than_its_packet_is_refused() -> None:
    batch = packet_batch([Packet(data=bytes(64))])
    records = bytearray(batch.records)
    struct.pack_into("<I", records, 8 + 12, 200)
    batch.records = bytes(records)
    with pytest.raises(DecodeError, match="a record shorter than its packet"):
        decode_batch(batch)


@given(st.binary(max_size=400))
def test_any_bytes_are_either_packets_or_refused(data: bytes) -> None:
    batch = packet_batch([])
    batch.records = data
    try:
        decode_batch(batch)
    except DecodeError:
        return


@given(st.lists(st.integers(0, 255), min_size=1, max_size=8), st.binary(max_size=90))
def test_a_damaged_batch_is_either_packets_or_refused(places: list[int], junk: bytes) -> None:
    batch = packet_batch([Packet(data=bytes(20)), Packet(data=bytes(33))])
    records = bytearray(batch.records)
    for place, value in zip(places, junk, strict=False):
        records[place % len(records)] = value
    batch.records = bytes(records)
    try:
        decode_batch(batch)
    except DecodeError:
        return
