"""Columns of flow rows that come from features: RTT, DNS, drops, retransmits.

Invariant: a pure function of the extras and of the features in force; where
there are neither, there are no columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent import wire
from nshell.collector.decode.kernelnames import tcp_state, texts_of
from nshell.collector.decode.rows import MS_DIGITS, NS_PER_MS, TCP, is_ip, nullable
from nshell.collector.decode.windows import EXTRA
from nshell.collector.dns.codes import rcode_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from nshell.collector.decode.kernelnames import KernelNames
    from nshell.collector.decode.rows import Cell
    from nshell.collector.dns.exchanges import Answered

_NS_PER_US = 1000


@dataclass(frozen=True, slots=True)
class Observed:
    """Some flows, and what features can have seen of them."""

    keys: NDArray[Any]
    etype: NDArray[np.uint16]
    features: frozenset[str]
    """That were in force."""
    names: KernelNames
    answered: Callable[[bytes, int], Answered | None]
    """What the DNS response of a flow with an id said."""


def extra_columns(flows: Observed, extras: NDArray[Any] | None) -> dict[str, Sequence[Cell]]:
    """Columns of the flow table; those that nothing is known for are left out."""
    columns: dict[str, Sequence[Cell]] = {}
    if extras is None:
        if not flows.features:
            return columns
        extras = np.zeros(len(flows.keys), EXTRA)
    seen = extras["seen"]
    if (seen & wire.EXTRA_RTT).any():
        columns["TimeFlowRttNs"] = nullable(
            extras["srtt_us"].astype(np.int64) * _NS_PER_US, (seen & wire.EXTRA_RTT) != 0
        )
    if (seen & wire.EXTRA_HANDSHAKE).any():
        for name, member in (
            ("TimeHandshakeRttNs", "handshake_ns"),
            ("TimeSynAckNs", "syn_ack_ns"),
        ):
            known = ((seen & wire.EXTRA_HANDSHAKE) != 0) & (extras[member] != 0)
            columns[name] = nullable(extras[member], known)
    if (seen & wire.EXTRA_DNS).any():
        columns |= _dns_columns(flows, extras)
    columns |= _drop_columns(flows, extras)
    columns |= _retransmit_columns(flows, extras)
    return columns


def _dns_columns(flows: Observed, extras: NDArray[Any]) -> Mapping[str, Sequence[Cell]]:
    known = (extras["seen"] & wire.EXTRA_DNS) != 0
    latency_ns = extras["dns_latency_ns"]
    names = np.full(len(extras), None, object)
    rcodes = np.full(len(extras), None, object)
    for position in np.flatnonzero(known).tolist():
        key, extra = flows.keys[position].tobytes(), extras[position]
        answered = flows.answered(key, int(extra["dns_id"]))
        if answered is None:
            rcodes[position] = rcode_name(int(extra["dns_flags"]) & 0xF)
        else:
            names[position], rcodes[position] = answered.name, answered.rcode
    return {
        "DnsId": nullable(extras["dns_id"], known),
        "DnsLatencyMs": nullable(
            np.round(latency_ns / NS_PER_MS, MS_DIGITS), known & (latency_ns != 0)
        ),
        "DnsFlagsResponseCode": rcodes.tolist(),
        "DnsErrno": nullable(extras["dns_errno"], known),
        "DnsName": names.tolist(),
    }


def _drop_columns(flows: Observed, extras: NDArray[Any]) -> Mapping[str, Sequence[Cell]]:
    dropped = (extras["seen"] & wire.EXTRA_DROP) != 0
    if not dropped.any() and "drops" not in flows.features:
        return {}
    watched = dropped | (is_ip(flows.etype) if "drops" in flows.features else False)
    columns = {
        "PktDropBytes": nullable(extras["drop_bytes"], watched),
        "PktDropPackets": nullable(extras["drop_packets"], watched),
    }
    if dropped.any():
        causes = texts_of(extras["drop_reason"], flows.names.drop_reason)
        states = texts_of(extras["drop_state"], tcp_state)
        columns |= {
            "PktDropLatestDropCause": nullable(np.array(causes, object), dropped),
            "PktDropLatestState": nullable(np.array(states, object), dropped),
            "PktDropLatestFlags": nullable(
                extras["drop_flags"], dropped & (flows.keys["proto"] == TCP)
            ),
        }
    return columns


def _retransmit_columns(flows: Observed, extras: NDArray[Any]) -> Mapping[str, Sequence[Cell]]:
    known = (extras["seen"] & wire.EXTRA_RETRANSMIT) != 0
    if "tcp" in flows.features:
        known |= is_ip(flows.etype) & (flows.keys["proto"] == TCP)
    if not known.any():
        return {}
    return {"TcpRetransmits": nullable(extras["retransmits"], known)}
