"""What decoding yields: rows in columns, ready for one bulk insert.

Invariant: a value that was not observed is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from agent import wire
from nshell.collector.interfaces import InterfaceTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Cell = str | int | float | bytes | None

IPV4 = 0x0800
IPV6 = 0x86DD
TCP = 6
WITH_PORTS = (6, 17, 33, 132, 136)
WITH_ICMP = (1, 58)


class DecodeError(ValueError):
    """A batch that is not what the wire format says."""


@dataclass(frozen=True, slots=True)
class GenerationKey:
    """What decoding needs to know of one filter set."""

    rule_ids: tuple[int, ...]
    """By position."""
    sampling: int


@dataclass(frozen=True, slots=True)
class NodeContext:
    """What is known of a node while its batches are decoded."""

    node: str
    agent_ip: str
    interfaces: InterfaceTable = field(default_factory=InterfaceTable)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table, by column; constants hold for all of them."""

    table: str
    count: int
    columns: Mapping[str, Sequence[Cell]]
    constants: Mapping[str, Cell]


def nullable(values: NDArray[Any], known: NDArray[np.bool_]) -> Sequence[Cell]:
    """Values as Python objects, None where not known."""
    if known.all():
        cells: list[Cell] = values.tolist()
        return cells
    if not known.any():
        return [None] * len(values)
    objects = values.astype(object)
    objects[~known] = None
    return list(objects.tolist())


def nullable_texts(texts: list[str], known: NDArray[np.bool_]) -> Sequence[Cell]:
    """Texts, None where not known."""
    if known.all():
        return texts
    return [
        text if is_known else None for text, is_known in zip(texts, known.tolist(), strict=True)
    ]


def filter_ids(rule: NDArray[np.uint8], generation: GenerationKey | None) -> Sequence[Cell]:
    """Filter of each rule position; None for no rule and for an unknown filter set."""
    ids = np.zeros(256, np.int64)
    count = 0
    if generation is not None:
        count = min(len(generation.rule_ids), wire.NO_RULE)
        ids[:count] = generation.rule_ids[:count]
    return nullable(ids[rule], rule < count)


def fields(records: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The members of a structured array by name."""
    return {name: records[name] for name in records.dtype.names or ()}


def headers(records: Mapping[str, NDArray[Any]]) -> dict[str, Sequence[Cell]]:
    """The columns that flows and packets share, except the addresses."""
    etype, proto = records["etype"], records["proto"]
    is_ip = (etype == IPV4) | (etype == IPV6)
    whole = is_ip & (records["headless"] == 0)
    with_ports = whole & np.isin(proto, WITH_PORTS)
    with_icmp = whole & np.isin(proto, WITH_ICMP)
    return {
        "SrcPort": nullable(records["sport"], with_ports),
        "DstPort": nullable(records["dport"], with_ports),
        "Proto": nullable(proto, is_ip),
        "Etype": etype.tolist(),
        "Flags": nullable(records["flags"], whole & (proto == TCP)),
        "Dscp": nullable(records["dscp"], is_ip),
        "IcmpType": nullable(records["icmp_type"], with_icmp),
        "IcmpCode": nullable(records["icmp_code"], with_icmp),
        "IfDirection": records["direction"].tolist(),
    }
