"""The tables of a capture as data: names, types and what each column means.

Invariant: every table and column that a user can query is declared here, those
of views in their own module; what reads or writes rows takes the names from
these declarations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.collector.clustertables import (
    FLOW_LAYER,
    IP_OWNER,
    NODE,
    POD,
    SERVICE,
    WHO,
    WHO_ENDS,
    owner,
)
from nshell.collector.relations import Relation, Table, columns
from nshell.collector.views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PAGE_BYTES = 8192
"""Twice SQLite's default: wide rows, appended in bulk, fill fewer pages."""


_ENDS = (
    "SrcAddr TEXT source address; NULL when not IP",
    "DstAddr TEXT destination address; NULL when not IP",
    "SrcPort INTEGER source port; NULL when the protocol has none or it was not seen",
    "DstPort INTEGER destination port; NULL when the protocol has none or it was not seen",
    "Proto INTEGER IP protocol number; proto_name(Proto) names it",
    "Etype INTEGER EtherType, 2048 IPv4, 34525 IPv6",
)
_DETAILS = (
    "Flags INTEGER TCP flags; NULL when not TCP",
    "Dscp INTEGER differentiated services code point",
    "IcmpType INTEGER ICMP or ICMPv6 type; NULL when neither",
    "IcmpCode INTEGER ICMP or ICMPv6 code; NULL when neither",
)
_GENERATION = (
    "Generation INTEGER number of the filter set that captured it",
    "FilterId INTEGER filter that let it in; NULL when none decided",
)

FLOW = Table(
    "flow",
    "one row per flow and eviction window of a node",
    columns(
        *_ENDS,
        "SrcMac TEXT source MAC address",
        "DstMac TEXT destination MAC address",
        "Bytes INTEGER bytes of its frames, link header included",
        "Packets INTEGER packets",
        "Flags INTEGER TCP flags ORed, 256 SYN+ACK, 512 FIN+ACK, 1024 RST+ACK; NULL when not TCP",
        *_DETAILS[1:],
        "Interface TEXT interface that it is counted on",
        "Interfaces TEXT JSON array of every interface that saw it, the counted one first",
        "IfDirection INTEGER at Interface: 0 ingress, 1 egress",
        "IfDirections TEXT JSON array, of each of Interfaces: 0 ingress, 1 egress, 3 both",
        "FlowDirection INTEGER at the node: 0 to it, 1 from it, 2 within it; NULL through it",
        "AgentIP TEXT address of the node's agent",
        "Sampling INTEGER 1 of so many packets was looked at",
        "TimeFlowStartMs INTEGER first packet, ms since 1970",
        "TimeFlowEndMs INTEGER last packet, ms since 1970",
        "TimeReceived INTEGER arrival at the collector, s since 1970",
        "TimeFlowRttNs INTEGER largest smoothed TCP round-trip time, ns; where it is received",
        "TimeHandshakeRttNs INTEGER SYN to the ACK that ends the handshake, ns; client's direction",
        "TimeSynAckNs INTEGER SYN to SYN+ACK, ns; client's direction",
        "DnsId INTEGER id of the slowest DNS response",
        "DnsLatencyMs REAL from its query, ms; NULL when the query was not seen",
        "DnsFlagsResponseCode TEXT its response code, such as NoError or NXDomain",
        "DnsErrno INTEGER 0, 2: its query was not seen, 22: it was cut short",
        "DnsName TEXT name that it answers, in full",
        "PktDropBytes INTEGER bytes dropped on the node, from the IP header on",
        "PktDropPackets INTEGER packets dropped on the node, those that somebody misses",
        "PktDropLatestDropCause TEXT why the last of them was dropped, the kernel's word",
        "PktDropLatestState TEXT TCP state of its socket, such as TCP_ESTABLISHED",
        "PktDropLatestFlags INTEGER its TCP flags, as in Flags",
        "TcpRetransmits INTEGER segments sent again; NULL when not TCP",
        "Node TEXT node that captured it",
        *_GENERATION,
        *owner("Src", "source"),
        *owner("Dst", "destination"),
        FLOW_LAYER,
    ),
    indexes=("TimeFlowEndMs",),
)

