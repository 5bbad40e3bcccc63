"""Columns that say who had the addresses of a batch of rows.

Invariant: a pure function of the rows and the claims; one lookup per distinct
address, and per row only what a batch operation does, unless an address changed
hands within the batch's time.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from nshell.collector import clustertables, schema
from nshell.collector.decode.rows import NS_PER_MS
from nshell.collector.kube.claims import NOBODY, Names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.collector.decode.rows import Cell, Rows
    from nshell.collector.kube.claims import Claims

_LAYERS = np.array([None, "infra", "app"], object)
LAYER_COLUMN = "K8S_FlowLayer"


@dataclass(frozen=True, slots=True)
class Named:
    """How a table says who had its addresses."""

    time: str
    """Column with the time of a row."""
    per_ms: int
    """Its units per millisecond."""
    ends: tuple[tuple[str, str], ...]
    """Column of the address and prefix of what is said of it."""
    fields: tuple[str, ...] = clustertables.WHO
    layer: bool = False


_BOTH = (("SrcAddr", "Src"), ("DstAddr", "Dst"))
NAMED = {
    schema.FLOW.name: Named("TimeFlowStartMs", 1, _BOTH, clustertables.OWNER, layer=True),
    schema.PACKET.name: Named("TimeNs", NS_PER_MS, _BOTH),
    schema.PACKET_DROP.name: Named("TimeNs", NS_PER_MS, _BOTH),
    schema.TCP_EVENT.name: Named("TimeNs", NS_PER_MS, _BOTH),
    schema.DNS.name: Named(
        "TimeNs",
        NS_PER_MS,
        (("ClientAddr", "Client"), ("ServerAddr", "Server")),
        clustertables.WHO[:2],
    ),
}


@dataclass(frozen=True, slots=True)
class Found:
    """Rows with names, when the last of them was, and the addresses that may lack one."""

    rows: Rows
    last_ms: int
    nameless: set[str]


_CELLS = operator.attrgetter("cells")
_LAYER = operator.attrgetter("layer")


def with_names(rows: Rows, claims: Claims) -> Found:
    """The same rows with what is known of their ends."""
    named = NAMED[rows.table]
    times = cast("Sequence[int]", rows.columns[named.time])
    span = (min(times) // named.per_ms, max(times) // named.per_ms)
    columns: dict[str, Sequence[Cell]] = {}
    nameless: set[str] = set()
    layers = np.zeros(rows.count, np.int64)
    for address_column, prefix in named.ends:
        addresses = cast("Sequence[str | None]", rows.columns[address_column])
        found, undecided = _look_up(addresses, span, claims)
        nameless |= undecided
        nameless.update(address for address, who in found.items() if who is NOBODY and address)
        if not undecided and all(who is NOBODY for who in found.values()):
            continue
        numbers: dict[Names, int] = {}
        of_address = {
            address: numbers.setdefault(who, len(numbers)) for address, who in found.items()
        }
        places = np.array(list(map(of_address.__getitem__, addresses)))
        if undecided:
            for row in (row for row, address in enumerate(addresses) if address in undecided):
                who = claims.at(str(addresses[row]), times[row] // named.per_ms) or NOBODY
                places[row] = numbers.setdefault(who, len(numbers))
        distinct = zip(*map(_CELLS, numbers), strict=True)
        for field, cells in zip(named.fields, distinct, strict=False):
            columns[f"{prefix}K8S_{field}"] = np.array(cells, object)[places].tolist()
        layers = np.maximum(layers, np.array(list(map(_LAYER, numbers)))[places])
    if named.layer and columns:
        columns[LAYER_COLUMN] = _LAYERS[layers].tolist()
    if columns:
        rows = replace(rows, columns={**rows.columns, **columns})
    return Found(rows, span[1], nameless)


def _look_up(
    addresses: Sequence[str | None], span: tuple[int, int], claims: Claims
) -> tuple[dict[str | None, Names], set[str]]:
    """Who had each address; and those where that depends on the moment."""
    found: dict[str | None, Names] = dict.fromkeys(addresses, NOBODY)
    undecided: set[str] = set()
    for address in found:
        if address is None:
            continue
        who = claims.find(address, *span)
        if isinstance(who, Names):
            found[address] = who
        elif who is not None:
            undecided.add(address)
    return found, undecided
