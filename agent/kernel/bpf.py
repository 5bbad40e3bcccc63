"""bpf(2): the few commands the agent needs, and nothing of policy.

Every function takes file descriptors and bytes and raises OSError with the
kernel's errno. Layouts: include/uapi/linux/bpf.h, union bpf_attr.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import platform
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAP_CREATE = 0
MAP_LOOKUP_ELEM = 1
MAP_UPDATE_ELEM = 2
MAP_DELETE_ELEM = 3
PROG_TEST_RUN = 10
PROG_GET_FD_BY_ID = 13
OBJ_GET_INFO_BY_FD = 15
RAW_TRACEPOINT_OPEN = 17
MAP_LOOKUP_BATCH = 24
MAP_LOOKUP_AND_DELETE_BATCH = 25
MAP_UPDATE_BATCH = 26
MAP_DELETE_BATCH = 27
LINK_CREATE = 28

MAP_TYPE_ARRAY = 2
MAP_TYPE_ARRAY_OF_MAPS = 12

TCX_INGRESS = 46
TCX_EGRESS = 47
F_BEFORE = 1 << 3
F_AFTER = 1 << 4

_SYSCALL = {"x86_64": 321, "aarch64": 280, "ppc64le": 361, "riscv64": 280}
_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attr: bytearray) -> int:
    number = _SYSCALL.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"no bpf(2) known for {platform.machine()}")
    buffer = (ctypes.c_char * len(attr)).from_buffer(attr)
    result: int = _libc.syscall(number, command, buffer, len(attr))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _address(data: bytearray) -> int:
    """Of a buffer that the caller keeps alive, and its size unchanged, during the call."""
    return ctypes.addressof((ctypes.c_char * len(data)).from_buffer(data))


@dataclass(frozen=True, slots=True)
class Map:
    """A map as the kernel describes it; the descriptor belongs to whoever made it."""

    fd: int
    type: int
    key_size: int
    value_size: int
    """Bytes of one element; per-CPU maps hold one for each possible CPU."""
    max_entries: int
    name: str

    @classmethod
    def from_fd(cls, fd: int) -> Map:
        info = bytearray(88)
        attr = bytearray(struct.pack("<IIQ", fd, len(info), _address(info)))
        _bpf(OBJ_GET_INFO_BY_FD, attr)
        kind, _id, key, value, entries, _flags = struct.unpack_from("<6I", info)
        name = bytes(info[24:40]).split(b"\0")[0].decode()
        return cls(fd, kind, key, value, entries, name)

    def lookup(self, key: bytes, value_bytes: int | None = None) -> bytes | None:
        """The value, or None; value_bytes for a per-CPU map: 8-aligned size x CPUs."""
        k, v = bytearray(key), bytearray(value_bytes or self.value_size)
        attr = bytearray(struct.pack("<IxxxxQQQ", self.fd, _address(k), _address(v), 0))
        try:
            _bpf(MAP_LOOKUP_ELEM, attr)
        except FileNotFoundError:
            return None
        return bytes(v)

    def update(self, key: bytes, value: bytes) -> None:
        k, v = bytearray(key), bytearray(value)
        attr = bytearray(struct.pack("<IxxxxQQQ", self.fd, _address(k), _address(v), 0))
        _bpf(MAP_UPDATE_ELEM, attr)

    def delete(self, key: bytes) -> None:
        """No error where there is no such key."""
        k = bytearray(key)
        attr = bytearray(struct.pack("<IxxxxQQQ", self.fd, _address(k), 0, 0))
        try:
            _bpf(MAP_DELETE_ELEM, attr)
        except FileNotFoundError:
            return

    def update_batch(self, keys: bytes, values: bytes) -> None:
        """Write many elements, in order; on an error the first ones are written."""
        self._batch(MAP_UPDATE_BATCH, bytearray(keys), bytearray(values))

    def delete_batch(self, keys: bytes) -> None:
        self._batch(MAP_DELETE_BATCH, bytearray(keys), bytearray(1))

    def _batch(self, command: int, keys: bytearray, values: bytearray) -> None:
        count = len(keys) // self.key_size
        if count:
            attr = self._batch_attr(0, 0, _address(keys), _address(values), count)
            _bpf(command, attr)

    def _batch_attr(self, start: int, end: int, keys: int, values: int, count: int) -> bytearray:
        return bytearray(struct.pack("<4QIIQQ", start, end, keys, values, count, self.fd, 0, 0))

    def drain(self, batch: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Empty a hash map: (count, keys, values) of up to `batch` elements each.

        Elements that are written meanwhile may or may not come out: drain a map
        that no program writes any more.
        """
        keys, values = bytearray(batch * self.key_size), bytearray(batch * self.value_size)
        token = bytearray(max(self.key_size, 8))
        begun = False
        while True:
            attr = self._batch_attr(
                _address(token) if begun else 0,
                _address(token),
                _address(keys),
                _address(values),
                batch,
            )
            done = False
            try:
                _bpf(MAP_LOOKUP_AND_DELETE_BATCH, attr)
            except FileNotFoundError:
                done = True
            except OSError as error:
                if error.errno != errno.ENOSPC:  # one bucket is larger than the batch
                    raise
                yield from self.drain(batch * 2)
                return
            (count,) = struct.unpack_from("<I", attr, 32)
            if count:
                yield (
                    count,
                    bytes(memoryview(keys)[: count * self.key_size]),
                    bytes(memoryview(values)[: count * self.value_size]),
                )
            if done:
                return
            begun = True

    def numbers(self) -> list[int]:
        """The keys of a hash whose keys are 8-byte numbers."""
        keys = bytearray(8 * self.max_entries)
        values = bytearray(self.value_size * self.max_entries)
        token = bytearray(8)
        attr = self._batch_attr(
            0, _address(token), _address(keys), _address(values), self.max_entries
        )
        with contextlib.suppress(FileNotFoundError):  # says "that was the last one"
            _bpf(MAP_LOOKUP_BATCH, attr)
        (count,) = struct.unpack_from("<I", attr, 32)
        return list(struct.unpack_from(f"<{count}Q", keys))

    def lookup_all(self, *, stride: int) -> bytes:
        """Every element of an array, in order; stride: bytes of one, all CPUs together."""
        keys = bytearray(4 * self.max_entries)
        values = bytearray(stride * self.max_entries)
        token = bytearray(8)
        attr = self._batch_attr(
            0, _address(token), _address(keys), _address(values), self.max_entries
        )
        with contextlib.suppress(FileNotFoundError):  # says "that was the last one"
            _bpf(MAP_LOOKUP_BATCH, attr)
        return bytes(values)

    def map_memory(self, *, writable: bool = True) -> mmap.mmap:
        """The elements of a map made with BPF_F_MMAPABLE, 8-aligned, as memory."""
        stride = (self.value_size + 7) & ~7
        size = (stride * self.max_entries + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        return mmap.mmap(self.fd, size, mmap.MAP_SHARED, protection)


def possible_cpus() -> int:
    """How many CPUs the kernel allots per-CPU memory for (kernel/bpf/arraymap.c)."""
    text = Path("/sys/devices/system/cpu/possible").read_text().strip()
    return int(text.replace("-", ",").split(",")[-1]) + 1


def create_map(kind: int, *, entries: int, inner: int = 0) -> int:
    """A map with 4-byte keys and values; descriptor."""
    attr = bytearray(struct.pack("<6I", kind, 4, 4, entries, 0, inner).ljust(72, b"\0"))
    return _bpf(MAP_CREATE, attr)


def link_tcx(program: int, *, ifindex: int, attach_type: int, flags: int) -> int:
    """Attach by a TCX link (Linux 6.6, commit e420bed02507); descriptor.

    The link goes with its last descriptor, so with the process. flags: F_BEFORE
    is the head of the chain, F_AFTER its tail, 0 the kernel's default (tail).
    """
    attr = bytearray(
        struct.pack("<6IQ", program, ifindex, attach_type, flags, 0, 0, 0).ljust(64, b"\0")
    )
    return _bpf(LINK_CREATE, attr)


def attach_raw_tracepoint(name: str, program: int) -> int:
    """Descriptor; the program is off the tracepoint when its last one is closed."""
    text = bytearray(name.encode() + b"\0")
    attr = bytearray(struct.pack("<QIxxxx", _address(text), program).ljust(24, b"\0"))
    return _bpf(RAW_TRACEPOINT_OPEN, attr)


def prog_fd_by_id(number: int) -> int:
    """A loaded program, whoever loaded it; descriptor."""
    return _bpf(PROG_GET_FD_BY_ID, bytearray(struct.pack("<III", number, 0, 0)))


class Barrier:
    """Waits until every program that runs now has ended.

    An update of an array of maps does so: synchronize_rcu() in
    maybe_wait_bpf_programs(), kernel/bpf/syscall.c.
    """

    def __init__(self) -> None:
        self._inner = create_map(MAP_TYPE_ARRAY, entries=1)
        self._outer = create_map(MAP_TYPE_ARRAY_OF_MAPS, entries=1, inner=self._inner)

    def wait(self) -> None:
        Map(self._outer, MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1, "").update(
            bytes(4), struct.pack("<I", self._inner)
        )

    def close(self) -> None:
        os.close(self._outer)
        os.close(self._inner)


def run_program(
    program: int, frame: bytes, *, repeat: int = 1, ifindex: int = 1
) -> tuple[int, int]:
    """Run a TC program over a frame: (its return value, mean ns of one run).

    BPF_PROG_TEST_RUN, net/bpf/test_run.c. The frame has at least 14 bytes and a
    link header; ifindex is one of this network namespace.
    """
    data = bytearray(frame)
    context = bytearray(192)  # struct __sk_buff
    struct.pack_into("<I", context, 40, ifindex)
    attr = bytearray(
        struct.pack(
            "<IIIIQQIIIIQQ",
            program, 0, len(data), 0, _address(data), 0, repeat, 0, len(context), 0,
            _address(context), 0,
        ).ljust(88, b"\0")
    )  # fmt: skip
    _bpf(PROG_TEST_RUN, attr)
    (value,) = struct.unpack_from("<i", attr, 4)
    (duration,) = struct.unpack_from("<I", attr, 36)
    return value, duration
