"""The records that leave the kernel: the only place that defines their bytes.

From one list of fields come the C struct that the BPF programs fill and the
numpy dtype that the collector reads them with, so the two cannot drift. Plain
data: nothing here imports numpy or bcc.

Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. Ports, lengths
and EtherTypes are in host order. Times are CLOCK_MONOTONIC nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 2
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


_KEY = (
    Field("src", "u1", 16),
    Field("dst", "u1", 16),
    Field("sport", "u2"),
    Field("dport", "u2"),
    Field("proto", "u1"),
    Field("icmp_type", "u1"),
    Field("icmp_code", "u1"),
    # 1: no transport header could be read (a later fragment whose first one was
    # not seen, a truncated packet); ports and ICMP fields are void.
    Field("headless", "u1"),
)

FLOW_KEY = Record("flow_key", _KEY)

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
        *_KEY,
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

FEATURES = ("dns", "drops", "rtt", "tcp")
"""What can be observed beside flows and packets, each switched by itself."""

MAX_DNS_PORTS = 8
"""Ports that may be taken for DNS at once."""

DNS_SNAP = 4096
"""Bytes kept of a DNS message."""

EXTRA_DNS, EXTRA_RTT, EXTRA_HANDSHAKE, EXTRA_DROP, EXTRA_RETRANSMIT = 1, 2, 4, 8, 16
"""Bits of flow_extra.seen: which of its members hold something."""

FLOW_EXTRA = Record(
    "flow_extra",
    (
        Field("first_ns", "u8"),  # what of it was seen first and last
        Field("last_ns", "u8"),
        Field("handshake_ns", "u8"),  # SYN to the ACK that completes, in the client's direction
        Field("syn_ack_ns", "u8"),  # SYN to SYN+ACK, part of the former
        Field("dns_latency_ns", "u8"),  # of the slowest response; 0: its query was not seen
        Field("drop_bytes", "u8"),  # from the IP header on
        Field("drop_packets", "u4"),  # lost ones only
        Field("drop_reason", "u4"),  # of the last
        Field("srtt_us", "u4"),  # largest smoothed round-trip time, in the receiver's direction
        Field("retransmits", "u4"),
        Field("dns_id", "u2"),  # of the slowest response
        Field("dns_flags", "u2"),  # second word of its header, RFC 1035 4.1.1
        Field("drop_flags", "u2"),  # TCP flags of the last, as in flow_value.flags
        Field("etype", "u2"),
        Field("drop_state", "u1"),  # TCP state of the last one's socket, 0: none
        Field("dns_errno", "u1"),  # 0, ENOENT: query not seen, EINVAL: cut short
        Field("seen", "u1"),  # EXTRA_...
        Field("rule", "u1"),  # index of the rule that let the first in, or NO_RULE
        Field("unused", "u4"),
    ),
)
"""What the features saw of one flow in one eviction window; its key is a flow_key."""

EVENT_DNS, EVENT_DROP, EVENT_TCP = 1, 2, 3
"""event_head.kind."""

_EVENT_HEAD = (
    Field("time_ns", "u8"),
    Field("ifindex", "u4"),  # in its own network namespace, 0: not known
    Field("generation", "u4"),
    *_KEY,
    Field("etype", "u2"),
    Field("kind", "u1"),  # EVENT_...
    Field("rule", "u1"),
    Field("direction", "u1"),  # 0 ingress, 1 egress
    Field("flags", "u1"),  # TCP
    Field("elsewhere", "u1"),  # 1: not in the agent's network namespace
    Field("unused", "u1"),
    Field("netns", "u4"),  # inode of the network namespace, 0: not known
    Field("unused2", "u4"),
)

EVENT_HEAD = Record("event_head", _EVENT_HEAD)
"""How every record of the event ring starts."""

DNS_EVENT = Record(
    "dns_event",
    (
        *_EVENT_HEAD,
        Field("latency_ns", "u8"),  # of a response, since the first query; 0: query not seen
        Field("query_ns", "u8"),  # when the first query was seen; 0: it was not
        Field("message_len", "u4"),  # bytes of the message as it says or as its datagram has
        Field("cap_len", "u4"),  # bytes of it that follow
        Field("id", "u2"),
        Field("flags2", "u2"),  # second word of the header; bit 15: a response
        Field("retries", "u2"),  # queries of the same id before this message, less one
        Field("errno", "u1"),  # as flow_extra.dns_errno
        Field("unused3", "u1"),
    ),
)
"""One DNS message: the query and the response each make one."""

DROP_EVENT = Record(
    "drop_event",
    (
        *_EVENT_HEAD,
        Field("location", "u8"),  # address of the code that dropped it
        Field("reason", "u4"),
        Field("length", "u4"),  # from the IP header on
        Field("state", "u1"),  # TCP state of its socket, 0: none
        Field("loss", "u1"),  # 0: housekeeping, nobody misses it
        Field("unused3", "u1", 6),
    ),
)

TCP_RETRANSMIT, TCP_RESET_SENT, TCP_RESET_RECEIVED, TCP_STATE = 1, 2, 3, 4
"""tcp_event.event."""

TCP_EVENT = Record(
    "tcp_event",
    (
        *_EVENT_HEAD,  # src is the sender of the packet; the local end for TCP_STATE
        Field("duration_ns", "u8"),  # TCP_STATE: how long it was in old_state; 0: not known
        Field("pid", "u4"),  # owner of the socket, 0: not known
        Field("reason", "u4"),  # TCP_RESET_SENT: enum sk_rst_reason
        Field("event", "u1"),  # TCP_...
        Field("old_state", "u1"),  # before; for the others the state it is in, 0: none
        Field("new_state", "u1"),  # TCP_STATE only
        Field("unused3", "u1"),
        Field("segments", "u2"),  # TCP_RETRANSMIT: that its packet holds
        Field("unused4", "u2"),
        Field("comm", "u1", 16),  # of the owner, NUL-padded
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
    ("dns_messages", "DNS messages of accepted packets"),
    ("dns_unread", "packets on a DNS port whose message could not be found or read"),
    ("drops", "packets dropped on the node that the filters accept"),
    ("drops_no_loss", "such that nobody misses: consumed, duplicate, left at a close"),
    ("tcp_events", "retransmits, resets and state changes that the filters accept"),
    ("extra_lost_full", "lost: what features saw of flows, its map full"),
    ("event_lost_ring", "lost: DNS messages, drops and TCP events, event ring full"),
)
"""Kernel counters, in the order of the C struct (u64 each, per CPU)."""


def c_declarations() -> str:
    """C text of every record, the counters and the constants that go with them."""
    counters = "".join(f"    u64 {name};\n" for name, _ in COUNTERS)
    records = "".join(
        r.c_struct()
        for r in (
            FLOW_KEY,
            FLOW_VALUE,
            PACKET,
            FLOW_EXTRA,
            EVENT_HEAD,
            DNS_EVENT,
            DROP_EVENT,
            TCP_EVENT,
        )
    )
    named = ("MAX_DNS_PORTS", "DNS_SNAP", "EXTRA_DNS", "EXTRA_RTT", "EXTRA_HANDSHAKE", "EXTRA_DROP",
             "EXTRA_RETRANSMIT", "EVENT_DNS", "EVENT_DROP", "EVENT_TCP", "TCP_RETRANSMIT",
             "TCP_RESET_SENT", "TCP_RESET_RECEIVED", "TCP_STATE")  # fmt: skip
    constants = "".join(f"#define {name} {globals()[name]}\n" for name in named)
    return (
        f"#define NO_RULE {NO_RULE}\n"
        f"#define OTHER_INTERFACES {OTHER_INTERFACES}\n"
        f"#define MAX_ADDRESSES {MAX_ADDRESSES}\n"
        f"{constants}{records}struct counters {{\n{counters}}};\n"
    )
