"""The tables of a capture as data: names, types and what each column means.

Invariant: every table and column that a user can query is declared here, and
only here; what reads or writes rows takes the names from these declarations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PAGE_BYTES = 8192
"""Twice SQLite's default: wide rows, appended in bulk, fill fewer pages."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column; NULL means that the value was not observed."""

    name: str
    type: str
    """TEXT, INTEGER or REAL."""
    summary: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table and the columns that it is indexed by."""

    name: str
    summary: str
    columns: tuple[Column, ...]
    indexes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, in order."""
        return tuple(column.name for column in self.columns)


def _columns(*lines: str) -> tuple[Column, ...]:
    """Columns from lines of `Name TYPE what it means`."""
    return tuple(Column(*line.split(maxsplit=2)) for line in lines)


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
    _columns(
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
        "FlowDirection INTEGER at the node: 0 to it, 1 from it, 2 within it; NULL through it",
        "AgentIP TEXT address of the node's agent",
        "Sampling INTEGER 1 of so many packets was looked at",
        "TimeFlowStartMs INTEGER first packet, ms since 1970",
        "TimeFlowEndMs INTEGER last packet, ms since 1970",
        "TimeReceived INTEGER arrival at the collector, s since 1970",
        "Node TEXT node that captured it",
        *_GENERATION,
    ),
    indexes=("TimeFlowEndMs",),
)

PACKET = Table(
    "packet",
    "one row per captured packet; export pcap writes them",
    _columns(
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
    ),
    indexes=("TimeNs",),
)

AGENT = Table(
    "agent",
    "one row per node",
    _columns(
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
    _columns(
        "Node TEXT node",
        "IfIndex INTEGER kernel's number of the interface",
        "Name TEXT name",
        "Mac TEXT MAC address",
        "Mtu INTEGER largest payload, bytes",
        "LinkType INTEGER pcap link type, 1 Ethernet, 101 raw IP",
        "Attached INTEGER 1: captured on",
        "Problem TEXT why it is not attached",
    ),
)

COUNTER = Table(
    "counter",
    "the kernel's and the agent's counters, summed over restarts of the agent",
    _columns(
        "Node TEXT node",
        "Name TEXT counter",
        "Value INTEGER since the session started",
        "Summary TEXT what it counts",
    ),
)

FILTER_LOG = Table(
    "filter_log",
    "one row per filter set, filter and node; FilterId NULL: no filter decided",
    _columns(
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
    ),
)

LOSS = Table(
    "loss",
    "what was lost, where and when: one row per increase",
    _columns(
        "Node TEXT node",
        "Stage TEXT flow_map, ring, link, store or disk_budget",
        "Count INTEGER packets or rows lost",
        "Bytes INTEGER their bytes where known",
        "TimeFromMs INTEGER not lost before, ms since 1970",
        "TimeToMs INTEGER lost by then, ms since 1970",
    ),
)

TABLES = (FLOW, PACKET, AGENT, INTERFACE, COUNTER, FILTER_LOG, LOSS)

_PYTHON_TYPES: Mapping[str, type] = {"TEXT": str, "INTEGER": int, "REAL": float}


def create(path: Path) -> None:
    """Make the database file with its tables and indexes.

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
    finally:
        database.close()
