"""Batches as an agent's kernel would lay them out, built with numpy from the wire format.

Invariant: nothing of the collector is used here, so it cannot agree with itself.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent import wire
from agent.proto import agentlink_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FLOW_KEY = np.dtype(wire.FLOW_KEY.dtype())
FLOW_VALUE = np.dtype(wire.FLOW_VALUE.dtype())
FLOW_EXTRA = np.dtype(wire.FLOW_EXTRA.dtype())
PACKET = np.dtype(wire.PACKET.dtype())
DNS_EVENT = np.dtype(wire.DNS_EVENT.dtype())
DROP_EVENT = np.dtype(wire.DROP_EVENT.dtype())
TCP_EVENT = np.dtype(wire.TCP_EVENT.dtype())
DISCARDED = 1 << 30

CLOCK_OFFSET_NS = 1_700_000_000_000_000_000


def address(text: str) -> bytes:
    """16 bytes in network order, IPv4 mapped."""
    parsed = ipaddress.ip_address(text)
    return parsed.packed if parsed.version == 6 else bytes(10) + b"\xff\xff" + parsed.packed


def as_octets(data: bytes) -> NDArray[np.uint8]:
    """Bytes as an array."""
    return np.frombuffer(data, np.uint8)


@dataclass(frozen=True, slots=True)
class Flow:
    """One entry of a flow map."""

    src: str = "10.0.0.1"
    dst: str = "10.0.0.2"
    sport: int = 40000
    dport: int = 443
    proto: int = 6
    icmp_type: int = 0
    icmp_code: int = 0
    headless: int = 0
    first_ns: int = 1_000_000_000
    last_ns: int = 2_000_000_000
    octets: int = 1500
    """The member `bytes` of the record."""
    packets: int = 3
    ifindex: int = 2
    etype: int = 0x0800
    flags: int = 0x12
    direction: int = 0
    dscp: int = 0
    rule: int = wire.NO_RULE
    src_mac: bytes = b"\x02\x00\x00\x00\x00\x0a"
    dst_mac: bytes = b"\x02\x00\x00\x00\x00\x0b"
    others: tuple[int, ...] = ()


def _fill(record: Any, source: object, names: Sequence[str]) -> None:
    for name in names:
        value = getattr(source, "octets" if name == "bytes" else name, 0)
        if isinstance(value, str):
            record[name] = as_octets(address(value))
        elif isinstance(value, bytes):
            record[name] = as_octets(value)
        elif isinstance(value, tuple):
            record[name][: len(value)] = value
        else:
            record[name] = value


@dataclass(frozen=True, slots=True)
class Extra:
    """What features saw of one flow in an eviction window."""

    src: str = "10.0.0.1"
    dst: str = "10.0.0.2"
    sport: int = 40000
    dport: int = 443
    proto: int = 6
    seen: int = 0
    first_ns: int = 1_000_000_000
    last_ns: int = 2_000_000_000
    handshake_ns: int = 0
    syn_ack_ns: int = 0
    dns_latency_ns: int = 0
    drop_bytes: int = 0
    drop_packets: int = 0
    drop_reason: int = 0
    srtt_us: int = 0
    retransmits: int = 0
    dns_id: int = 0
    dns_flags: int = 0
    drop_flags: int = 0
    etype: int = 0x0800
    drop_state: int = 0
    dns_errno: int = 0
    rule: int = wire.NO_RULE


def extra_batch(
    extras: Sequence[Extra],
    flows: Sequence[Flow] = (),
    *,
    generation: int = 1,
    last: bool = False,
    features: Sequence[str] = wire.FEATURES,
) -> pb.FlowBatch:
    """Part of an eviction window of an agent whose features are on."""
    keys = np.zeros(len(extras), FLOW_KEY)
    values = np.zeros(len(extras), FLOW_EXTRA)
    for position, extra in enumerate(extras):
        _fill(keys[position], extra, FLOW_KEY.names or ())
        _fill(values[position], extra, FLOW_EXTRA.names or ())
    batch = flow_batch(flows, generation=generation)
    batch.extra_count = len(extras)
    batch.extra_keys, batch.extra_values = keys.tobytes(), values.tobytes()
    batch.last = last
    batch.features.extend(features)
    return batch


def flow_batch(flows: Sequence[Flow], *, generation: int = 1) -> pb.FlowBatch:
    """A drained flow map."""
    keys = np.zeros(len(flows), FLOW_KEY)
    values = np.zeros(len(flows), FLOW_VALUE)
    for position, flow in enumerate(flows):
        _fill(keys[position], flow, FLOW_KEY.names or ())
        _fill(values[position], flow, FLOW_VALUE.names or ())
    return pb.FlowBatch(
        generation=generation,
        clock_offset_ns=CLOCK_OFFSET_NS,
        count=len(flows),
        keys=keys.tobytes(),
        values=values.tobytes(),
    )


def many_flows(count: int, *, seed: int = 1, generation: int = 1, spread: int = 16) -> pb.FlowBatch:
    """A drained flow map of many different flows; each end has spread * 256 addresses."""
    random = np.random.default_rng(seed)
    keys = np.zeros(count, FLOW_KEY)
    for end in ("src", "dst"):
        keys[end][:, 10:12] = 0xFF
        keys[end][:, 12:] = random.integers(0, 256, (count, 4))
        keys[end][:, 12], keys[end][:, 13] = 10, 1 + (end == "dst")
        keys[end][:, 14] %= spread
    keys["sport"] = random.integers(1024, 65536, count)
    keys["dport"] = random.choice([53, 80, 443, 8080], count)
    keys["proto"] = random.choice([6, 6, 6, 17], count)
    values = np.zeros(count, FLOW_VALUE)
    # Windows follow each other, as those of a busy node do.
    values["first_ns"] = 10**9 + seed * 10**8 + random.integers(0, 10**9, count)
    values["last_ns"] = values["first_ns"] + random.integers(0, 10**9, count).astype("u8")
    values["packets"] = random.integers(1, 100, count)
    values["bytes"] = values["packets"] * random.integers(60, 1500, count).astype("u8")
    values["ifindex"] = 2
    values["etype"] = 0x0800
    values["flags"] = 0x1B
    values["rule"] = wire.NO_RULE
    values["src_mac"] = as_octets(b"\x02\x00\x00\x00\x00\x0a")
    values["dst_mac"] = as_octets(b"\x02\x00\x00\x00\x00\x0b")
    return pb.FlowBatch(
        generation=generation,
        clock_offset_ns=CLOCK_OFFSET_NS,
        count=count,
        keys=keys.tobytes(),
        values=values.tobytes(),
    )


@dataclass(frozen=True, slots=True)
class Packet:
    """One record of a packet ring."""

    data: bytes = b"\x02" * 12 + b"\x08\x00" + b"E" + bytes(40)
    time_ns: int = 1_000_000_000
    orig_len: int = 0
    """0: as long as the data."""
    ifindex: int = 2
    generation: int = 1
    src: str = "10.0.0.1"
    dst: str = "10.0.0.2"
    sport: int = 40000
    dport: int = 443
    proto: int = 6
    icmp_type: int = 0
    icmp_code: int = 0
    headless: int = 0
    etype: int = 0x0800
    vlan_tci: int = 0
    vlan_proto: int = 0
    flags: int = 0x10
    dscp: int = 0
    direction: int = 0
    rule: int = wire.NO_RULE
    discarded: bool = False

    def record(self) -> bytes:
        """With its ring header."""
        head = np.zeros(1, PACKET)
        names = [name for name in PACKET.names or () if name not in ("orig_len", "cap_len")]
        _fill(head[0], self, names)
        head["orig_len"], head["cap_len"] = self.orig_len or len(self.data), len(self.data)
        return ring_record(head.tobytes() + self.data, discarded=self.discarded)


def ring_record(body: bytes, *, discarded: bool = False) -> bytes:
    """A record up to the next multiple of 8; the gap is not zero."""
    length = len(body) | (DISCARDED if discarded else 0)
    return struct.pack("<II", length, 3) + body + b"\xee" * (-len(body) % 8)


@dataclass(frozen=True, slots=True)
class Event:
    """How every record of an event ring starts."""

    time_ns: int = 1_000_000_000
    ifindex: int = 2
    generation: int = 1
    src: str = "10.0.0.1"
    dst: str = "10.0.0.2"
    sport: int = 40000
    dport: int = 443
    proto: int = 6
    icmp_type: int = 0
    icmp_code: int = 0
    headless: int = 0
    etype: int = 0x0800
    kind: int = 0
    """0: as the class says."""
    rule: int = wire.NO_RULE
    direction: int = 0
    flags: int = 0
    elsewhere: int = 0
    netns: int = 4026531840

    def _record(self, dtype: np.dtype[Any], kind: int, **others: int) -> bytes:
        head = np.zeros(1, dtype)
        _fill(head[0], self, [name for name in dtype.names or () if hasattr(self, name)])
        head["kind"] = self.kind or kind
        for name, value in others.items():
            head[name] = value
        return head.tobytes()


@dataclass(frozen=True, slots=True)
class Dns(Event):
    """A DNS message; its id and flags stand in `data`."""

    dport: int = 53
    proto: int = 17
    data: bytes = b""
    latency_ns: int = 0
    query_ns: int = 0
    message_len: int = 0
    """0: as long as the data."""
    retries: int = 0
    errno: int = 0

    def record(self) -> bytes:
        """With its ring header and the message."""
        dns_id, flags = struct.unpack(">HH", self.data[:4].ljust(4, b"\0"))
        head = self._record(
            DNS_EVENT,
            wire.EVENT_DNS,
            id=dns_id,
            flags2=flags,
            cap_len=len(self.data),
            message_len=self.message_len or len(self.data),
        )
        return ring_record(head + self.data)


@dataclass(frozen=True, slots=True)
class Drop(Event):
    """A packet that the kernel threw away."""

    location: int = 0xFFFFFFFF81000010
    reason: int = 2
    length: int = 60
    state: int = 0
    loss: int = 1

    def record(self) -> bytes:
        """With its ring header."""
        return ring_record(self._record(DROP_EVENT, wire.EVENT_DROP))


@dataclass(frozen=True, slots=True)
class TcpEvent(Event):
    """A retransmit, a reset or a state change."""

    duration_ns: int = 0
    pid: int = 0
    reason: int = 0
    event: int = wire.TCP_RETRANSMIT
    old_state: int = 0
    new_state: int = 0
    segments: int = 0
    comm: bytes = bytes(16)

    def record(self) -> bytes:
        """With its ring header."""
        return ring_record(self._record(TCP_EVENT, wire.EVENT_TCP))


def event_batch(events: Sequence[Dns | Drop | TcpEvent]) -> pb.EventBatch:
    """A run of event ring records."""
    return pb.EventBatch(
        clock_offset_ns=CLOCK_OFFSET_NS,
        count=len(events),
        records=b"".join(event.record() for event in events),
    )


def packet_batch(packets: Sequence[Packet]) -> pb.PacketBatch:
    """A run of ring records."""
    return pb.PacketBatch(
        clock_offset_ns=CLOCK_OFFSET_NS,
        count=sum(not packet.discarded for packet in packets),
        records=b"".join(packet.record() for packet in packets),
    )


def many_packets(count: int, *, size: int, start_ns: int = 10**9) -> pb.PacketBatch:
    """A run of ring records of Ethernet frames of one size."""
    data = b"\x02" * 12 + b"\x08\x00" + bytes(size - 14)
    length = PACKET.itemsize + len(data)
    step = 8 + length + -length % 8
    record = np.frombuffer(Packet(data=data).record(), np.uint8)
    records = np.tile(record, (count, 1))
    times = (start_ns + np.arange(count, dtype="<u8") * 1000).view(np.uint8).reshape(count, 8)
    records[:, 8:16] = times
    assert records.shape[1] == step
    return pb.PacketBatch(clock_offset_ns=CLOCK_OFFSET_NS, count=count, records=records.tobytes())
