"""Flow batches to rows of the flow table.

Invariant: rows follow from the batch and from what is known of its node; nothing
is done per row in Python that a batch operation can do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from agent import wire
from nshell.collector.decode.extras import Observed, extra_columns
from nshell.collector.decode.rows import (
    NS_PER_MS,
    Cell,
    DecodeError,
    GenerationKey,
    NodeContext,
    Rows,
    fields,
    filter_ids,
    headers,
    is_ip,
    nullable,
    nullable_texts,
    transport,
)
from nshell.collector.decode.texts import Texts, byte_keys
from nshell.collector.decode.windows import EXTRA, KEY
from nshell.collector.interfaces import EGRESS_BIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from agent.proto import agentlink_pb2
    from nshell.collector.dns.exchanges import Answered

VALUE = np.dtype(wire.FLOW_VALUE.dtype())


def check_flow_batch(batch: agentlink_pb2.FlowBatch) -> None:
    """Refuse a batch whose bytes are not `count` records; DecodeError says why."""
    for name, count, data, size in (
        ("keys", batch.count, batch.keys, KEY.itemsize),
        ("values", batch.count, batch.values, VALUE.itemsize),
        ("extra keys", batch.extra_count, batch.extra_keys, KEY.itemsize),
        ("extra values", batch.extra_count, batch.extra_values, EXTRA.itemsize),
    ):
        if len(data) != count * size:
            raise DecodeError(
                f"flow batch of {count} has {len(data)} bytes of {name}, not {count * size}"
            )


def _times_ms(monotonic_ns: NDArray[np.uint64], offset_ns: int) -> list[int]:
    times: list[int] = ((monotonic_ns.astype(np.int64) + offset_ns) // NS_PER_MS).tolist()
    return times


def _flow_directions(
    ends: tuple[list[bytes], list[bytes]], addresses: frozenset[bytes]
) -> Sequence[Cell]:
    """0 to the node, 1 from it, 2 within it, None through it."""
    from_node, to_node = (
        np.fromiter(map(addresses.__contains__, end), np.bool_, len(end)) for end in ends
    )
    direction = np.where(from_node & to_node, 2, from_node.astype(np.int64))
    return nullable(direction, from_node | to_node)


def _interface_lists(values: NDArray[Any], context: NodeContext) -> dict[str, Sequence[Cell]]:
    first = np.where(values["direction"], values["ifindex"] | EGRESS_BIT, values["ifindex"])
    every = np.column_stack((first, values["others"])).astype("<u4")
    names, directions = context.interfaces.lists(byte_keys(every.view(np.uint8)))
    return {"Interfaces": names, "IfDirections": directions}


def _with_mac(values: NDArray[Any], context: NodeContext) -> NDArray[np.bool_]:
    without = context.interfaces.without_mac()
    return np.isin(values["ifindex"], without, invert=True)


def _addresses(
    keys: NDArray[Any], etype: NDArray[np.uint16], context: NodeContext, texts: Texts
) -> dict[str, Sequence[Cell]]:
    src, dst = byte_keys(keys["src"]), byte_keys(keys["dst"])
    known = is_ip(etype)
    return {
        "SrcAddr": nullable_texts(texts.addresses.texts(src), known),
        "DstAddr": nullable_texts(texts.addresses.texts(dst), known),
        "FlowDirection": _flow_directions((src, dst), context.interfaces.addresses),
    }


@dataclass(frozen=True, slots=True)
class FlowDecoder:
    """What decoding needs beside a batch and its node."""

    texts: Texts
    generations: Mapping[int, GenerationKey]
    answered: Callable[[str, bytes, int], Answered | None]
    """What the DNS response of a node's flow with an id said."""

    def rows(
        self, batch: agentlink_pb2.FlowBatch, context: NodeContext, *, received_s: int
    ) -> list[Rows]:
        """Rows of a batch that check_flow_batch accepted; extras wait with the node.

        A window's extras without a flow become rows when its last batch has come.
        """
        made = []
        window = context.window
        if batch.extra_count:
            if window and window.generation != batch.generation:
                made.append(self.left_over(context, received_s=received_s))
            window.add(batch)
        if batch.count:
            made.append(self._flows(batch, context, received_s=received_s))
        if batch.last and window:
            made.append(self.left_over(context, received_s=received_s))
        return made

    def left_over(self, context: NodeContext, *, received_s: int) -> Rows:
        """Rows of the extras that no flow has taken; none are left then."""
        window = context.window
        keys, extras = window.rest()
        etype = extras["etype"]
        observed = self._observed(keys, etype, context, window.features)
        columns: dict[str, Sequence[Cell]] = {
            **_addresses(keys, etype, context, self.texts),
            **transport(fields(keys) | {"etype": etype}),
            "TimeFlowStartMs": _times_ms(extras["first_ns"], window.clock_offset_ns),
            "TimeFlowEndMs": _times_ms(extras["last_ns"], window.clock_offset_ns),
            "FilterId": filter_ids(extras["rule"], self.generations.get(window.generation)),
            **extra_columns(observed, extras),
        }
        constants = self._constants(window.generation, context, received_s)
        return Rows("flow", len(keys), columns, constants | {"Bytes": 0, "Packets": 0})

    def _flows(
        self, batch: agentlink_pb2.FlowBatch, context: NodeContext, *, received_s: int
    ) -> Rows:
        keys = np.frombuffer(batch.keys, KEY)
        values = np.frombuffer(batch.values, VALUE)
        macs, with_mac = self.texts.macs, _with_mac(values, context)
        observed = self._observed(keys, values["etype"], context, frozenset(batch.features))
        columns: dict[str, Sequence[Cell]] = {
            **_addresses(keys, values["etype"], context, self.texts),
            **headers(fields(keys) | fields(values)),
            "SrcMac": nullable_texts(macs.texts(byte_keys(values["src_mac"])), with_mac),
            "DstMac": nullable_texts(macs.texts(byte_keys(values["dst_mac"])), with_mac),
            "Bytes": values["bytes"].tolist(),
            "Packets": values["packets"].tolist(),
            "Interface": context.interfaces.names(values["ifindex"].tolist()),
            **_interface_lists(values, context),
            "TimeFlowStartMs": _times_ms(values["first_ns"], batch.clock_offset_ns),
            "TimeFlowEndMs": _times_ms(values["last_ns"], batch.clock_offset_ns),
            "FilterId": filter_ids(values["rule"], self.generations.get(batch.generation)),
            **extra_columns(observed, context.window.match(batch.keys)),
        }
        return Rows(
            "flow", batch.count, columns, self._constants(batch.generation, context, received_s)
        )

    def _observed(
        self,
        keys: NDArray[Any],
        etype: NDArray[np.uint16],
        context: NodeContext,
        features: frozenset[str],
    ) -> Observed:
        answered = partial(self.answered, context.node)
        return Observed(keys, etype, features, context.names, answered)

    def _constants(self, number: int, context: NodeContext, received_s: int) -> dict[str, Cell]:
        generation = self.generations.get(number)
        return {
            "AgentIP": context.agent_ip,
            "Sampling": generation.sampling if generation else None,
            "TimeReceived": received_s,
            "Node": context.node,
            "Generation": number,
        }
