"""The four tables that can be viewed, and what is particular about each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.shell.view.columns import (
    DNS_SETS,
    DROP_SETS,
    FLOW_SETS,
    LEVELS,
    PACKET_SETS,
    TIME_MS,
    TIME_NS,
    ends,
)

if TYPE_CHECKING:
    from nshell.proto import session_pb2 as pb
    from nshell.shell.view.columns import Column, ColumnSet, Level


@dataclass(frozen=True, slots=True)
class Sort:
    """An order that rows can be in."""

    title: str
    column: str


@dataclass(frozen=True, slots=True)
class ViewKind:
    """What is viewed."""

    name: str
    table: str
    rows: str
    """What its rows are."""
    sets: tuple[ColumnSet, ...]
    sorts: tuple[Sort, ...]
    ends: tuple[str, str] = ("Src", "Dst")
    feature: str = ""
    """What must be enabled for there to be rows at all."""
    enrichment: int = 3
    """How many levels there are names for in it, beside none and IP & port."""

    @property
    def levels(self) -> tuple[Level, ...]:
        return LEVELS[: 2 + self.enrichment]

    def columns(self, set_number: int, level: int) -> tuple[Column, ...]:
        """All of a screen, from left to right."""
        time = TIME_MS if self.name == "flows" else TIME_NS
        shown = self.sets[set_number].columns
        return (time, *ends(self.levels[level], self.ends), *shown)


_TIME_NS = Sort("time", "TimeNs")
KINDS = {
    kind.name: kind
    for kind in (
        ViewKind(
            "flows",
            "flow",
            "flows",
            FLOW_SETS,
            (
                Sort("time", "TimeFlowEndMs"),
                Sort("bytes", "Bytes"),
                Sort("packets", "Packets"),
                Sort("rtt", "TimeFlowRttNs"),
                Sort("handshake", "TimeHandshakeRttNs"),
                Sort("dns latency", "DnsLatencyMs"),
                Sort("dropped", "PktDropPackets"),
                Sort("retransmits", "TcpRetransmits"),
            ),
            enrichment=5,
        ),
        ViewKind(
            "packets",
            "packet",
            "packets",
            PACKET_SETS,
            (_TIME_NS, Sort("length", "Length")),
            enrichment=2,
        ),
        ViewKind(
            "dns",
            "dns",
            "DNS exchanges",
            DNS_SETS,
            (
                _TIME_NS,
                Sort("latency", "LatencyMs"),
                Sort("name", "Name"),
                Sort("retries", "Retries"),
            ),
            ends=("Client", "Server"),
            feature="dns",
            enrichment=2,
        ),
        ViewKind(
            "drops",
            "packet_drop",
            "dropped packets",
            DROP_SETS,
            (_TIME_NS, Sort("length", "Length"), Sort("reason", "Reason")),
            feature="drops",
            enrichment=2,
        ),
    )
}
"""By what follows `view`."""


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that must be switched on before there is anything to see."""

    why: str
    command: str
    """That switches it on."""


def lack(kind: ViewKind, set_number: int, status: pb.Status | None) -> Lack | None:
    """What keeps this screen empty, as far as `e` can help it."""
    if status is None:
        return None
    if kind.name == "packets" and not status.packets:
        return Lack("packets are not captured", "capture packets on")
    if kind.name == "flows" and not status.flows:
        return Lack("flows are not captured", "capture flows on")
    feature = kind.feature or kind.sets[set_number].feature
    if feature and feature not in status.features:
        what = "there are no rows" if kind.feature else "these columns stay empty"
        return Lack(f"{what} without the feature {feature}", f"enable {feature}")
    return None
