"""The records that leave the kernel: the only place that defines their bytes.

From one list of fields come the C struct that the BPF programs fill and the
numpy dtype that the collector reads them with, so the two cannot drift. Plain
data: nothing here imports numpy or bcc.

Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. Ports, lengths
and EtherTypes are in host order. Times are CLOCK_MONOTONIC nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 1
"""Of the wire format; a collector refuses an agent that speaks another."""

NO_RULE = 64
"""Rule index of a packet that no rule decided."""

MAX_ADDRESSES = 65_536
"""Addresses and prefixes that one generation's rules may name together."""

_C_TYPES = {"u1": "u8", "u2": "u16", "u4": "u32", "u8": "u64"}


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a record."""

    name: str
    type: str
    """Little-endian unsigned integer: u1, u2, u4 or u8 (bytes)."""
    count: int = 1
    """Elements; above 1 the member is an array."""

    @property
    def size(self) -> int:
        return int(self.type[1:]) * self.count


@dataclass(frozen=True, slots=True)
class Record:
    """A struct without implicit padding: each member is naturally aligned."""

    name: str
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        offset = 0
        for field in self.fields:
            if offset % int(field.type[1:]):
                raise ValueError(f"{self.name}.{field.name} is not aligned")
            offset += field.size
        if offset % 8:
            raise ValueError(f"{self.name} does not fill whole 8-byte words")

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(field.size for field in self.fields)

    def offset(self, name: str) -> int:
        """Of a member, in bytes; KeyError if there is none of that name."""
        offset = 0
        for field in self.fields:
            if field.name == name:
                return offset
            offset += field.size
        raise KeyError(name)

    def dtype(self) -> list[tuple[str, str] | tuple[str, str, tuple[int]]]:
        """What numpy.dtype() takes."""
        return [
            (f.name, f"<{f.type}") if f.count == 1 else (f.name, f"<{f.type}", (f.count,))
            for f in self.fields
        ]

    def c_struct(self) -> str:
        """The C declaration."""
        members = "".join(
            f"    {_C_TYPES[f.type]} {f.name}{'' if f.count == 1 else f'[{f.count}]'};\n"
            for f in self.fields
        )
        return f"struct {self.name} {{\n{members}}};\n"


FLOW_KEY = Record(
    "flow_key",
    (
        Field("src", "u1", 16),
        Field("dst", "u1", 16),
        Field("sport", "u2"),
        Field("dport", "u2"),
        Field("proto", "u1"),
        Field("icmp_type", "u1"),
        Field("icmp_code", "u1"),
        # 1: no transport header could be read (a later fragment whose first
        # one was not seen, a truncated packet); ports and ICMP fields are void.
        Field("headless", "u1"),
    ),
)

OTHER_INTERFACES = 6
"""Interfaces remembered beside the one that a flow is counted on."""

FLOW_VALUE = Record(
    "flow_value",
    (
        Field("first_ns", "u8"),
        Field("last_ns", "u8"),
        Field("bytes", "u8"),  # frame lengths, link header included
        Field("packets", "u4"),
        Field("ifindex", "u4"),  # the interface it is counted on
        Field("etype", "u2"),
        Field("flags", "u2"),  # TCP flags ORed; 0x100 SYN+ACK, 0x200 FIN+ACK, 0x400 RST+ACK
        Field("direction", "u1"),  # at ifindex: 0 ingress, 1 egress
        Field("dscp", "u1"),  # of the last packet
        Field("rule", "u1"),  # index of the rule that decided the first packet, or NO_RULE
        Field("others_lost", "u1"),  # 1: more interfaces than fit
        Field("src_mac", "u1", 6),
        Field("dst_mac", "u1", 6),
        Field("vlan", "u2"),  # tag of the first packet (TCI), 0: none
        Field("unused", "u2"),
        # Other interfaces that saw it: ifindex, bit 31 set for egress, 0: none.
        Field("others", "u4", OTHER_INTERFACES),
    ),
)

RING_HEADER = Record("ring_header", (Field("length", "u4"), Field("page", "u4")))
"""The kernel's, include/uapi/linux/bpf.h; a record starts every 8 bytes' multiple."""

PACKET = Record(
    "packet_head",
    (
        Field("time_ns", "u8"),
        Field("orig_len", "u4"),  # frame length; add 4 when vlan_proto is set
        Field("cap_len", "u4"),  # bytes that follow this head
        Field("ifindex", "u4"),
        Field("generation", "u4"),
        Field("src", "u1", 16),
        Field("dst", "u1", 16),
        Field("sport", "u2"),
        Field("dport", "u2"),
        Field("proto", "u1"),
        Field("icmp_type", "u1"),
        Field("icmp_code", "u1"),
        Field("headless", "u1"),
        Field("etype", "u2"),  # 0x0800 and 0x86dd have addresses, others none
        Field("vlan_tci", "u2"),  # of the outermost tag
        # Not 0: the tag was taken off by the driver or the stack and stands
        # here alone (TPID); it belongs back at byte 12 of the frame.
        Field("vlan_proto", "u2"),
        Field("flags", "u1"),  # TCP
        Field("dscp", "u1"),
        Field("direction", "u1"),
        Field("rule", "u1"),
        Field("unused", "u1", 6),
    ),
)

COUNTERS = (
    # name, what it counts; packets unless the name says bytes
    ("seen", "packets at the hooks while capturing"),
    ("seen_bytes", "frame lengths of what was seen"),
    ("not_ip", "seen, neither IPv4 nor IPv6"),
    ("malformed", "seen, IP with a header cut short or invalid"),
    ("sampled_out", "left out by sampling"),
    ("flow_accepted", "accepted by the filters for flows"),
    ("flow_rejected", "rejected by the filters for flows"),
    ("flow_other_interface", "accepted, already counted on another interface"),
    ("flow_lost_full", "lost: flow map full"),
    ("flow_lost_full_bytes", "lost: frame lengths of those packets"),
    ("packet_accepted", "accepted by the filters for packets"),
    ("packet_rejected", "rejected by the filters for packets"),
    ("packet_lost_ring", "lost: ring buffer full"),
    ("packet_lost_ring_bytes", "lost: bytes that would have been kept"),
    ("fragment_followed", "later fragments attributed to their first one"),
    ("fragment_unattributed", "later fragments whose first one was not seen"),
)
"""Kernel counters, in the order of the C struct (u64 each, per CPU)."""


def c_declarations() -> str:
    """C text of every record, the counters and the constants that go with them."""
    counters = "".join(f"    u64 {name};\n" for name, _ in COUNTERS)
    records = "".join(r.c_struct() for r in (FLOW_KEY, FLOW_VALUE, PACKET))
    return (
        f"#define NO_RULE {NO_RULE}\n"
        f"#define OTHER_INTERFACES {OTHER_INTERFACES}\n"
        f"#define MAX_ADDRESSES {MAX_ADDRESSES}\n"
        f"{records}struct counters {{\n{counters}}};\n"
    )
