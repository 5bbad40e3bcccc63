"""What numbers of a node's kernel mean: drop and reset reasons, functions, TCP states.

Invariant: reasons and functions are those that the node itself sent, never a
table of ours; a number without a name is shown as such.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from agent.proto import agentlink_pb2
    from nshell.collector.decode.rows import Cell

_SUBSYSTEM_SHIFT = 16

# include/net/tcp_states.h; the numbers are part of the kernel's interface.
_TCP_STATES = {
    1: "TCP_ESTABLISHED", 2: "TCP_SYN_SENT", 3: "TCP_SYN_RECV", 4: "TCP_FIN_WAIT1",
    5: "TCP_FIN_WAIT2", 6: "TCP_TIME_WAIT", 7: "TCP_CLOSE", 8: "TCP_CLOSE_WAIT", 9: "TCP_LAST_ACK",
    10: "TCP_LISTEN", 11: "TCP_CLOSING", 12: "TCP_NEW_SYN_RECV", 13: "TCP_BOUND_INACTIVE",
}  # fmt: skip


@dataclass(slots=True)
class KernelNames:
    """Of one node, as it sent them so far."""

    drop_reasons: dict[int, str] = field(default_factory=dict)
    reset_reasons: dict[int, str] = field(default_factory=dict)
    functions: dict[int, str] = field(default_factory=dict)

    def add(self, message: agentlink_pb2.Names) -> None:
        """Take more names."""
        self.drop_reasons.update(message.drop_reasons)
        self.reset_reasons.update(message.reset_reasons)
        self.functions.update(message.functions)

    def drop_reason(self, number: int) -> str:
        """Those of subsystems have its number in their upper half."""
        subsystem, reason = number >> _SUBSYSTEM_SHIFT, number & ((1 << _SUBSYSTEM_SHIFT) - 1)
        unknown = f"SUBSYS{subsystem}_{reason}" if subsystem else str(number)
        return self.drop_reasons.get(number) or unknown

    def reset_reason(self, number: int) -> str:
        """Why a reset was sent."""
        return self.reset_reasons.get(number) or str(number)

    def function(self, address: int) -> str | None:
        """Where in the kernel, None where that is not readable."""
        return self.functions.get(address)


def tcp_state(number: int) -> str | None:
    """None for no socket."""
    return (_TCP_STATES.get(number) or str(number)) if number else None


def texts_of(numbers: NDArray[Any], text: Callable[[int], str | None]) -> Sequence[Cell]:
    """Of each number, made once per distinct one."""
    distinct, inverse = np.unique(numbers, return_inverse=True)
    made = [text(each) for each in distinct.tolist()]
    return list(map(made.__getitem__, inverse.tolist()))