PACKET = Table(
    "packet",
    "one row per captured packet; export pcap writes them",
    columns(
        "TimeNs INTEGER ns since 1970",
        "Node TEXT node that captured it",
        "Interface TEXT interface that saw it",
        "IfDirection INTEGER at Interface: 0 ingress, 1 egress",
        *_ENDS,
        "Vlan INTEGER VLAN id of the outermost tag; NULL when untagged",
        *_DETAILS,
        "Length INTEGER bytes of the frame",
        "CapLen INTEGER bytes kept of it",
        *_GENERATION,
        "Segment INTEGER number of the packets-NNNNNN.pcapng file that holds it",
        "Offset INTEGER byte where its block starts in that file",
        *WHO_ENDS,
    ),
    indexes=("TimeNs",),
)

DNS = Table(
    "dns",
    "one row per DNS exchange: a query, what came back, how long it took",
    columns(
        "TimeNs INTEGER first query, or the response where no query was seen, ns since 1970",
        "Node TEXT node that captured it",
        "Interface TEXT interface that saw its first message",
        "ClientAddr TEXT who asks",
        "ClientPort INTEGER its port",
        "ServerAddr TEXT who is asked",
        "ServerPort INTEGER its port",
        "Proto INTEGER IP protocol number, 17 UDP, 6 TCP",
        "DnsId INTEGER id that the query and its response share",
        "Name TEXT name asked for, in full, as RFC 1035 writes it; the root is .",
        "Type TEXT type asked for, such as AAAA",
        "Questions INTEGER questions in the message; several names are joined by commas",
        "Rcode TEXT response code, such as NoError or NXDomain; NULL when unanswered",
        "LatencyMs REAL from the first query to the response, ms; NULL when either was not seen",
        "Answers INTEGER answer records as its header counts them; NULL when unanswered",
        "Addresses TEXT JSON array of the A and AAAA records; NULL when there is none",
        "Retries INTEGER times that the query was sent again",
        "Status TEXT answered, unanswered, late: after it counted as unanswered, or unasked",
        "Length INTEGER bytes of the last message",
        "Problem TEXT what is malformed or missing; NULL when nothing is",
        *_GENERATION,
        *owner("Client", "client", *WHO[:2]),
        *owner("Server", "server", *WHO[:2]),
    ),
    indexes=("TimeNs",),
)

PACKET_DROP = Table(
    "packet_drop",
    "one row per packet that a node's kernel dropped",
    columns(
        "TimeNs INTEGER ns since 1970",
        "Node TEXT node that dropped it",
        "Interface TEXT where it was; NULL when at none or in another network namespace",
        "IfDirection INTEGER 0 as it arrived, 1 as it left",
        *_ENDS,
        "Flags INTEGER TCP flags; NULL when not TCP",
        *_DETAILS[2:],
        "Reason TEXT why, the kernel's word, such as NETFILTER_DROP",
        "Loss INTEGER 1: somebody misses it; 0: housekeeping, such as a duplicate",
        "Function TEXT code that dropped it, function+offset; NULL when not readable",
        "Length INTEGER bytes from the IP header on",
        "TcpState TEXT of its socket, such as TCP_LISTEN; NULL when it has none",
        "NetNs INTEGER inode of the network namespace; NULL when not known",
        *_GENERATION,
        *WHO_ENDS,
    ),
    indexes=("TimeNs",),
)

TCP_EVENT = Table(
    "tcp_event",
    "one row per retransmit, reset and state change of a node's TCP sockets",
    columns(
        "TimeNs INTEGER ns since 1970",
        "Node TEXT node",
        "Interface TEXT where; NULL when not known or in another network namespace",
        "Event TEXT retransmit, reset_sent, reset_received or state",
        "SrcAddr TEXT sender of the segment; the local end of a state change",
        "SrcPort INTEGER its port; NULL before it has one",
        "DstAddr TEXT the other end",
        "DstPort INTEGER its port; NULL when it listens",
        "Segments INTEGER segments sent again, as one packet of the stack",
        "State TEXT of the socket, such as TCP_ESTABLISHED; the old one of a state change",
        "NewState TEXT of a state change",
        "DurationMs REAL time that it was in State, ms; of a state change, NULL when not known",
        "Reason TEXT why the reset was sent, the kernel's word",
        "Pid INTEGER process that owns the socket; NULL when not known",
        "Command TEXT its name",
        "NetNs INTEGER inode of the network namespace; NULL when not known",
        *_GENERATION,
        *WHO_ENDS,
    ),
    indexes=("TimeNs",),
)

DNS_NAME = Table(
    "dns_name",
    "names by address, as DNS answers of this capture tell",
    columns(
        "Address TEXT address in an answer",
        "Name TEXT name that was asked for",
        "TimeFirstMs INTEGER first such answer, ms since 1970",
        "TimeLastMs INTEGER last such answer, ms since 1970",
    ),
    indexes=("Address",),
)

