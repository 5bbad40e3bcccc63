"""TCP events to rows of the tcp_event table.

Invariant: a pure function of the records and of what is known of their node;
nothing is done per row that can be done per distinct value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agent import wire
from nshell.collector.decode.events import event_columns
from nshell.collector.decode.kernelnames import tcp_state, texts_of
from nshell.collector.decode.rows import MS_DIGITS, NS_PER_MS, Rows, is_ip, nullable, nullable_texts
from nshell.collector.decode.texts import TextCache, Texts, byte_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from nshell.collector.decode.rows import GenerationKey, NodeContext

_EVENTS = {
    wire.TCP_RETRANSMIT: "retransmit",
    wire.TCP_RESET_SENT: "reset_sent",
    wire.TCP_RESET_RECEIVED: "reset_received",
    wire.TCP_STATE: "state",
}
_COMMANDS = 1 << 12


def _command(name: bytes) -> str:
    return name.partition(b"\0")[0].decode(errors="replace")


def tcp_event_rows(
    records: NDArray[Any],
    context: NodeContext,
    *,
    offset_ns: int,
    texts: Texts,
    generations: Mapping[int, GenerationKey],
) -> Rows:
    """One row per record; offset_ns leads from kernel time to wall time."""
    event, duration = records["event"], records["duration_ns"]
    is_state, is_sent = event == wire.TCP_STATE, event == wire.TCP_RESET_SENT
    with_addresses = is_ip(records["etype"])
    commands = TextCache(_command, limit=_COMMANDS).texts(byte_keys(records["comm"]))
    reasons = texts_of(records["reason"], context.names.reset_reason)
    milliseconds = np.round(duration / NS_PER_MS, MS_DIGITS)
    columns = event_columns(records, context, offset_ns=offset_ns, generations=generations)
    columns |= {
        "Event": texts_of(event, lambda number: _EVENTS.get(number, str(number))),
        "SrcAddr": nullable_texts(texts.addresses.texts(byte_keys(records["src"])), with_addresses),
        # A socket that begins to connect has none yet, one that listens no peer.
        "SrcPort": nullable(records["sport"], records["sport"] != 0),
        "DstAddr": nullable_texts(texts.addresses.texts(byte_keys(records["dst"])), with_addresses),
        "DstPort": nullable(records["dport"], records["dport"] != 0),
        "Segments": nullable(records["segments"], event == wire.TCP_RETRANSMIT),
        "State": texts_of(records["old_state"], tcp_state),
        "NewState": texts_of(np.where(is_state, records["new_state"], 0), tcp_state),
        "DurationMs": nullable(milliseconds, is_state & (duration != 0)),
        "Reason": nullable(np.array(reasons, object), is_sent),
        "Pid": nullable(records["pid"], records["pid"] != 0),
        "Command": nullable(np.array(commands, object), records["comm"][:, 0] != 0),
    }
    return Rows("tcp_event", len(records), columns, {"Node": context.node})
