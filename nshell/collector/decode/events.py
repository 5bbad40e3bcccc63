"""Event batches: DNS messages, drops and TCP events told apart.

Invariant: every record is whole and as long as its kind says, or the batch is
refused; what all kinds have in common becomes columns here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent import wire
from nshell.collector.decode.ringrecords import HEADER_BYTES, RingRecords, ring_records
from nshell.collector.decode.rows import (
    DecodeError,
    GenerationKey,
    NodeContext,
    filter_ids_of,
    nullable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from nshell.collector.decode.rows import Cell

HEAD = np.dtype(wire.EVENT_HEAD.dtype())
DNS = np.dtype(wire.DNS_EVENT.dtype())
DROP = np.dtype(wire.DROP_EVENT.dtype())
TCP = np.dtype(wire.TCP_EVENT.dtype())
_KINDS = (wire.EVENT_DNS, wire.EVENT_DROP, wire.EVENT_TCP)


@dataclass(frozen=True, slots=True)
class Events:
    """The records of one batch by kind, each kind in order."""

    count: int
    newest_ns: int
    """Time of the latest of them."""
    dns: NDArray[Any]
    messages: list[bytes]
    """As much as was kept of the message of each DNS record."""
    drops: NDArray[Any]
    tcp: NDArray[Any]


def read_events(records: bytes) -> Events:
    """The records of a batch; DecodeError if that is none."""
    run = ring_records(records, "event")
    heads = run.heads(HEAD)
    kinds = heads["kind"]
    strange = kinds[~np.isin(kinds, _KINDS)]
    if len(strange):
        raise DecodeError(f"event batch has a record of unknown kind {strange[0]}")
    is_dns = kinds == wire.EVENT_DNS
    dns = run.heads(DNS, is_dns)
    return Events(
        len(heads),
        int(heads["time_ns"].max(initial=0)),
        dns,
        _messages(run, is_dns, dns["cap_len"].astype(np.int64)),
        run.heads(DROP, kinds == wire.EVENT_DROP),
        run.heads(TCP, kinds == wire.EVENT_TCP),
    )


def _messages(run: RingRecords, chosen: NDArray[np.bool_], size: NDArray[np.int64]) -> list[bytes]:
    if (DNS.itemsize + size > run.lengths[chosen]).any():
        raise DecodeError("event batch has a record shorter than its message")
    starts = run.starts[chosen] + HEADER_BYTES + DNS.itemsize
    octets = memoryview(run.octets.data)
    bounds = zip(starts.tolist(), (starts + size).tolist(), strict=True)
    return [bytes(octets[start:end]) for start, end in bounds]


def interface_names(heads: NDArray[Any], context: NodeContext) -> Sequence[Cell]:
    """Names; None where the number is not known or counts in another network namespace."""
    known = (heads["ifindex"] != 0) & (heads["elsewhere"] == 0)
    names = np.array(context.interfaces.names(heads["ifindex"].tolist()), object)
    return nullable(names, known)


def event_columns(
    heads: NDArray[Any],
    context: NodeContext,
    *,
    offset_ns: int,
    generations: Mapping[int, GenerationKey],
) -> dict[str, Sequence[Cell]]:
    """What drops and TCP events have in common, except the addresses."""
    return {
        "TimeNs": (heads["time_ns"].astype(np.int64) + offset_ns).tolist(),
        "Interface": interface_names(heads, context),
        "NetNs": nullable(heads["netns"], heads["netns"] != 0),
        "Generation": heads["generation"].tolist(),
        "FilterId": filter_ids_of(heads, generations),
    }
