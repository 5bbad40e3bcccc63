"""What features saw of flows, until the flows of the same eviction window come.

Invariant: an extra is handed out exactly once: to the flow that has its key, or
with the rest that no flow has.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from agent import wire

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agent.proto import agentlink_pb2

KEY = np.dtype(wire.FLOW_KEY.dtype())
EXTRA = np.dtype(wire.FLOW_EXTRA.dtype())
_KEY_BYTES = f"V{KEY.itemsize}"


@dataclass(slots=True)
class Window:
    """Extras of one node's eviction window that wait for their flows."""

    generation: int = 0
    clock_offset_ns: int = 0
    features: frozenset[str] = frozenset()
    _positions: dict[bytes, int] = field(default_factory=dict)
    _values: list[NDArray[Any]] = field(default_factory=list)
    _count: int = 0

    def __bool__(self) -> bool:
        return bool(self._positions)

    def add(self, batch: agentlink_pb2.FlowBatch) -> None:
        """Take the extras of a batch."""
        self.generation = batch.generation
        self.clock_offset_ns = batch.clock_offset_ns
        self.features = frozenset(batch.features)
        if batch.extra_count:
            keys = np.frombuffer(batch.extra_keys, _KEY_BYTES).tolist()
            self._positions.update(zip(keys, itertools.count(self._count), strict=False))
            self._values.append(np.frombuffer(batch.extra_values, EXTRA))
            self._count += len(keys)

    def match(self, flow_keys: bytes) -> NDArray[Any] | None:
        """The extra of each flow, all zero where it has none; None without any."""
        if not self._positions:
            return None
        pop = self._positions.pop
        positions = np.array(
            [pop(key, -1) for key in np.frombuffer(flow_keys, _KEY_BYTES).tolist()], np.int64
        )
        found = positions >= 0
        if not found.any():
            return None
        matched = np.zeros(len(positions), EXTRA)
        matched[found] = self._all()[positions[found]]
        return matched

    def rest(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Keys and values of those that no flow has taken; the window is empty then."""
        keys = np.frombuffer(b"".join(self._positions), KEY)
        values = self._all()[list(self._positions.values())]
        self._positions, self._values, self._count = {}, [], 0
        return keys, values

    def _all(self) -> NDArray[Any]:
        if len(self._values) != 1:
            self._values = [np.concatenate([np.zeros(0, EXTRA), *self._values])]
        return self._values[0]
