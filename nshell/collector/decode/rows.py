"""What decoding yields: rows in columns, ready for one bulk insert.

Invariant: a value that was not observed is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from agent import wire
from nshell.collector.decode.kernelnames import KernelNames
from nshell.collector.decode.windows import Window
from nshell.collector.interfaces import InterfaceTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Cell = str | int | float | bytes | None

IPV4 = 0x0800
IPV6 = 0x86DD
TCP = 6
NS_PER_MS = 1_000_000
MS_DIGITS = 3
"""Digits that milliseconds are shown with: whole microseconds."""
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
    names: KernelNames = field(default_factory=KernelNames)
    window: Window = field(default_factory=Window)


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


def filter_ids_of(heads: NDArray[Any], generations: Mapping[int, GenerationKey]) -> Sequence[Cell]:
    """Filter of each record, by its own generation and rule."""
    numbers = np.unique(heads["generation"]).tolist()
    if len(numbers) == 1:
        return filter_ids(heads["rule"], generations.get(numbers[0]))
    ids = np.empty(len(heads), object)
    for number in numbers:
        chosen = heads["generation"] == number
        ids[chosen] = filter_ids(heads["rule"][chosen], generations.get(number))
    cells: list[Cell] = ids.tolist()
    return cells


def fields(records: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The members of a structured array by name."""
    return {name: records[name] for name in records.dtype.names or ()}


def is_ip(etype: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Which records have addresses."""
    known: NDArray[np.bool_] = (etype == IPV4) | (etype == IPV6)
    return known


def transport(records: Mapping[str, NDArray[Any]]) -> dict[str, Sequence[Cell]]:
    """Ports and protocol, as every record of a packet or a flow has them."""
    etype, proto = records["etype"], records["proto"]
    ip = is_ip(etype)
    whole = ip & (records["headless"] == 0)
    with_ports = whole & np.isin(proto, WITH_PORTS)
    with_icmp = whole & np.isin(proto, WITH_ICMP)
    return {
        "SrcPort": nullable(records["sport"], with_ports),
        "DstPort": nullable(records["dport"], with_ports),
        "Proto": nullable(proto, ip),
        "Etype": etype.tolist(),
        "IcmpType": nullable(records["icmp_type"], with_icmp),
        "IcmpCode": nullable(records["icmp_code"], with_icmp),
    }


def tcp_flags(records: Mapping[str, NDArray[Any]], name: str = "flags") -> Sequence[Cell]:
    """TCP flags; None when not TCP or not seen."""
    known = is_ip(records["etype"]) & (records["headless"] == 0) & (records["proto"] == TCP)
    return nullable(records[name], known)


def headers(records: Mapping[str, NDArray[Any]]) -> dict[str, Sequence[Cell]]:
    """The columns that flows and packets share, except the addresses."""
    return {
        **transport(records),
        "Flags": tcp_flags(records),
        "Dscp": nullable(records["dscp"], is_ip(records["etype"])),
        "IfDirection": records["direction"].tolist(),
    }
