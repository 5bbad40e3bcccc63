"""Runs of kernel ring records: where each starts, and its head as an array.

Invariant: the only place that knows the ring's own headers; bytes that are no
run of records raise DecodeError, whatever they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent import wire
from nshell.collector.decode.rows import DecodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEADER_BYTES = wire.RING_HEADER.size
_DISCARD = 1 << 30
_LENGTH_MASK = _DISCARD - 1


@dataclass(frozen=True, slots=True)
class RingRecords:
    """A copy of a run, which may be written to, and its records but the discarded ones."""

    what: str
    """For messages: what it is a batch of."""
    words: NDArray[np.uint32]
    starts: NDArray[np.int64]
    """Offset of the header of each record, in bytes."""
    lengths: NDArray[np.int64]
    """Of each record behind its header, in bytes."""

    @property
    def octets(self) -> NDArray[np.uint8]:
        """The same memory byte by byte."""
        return self.words.view(np.uint8)

    def heads(self, dtype: np.dtype[Any], chosen: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """How each record starts, or each chosen one; a copy."""
        starts, lengths = self.starts, self.lengths
        if chosen is not None:
            starts, lengths = starts[chosen], lengths[chosen]
        if (lengths < dtype.itemsize).any():
            raise DecodeError(f"{self.what} batch has a record shorter than its {self.what}")
        first = (starts + HEADER_BYTES) >> 2
        heads: NDArray[Any] = self.words[first[:, None] + np.arange(dtype.itemsize // 4)]
        return heads.view(dtype).ravel()


def ring_records(records: bytes, what: str) -> RingRecords:
    """The records of a run; DecodeError if it ends inside of one."""
    size = len(records)
    words = np.zeros((size + 7) // 8 * 2, "<u4")
    words.view(np.uint8)[:size] = np.frombuffer(records, np.uint8)
    starts = _starts(words, size)
    lengths = (words[starts >> 2] & _LENGTH_MASK).astype(np.int64)
    if (starts + HEADER_BYTES + lengths > size).any():
        raise DecodeError(f"{what} batch ends inside a record")
    return RingRecords(what, words, starts, lengths)


def _starts(words: NDArray[np.uint32], size: int) -> NDArray[np.int64]:
    """Offset of every record; each length leads to the next, so this is one walk."""
    lengths = memoryview(words.data).cast("B").cast("I")
    starts: list[int] = []
    offset = 0
    while offset < size:
        length = lengths[offset >> 2]
        if not length & _DISCARD:
            starts.append(offset)
        offset += ((length & _LENGTH_MASK) + HEADER_BYTES + 7) & ~7
    return np.array(starts, np.int64)
