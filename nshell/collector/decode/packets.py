"""Packet batches to rows of the packet table and to pcapng blocks.

Invariant: the bytes of a packet go from the batch to the file without a copy
per packet; a tag that stood only in metadata is back in its frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent import wire
from nshell.collector.decode.ringrecords import HEADER_BYTES, ring_records
from nshell.collector.decode.rows import (
    IPV4,
    IPV6,
    Cell,
    DecodeError,
    GenerationKey,
    NodeContext,
    Rows,
    fields,
    filter_ids_of,
    headers,
    nullable,
    nullable_texts,
)
from nshell.collector.decode.texts import Texts, byte_keys
from nshell.collector.interfaces import ETHERNET
from nshell.collector.storage import pcapng

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from agent.proto import agentlink_pb2
    from nshell.collector.interfaces import Interface

HEAD = np.dtype(wire.PACKET.dtype())
_DATA = HEADER_BYTES + HEAD.itemsize
_TAG_BYTES = 4
_MACS_BYTES = 12
_BOUNDARY = np.dtype([("tail", pcapng.EPB_TAIL), ("head", pcapng.EPB_HEAD)])


@dataclass(frozen=True, slots=True)
class PacketBlocks:
    """A decoded batch: what goes to the segment file and to the packet table."""

    blocks: bytes
    """One enhanced packet block per row, in order."""
    offsets: NDArray[np.int64]
    """Of each block in `blocks`."""
    rows: Rows
    """Without Segment and Offset, which only the file knows."""


@dataclass(frozen=True, slots=True)
class _Frames:
    """The packets of a batch as they go to the file, and where they stand."""

    heads: NDArray[Any]
    octets: NDArray[np.uint8]
    """The records, with tags put back and padding cleared."""
    data: NDArray[np.int64]
    """Where each frame starts in them."""
    cap_len: NDArray[np.int64]
    length: NDArray[np.int64]
    """On the wire."""

    @property
    def padded(self) -> NDArray[np.int64]:
        """Bytes that each frame fills in its block."""
        return (self.cap_len + 3) & ~3


def _frames(records: bytes, context: NodeContext) -> _Frames | None:
    """None when there is no packet; DecodeError if this is no run of records."""
    run = ring_records(records, "packet")
    heads = run.heads(HEAD)
    if not len(heads):
        return None
    if (heads["cap_len"].astype(np.int64) + HEAD.itemsize > run.lengths).any():
        raise DecodeError("packet batch has a record shorter than its packet")
    table = context.interfaces
    link_type = _per_interface(heads["ifindex"], lambda index: table.get(index).link_type)
    tag_lost = (heads["vlan_proto"] != 0) & (link_type == ETHERNET)
    tag_back = tag_lost & (heads["cap_len"] >= _MACS_BYTES)
    data = run.starts + _DATA
    _insert_tags(run.words, data[tag_back], heads[tag_back])
    frames = _Frames(
        heads,
        run.octets,
        data=data - _TAG_BYTES * tag_back,
        cap_len=heads["cap_len"].astype(np.int64) + _TAG_BYTES * tag_back,
        length=heads["orig_len"].astype(np.int64) + _TAG_BYTES * tag_lost,
    )
    _clear_padding(run.octets, frames.data + frames.cap_len)
    return frames


def _insert_tags(
    words: NDArray[np.uint32],
    data: NDArray[np.int64],
    heads: NDArray[Any],
) -> None:
    """Move the MAC addresses over the end of the head and set the tag behind them."""
    first = data >> 2
    for word in range(_MACS_BYTES // 4):
        words[first + word - 1] = words[first + word]
    tag = (heads["vlan_proto"].astype(np.uint32) << 16) | heads["vlan_tci"]
    words[first + _MACS_BYTES // 4 - 1] = tag.astype(">u4").view("<u4")


def _clear_padding(octets: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
    for byte in range(3):
        short = (-ends) % 4 > byte
        octets[ends[short] + byte] = 0


def _boundaries(
    frames: _Frames, *, interface: NDArray[np.int64], time_ns: NDArray[np.int64]
) -> memoryview:
    """Between two packets: the end of one block and the start of the next."""
    count = len(frames.heads)
    between = np.zeros(count + 1, _BOUNDARY)
    head, tail = between["head"][:count], between["tail"][1:]
    head["type"] = pcapng.ENHANCED_PACKET
    head["total"] = tail["total"] = frames.padded + pcapng.EPB_OVERHEAD
    head["interface"] = interface
    head["time_high"] = time_ns >> 32
    head["time_low"] = time_ns & 0xFFFFFFFF
    head["cap_len"] = frames.cap_len
    head["orig_len"] = frames.length
    tail["flags_code"], tail["flags_length"] = pcapng.FLAGS_OPTION
    inbound = frames.heads["direction"] == 0
    tail["flags"] = np.where(inbound, pcapng.INBOUND, pcapng.OUTBOUND)
    return memoryview(between.tobytes())


def _join(frames: _Frames, between: memoryview) -> bytes:
    packets = memoryview(frames.octets.data)
    starts, ends = frames.data.tolist(), (frames.data + frames.padded).tolist()
    step, tail = _BOUNDARY.itemsize, pcapng.EPB_TAIL.itemsize
    pieces: list[memoryview] = [between] * (2 * len(starts) + 1)
    pieces[0::2] = [between[at : at + step] for at in range(0, step * (len(starts) + 1), step)]
    # No block ends before the first packet and none starts after the last.
    pieces[0] = pieces[0][tail:]
    pieces[-1] = pieces[-1][:tail]
    pieces[1::2] = [packets[start:end] for start, end in zip(starts, ends, strict=True)]
    return b"".join(pieces)


def _columns(
    heads: NDArray[Any],
    context: NodeContext,
    *,
    texts: Texts,
    generations: Mapping[int, GenerationKey],
) -> dict[str, Sequence[Cell]]:
    is_ip = (heads["etype"] == IPV4) | (heads["etype"] == IPV6)
    # A tag in the frame is told by the TCI alone; tag 0 is a priority tag.
    tagged = (heads["vlan_proto"] != 0) | (heads["vlan_tci"] != 0)
    return {
        "SrcAddr": nullable_texts(texts.addresses.texts(byte_keys(heads["src"])), is_ip),
        "DstAddr": nullable_texts(texts.addresses.texts(byte_keys(heads["dst"])), is_ip),
        **headers(fields(heads)),
        "Vlan": nullable(heads["vlan_tci"] & 0xFFF, tagged),
        "Interface": context.interfaces.names(heads["ifindex"].tolist()),
        "Generation": heads["generation"].tolist(),
        "FilterId": filter_ids_of(heads, generations),
    }


def _per_interface(ifindexes: NDArray[np.uint32], value: Callable[[int], int]) -> NDArray[np.int64]:
    distinct, inverse = np.unique(ifindexes, return_inverse=True)
    return np.array([value(each) for each in distinct.tolist()], np.int64)[inverse]


def decode_packets(
    batch: agentlink_pb2.PacketBatch,
    context: NodeContext,
    *,
    texts: Texts,
    generations: Mapping[int, GenerationKey],
    interface_id: Callable[[Interface], int],
) -> PacketBlocks | None:
    """Rows and blocks of a batch; None when it holds no packet.

    interface_id numbers the interfaces of the files; DecodeError tells of bytes
    that are not a run of ring records.
    """
    frames = _frames(batch.records, context)
    if frames is None:
        return None
    heads, table = frames.heads, context.interfaces
    time_ns = heads["time_ns"].astype(np.int64) + batch.clock_offset_ns
    between = _boundaries(
        frames,
        interface=_per_interface(heads["ifindex"], lambda index: interface_id(table.get(index))),
        time_ns=time_ns,
    )
    columns = _columns(heads, context, texts=texts, generations=generations)
    columns |= {
        "TimeNs": time_ns.tolist(),
        "Length": frames.length.tolist(),
        "CapLen": frames.cap_len.tolist(),
    }
    sizes = frames.padded + pcapng.EPB_OVERHEAD
    return PacketBlocks(
        _join(frames, between),
        np.cumsum(sizes) - sizes,
        Rows("packet", len(heads), columns, {"Node": context.node}),
    )
