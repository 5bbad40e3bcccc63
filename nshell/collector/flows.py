"""Flow batches to rows of the flow table.

Invariant: a pure function of the batch and of what is known of its node; it
does nothing per row in Python that a batch operation can do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agent import wire
from nshell.collector.rows import (
    IPV4,
    IPV6,
    Cell,
    DecodeError,
    GenerationKey,
    NodeContext,
    Rows,
    fields,
    filter_ids,
    headers,
    nullable,
    nullable_texts,
)
from nshell.collector.texts import Texts, byte_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from agent.proto import agentlink_pb2

KEY = np.dtype(wire.FLOW_KEY.dtype())
VALUE = np.dtype(wire.FLOW_VALUE.dtype())
_NS_PER_MS = 1_000_000


def check_flow_batch(batch: agentlink_pb2.FlowBatch) -> None:
    """Refuse a batch whose bytes are not `count` records; DecodeError says why."""
    for name, data, size in (
        ("keys", batch.keys, KEY.itemsize),
        ("values", batch.values, VALUE.itemsize),
    ):
        if len(data) != batch.count * size:
            raise DecodeError(
                f"flow batch of {batch.count} has {len(data)} bytes of {name}, "
                f"not {batch.count * size}"
            )


def _times_ms(monotonic_ns: NDArray[np.uint64], offset_ns: int) -> list[int]:
    times: list[int] = ((monotonic_ns.astype(np.int64) + offset_ns) // _NS_PER_MS).tolist()
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


def _interface_lists(values: NDArray[Any], context: NodeContext) -> list[str]:
    every = np.column_stack((values["ifindex"], values["others"])).astype("<u4")
    return context.interfaces.lists(byte_keys(every.view(np.uint8)))


def _with_mac(values: NDArray[Any], context: NodeContext) -> NDArray[np.bool_]:
    without = context.interfaces.without_mac()
    return np.isin(values["ifindex"], without, invert=True)


def decode_flows(
    batch: agentlink_pb2.FlowBatch,
    context: NodeContext,
    *,
    texts: Texts,
    generation: GenerationKey | None,
    received_s: int,
) -> Rows:
    """Rows of a batch that check_flow_batch accepted."""
    keys = np.frombuffer(batch.keys, KEY)
    values = np.frombuffer(batch.values, VALUE)
    src, dst = byte_keys(keys["src"]), byte_keys(keys["dst"])
    is_ip = (values["etype"] == IPV4) | (values["etype"] == IPV6)
    with_mac = _with_mac(values, context)
    columns: dict[str, Sequence[Cell]] = {
        "SrcAddr": nullable_texts(texts.addresses.texts(src), is_ip),
        "DstAddr": nullable_texts(texts.addresses.texts(dst), is_ip),
        **headers(fields(keys) | fields(values)),
        "SrcMac": nullable_texts(texts.macs.texts(byte_keys(values["src_mac"])), with_mac),
        "DstMac": nullable_texts(texts.macs.texts(byte_keys(values["dst_mac"])), with_mac),
        "Bytes": values["bytes"].tolist(),
        "Packets": values["packets"].tolist(),
        "Interface": context.interfaces.names(values["ifindex"].tolist()),
        "Interfaces": _interface_lists(values, context),
        "FlowDirection": _flow_directions((src, dst), context.interfaces.addresses),
        "TimeFlowStartMs": _times_ms(values["first_ns"], batch.clock_offset_ns),
        "TimeFlowEndMs": _times_ms(values["last_ns"], batch.clock_offset_ns),
        "FilterId": filter_ids(values["rule"], generation),
    }
    constants: dict[str, Cell] = {
        "AgentIP": context.agent_ip,
        "Sampling": generation.sampling if generation else None,
        "TimeReceived": received_s,
        "Node": context.node,
        "Generation": batch.generation,
    }
    return Rows("flow", batch.count, columns, constants)