AGENT = Table(
    "agent",
    "one row per node",
    columns(
        "Node TEXT node",
        "AgentIP TEXT address that its flow rows carry",
        "Kernel TEXT kernel release",
        "Version TEXT of the agent",
        "Attach TEXT how its programs are attached: tcx or clsact",
        "Cpus INTEGER processors",
        "ClockOffsetMs REAL its clock minus the collector's, ms",
        "FlowCapacity INTEGER flows held per eviction window",
        "RingBytes INTEGER bytes of the packet ring",
        "Connected INTEGER 1: connected now",
        "Generation INTEGER last filter set that it acknowledged",
        "RssBytes INTEGER resident memory, bytes",
        "CpuSeconds REAL processor time since it started, s",
        "TimeSeenMs INTEGER last heard of, ms since 1970",
    ),
)

INTERFACE = Table(
    "interface",
    "one row per interface of a node",
    columns(
        "Node TEXT node",
        "IfIndex INTEGER kernel's number of the interface",
        "Name TEXT name",
        "Mac TEXT MAC address",
        "Mtu INTEGER largest payload, bytes",
        "LinkType INTEGER pcap link type, 1 Ethernet, 101 raw IP",
        "Attached INTEGER 1: captured on",
        "Problem TEXT why it is not attached",
        "Peer TEXT JSON array of the addresses at its other end; NULL where the node cannot tell",
    ),
)

COUNTER = Table(
    "counter",
    "the kernel's and the agent's counters, summed over restarts of the agent",
    columns(
        "Node TEXT node",
        "Name TEXT counter",
        "Value INTEGER since the session started",
        "Summary TEXT what it counts",
    ),
)

FILTER_LOG = Table(
    "filter_log",
    "one row per filter set, filter and node; FilterId NULL: no filter decided",
    columns(
        "Generation INTEGER number of the filter set",
        "FilterId INTEGER filter; NULL for packets that no filter decided",
        "Position INTEGER place in the order of evaluation, from 1",
        "Filter TEXT the filter as typed, in canonical spelling",
        "Node TEXT node",
        "TimeChangedMs INTEGER when the set was made, ms since 1970",
        "TimeAppliedMs INTEGER when the node switched to it, ms since 1970; NULL: never",
        "ApplyMs REAL from receipt to switch on the node, ms",
        "FlowHits INTEGER packets that it decided for flows",
        "FlowHitBytes INTEGER their bytes",
        "PacketHits INTEGER packets that it decided for packet capture",
        "PacketHitBytes INTEGER their bytes",
        "Addresses TEXT JSON array of what its selectors stood for; NULL: it has none",
    ),
)

LOSS = Table(
    "loss",
    "what was lost, where and when: one row per increase",
    columns(
        "Node TEXT node",
        "Stage TEXT flow_map, ring, extra_map, event_ring, link, collector, store or disk_budget",
        "Count INTEGER packets or rows lost",
        "Bytes INTEGER their bytes where known",
        "TimeFromMs INTEGER not lost before, ms since 1970",
        "TimeToMs INTEGER lost by then, ms since 1970",
    ),
)

TABLES = (
    FLOW,
    PACKET,
    DNS,
    PACKET_DROP,
    TCP_EVENT,
    DNS_NAME,
    POD,
    SERVICE,
    NODE,
    IP_OWNER,
    AGENT,
    INTERFACE,
    COUNTER,
    FILTER_LOG,
    LOSS,
)
RELATIONS: tuple[Relation, ...] = (*TABLES, *VIEWS)
"""All that a query can name behind FROM."""

_PYTHON_TYPES: Mapping[str, type] = {"TEXT": str, "INTEGER": int, "REAL": float}


def create(path: Path) -> None:
    """Make the database file with its tables, indexes and views.

    sqlite-utils brings a second SQLite library into the process. The file must
    be closed again before apsw opens it: POSIX drops a process's locks on a
    file when any descriptor of it closes, so two libraries that have it open
    at once would corrupt it.
    """
    import sqlite_utils  # noqa: PLC0415  (heavy, and needed only here)

    database = sqlite_utils.Database(path)
    try:
        database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        # Lets eviction give pages back to the disk without rewriting the file.
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for table in TABLES:
            made = database.table(table.name).create(
                {column.name: _PYTHON_TYPES[column.type] for column in table.columns}
            )
            for column in table.indexes:
                made.create_index([column], index_name=f"{table.name}_{column}")
        for view in VIEWS:
            database.create_view(view.name, view.sql)
    finally:
        database.close()
