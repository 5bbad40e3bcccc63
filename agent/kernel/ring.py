"""Reads the packet ring in bulk: finds where the finished records end, takes the lot.

The ring itself is the only queue: what is not taken stays there, and when it is
full the kernel counts what it loses. Layout: kernel/bpf/ringbuf.c.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.kernel.bpf import Map

_BUSY = 1 << 31
_LENGTH = (1 << 30) - 1

assert sys.byteorder == "little", "record headers are read as little-endian words"


class Ring:
    """The consumer's end; one reader at a time."""

    def __init__(self, ring: Map) -> None:
        page = mmap.PAGESIZE
        self.fd = ring.fd
        self.size = ring.max_entries
        self._consumer_memory = mmap.mmap(ring.fd, page, mmap.MAP_SHARED)
        # The kernel maps the data twice in a row; one copy is enough here and
        # half the resident memory.
        self._memory = mmap.mmap(
            ring.fd, page + self.size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page
        )
        self._consumer = ctypes.c_uint64.from_buffer(self._consumer_memory)
        self._view = memoryview(self._memory)
        self._producer = self._view[:8].cast("Q")
        self._data = self._view[page:]
        self._words = self._data.cast("Q")

    def pending(self) -> int:
        """Bytes that wait, unfinished records included."""
        return self._producer[0] - self._consumer.value

    def read(self, limit: int) -> tuple[int, bytes]:
        """Up to about limit bytes of finished records: (records, their bytes).

        Each record has its 8-byte header and is padded to 8 bytes. The space is
        free for the kernel again on return.
        """
        start = self._consumer.value
        end = min(self._producer[0], start + limit)
        words, mask = self._words, (self.size >> 3) - 1
        at, stop = start >> 3, end >> 3
        count = 0
        while at < stop:
            header = words[at & mask] & 0xFFFFFFFF
            if header & _BUSY:
                break
            at += ((header & _LENGTH) + 15) >> 3
            count += 1
        taken = self._copy(start, at << 3)
        self._consumer.value = at << 3
        return count, taken

    def _copy(self, start: int, end: int) -> bytes:
        first, last = start & (self.size - 1), end & (self.size - 1)
        if end - start == 0:
            return b""
        if first < last:
            return bytes(self._data[first:last])
        return bytes(self._data[first:]) + bytes(self._data[:last])

    def close(self) -> None:
        del self._consumer
        for view in (self._words, self._data, self._producer, self._view):
            view.release()
        self._memory.close()
        self._consumer_memory.close()
