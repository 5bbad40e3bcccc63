"""Drop events to rows of the packet_drop table.

Invariant: a pure function of the records and of what is known of their node;
nothing is done per row that can be done per distinct value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nshell.collector.decode.events import event_columns
from nshell.collector.decode.kernelnames import tcp_state, texts_of
from nshell.collector.decode.rows import Rows, fields, is_ip, nullable_texts, tcp_flags, transport
from nshell.collector.decode.texts import Texts, byte_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from nshell.collector.decode.rows import GenerationKey, NodeContext


def drop_rows(
    records: NDArray[Any],
    context: NodeContext,
    *,
    offset_ns: int,
    texts: Texts,
    generations: Mapping[int, GenerationKey],
) -> Rows:
    """One row per record; offset_ns leads from kernel time to wall time."""
    names, members = context.names, fields(records)
    with_addresses = is_ip(records["etype"])
    columns = event_columns(records, context, offset_ns=offset_ns, generations=generations)
    columns |= {
        "SrcAddr": nullable_texts(texts.addresses.texts(byte_keys(records["src"])), with_addresses),
        "DstAddr": nullable_texts(texts.addresses.texts(byte_keys(records["dst"])), with_addresses),
        **transport(members),
        "IfDirection": records["direction"].tolist(),
        "Flags": tcp_flags(members),
        "Reason": texts_of(records["reason"], names.drop_reason),
        "Loss": (records["loss"] != 0).astype(int).tolist(),
        "Function": texts_of(records["location"], names.function),
        "Length": records["length"].tolist(),
        "TcpState": texts_of(records["state"], tcp_state),
    }
    return Rows("packet_drop", len(records), columns, {"Node": context.node})
