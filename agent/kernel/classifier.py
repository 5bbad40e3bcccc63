"""Writes generations into the kernel: into the idle slot, then one flip.

Owns the control word. A packet reads that word once; what it names is never
written while it is named, and is read back only after every program that might
still use it has ended.
"""

from __future__ import annotations

import ctypes
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent import wire
from agent.filters.addresses import FULL
from agent.kernel.bpf import Barrier, possible_cpus

if TYPE_CHECKING:
    import mmap
    from collections.abc import Mapping

    from agent.filters.addresses import Key, Vectors
    from agent.filters.tables import Tables
    from agent.kernel.bpf import Map
    from agent.kernel.compile import Loaded

_RULESET_BYTES = 152 + 2 * wire.MAX_DNS_PORTS
_PORT_BYTES = 2 * 65536 * 16
_SMALL_BYTES = 4 * 256 * 8
_HITS = 2 * (wire.NO_RULE + 1)
"""Hit counters of one slot."""
_DRAIN_BATCH = 8192


@dataclass(frozen=True, slots=True)
class Hit:
    """What one rule decided for one kind since its generation became active."""

    index: int
    packets_kind: bool
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Elements of one drained table."""

    count: int
    keys: bytes
    values: bytes


@dataclass(frozen=True, slots=True)
class Window:
    """What one eviction brought, all of one generation."""

    generation: int
    features: frozenset[str]
    """That were on."""
    flows: list[Chunk]
    extras: list[Chunk]
    """What features saw of flows, in this window."""


@dataclass(slots=True)
class _Slot:
    """What this slot of the address and interface tables holds now."""

    hosts: set[bytes] = field(default_factory=set)
    prefixes: set[bytes] = field(default_factory=set)
    interfaces: set[bytes] = field(default_factory=set)
    tables: Tables | None = None


class Classifier:
    """The kernel's tables. Not thread-safe: one caller at a time."""

    def __init__(self, loaded: Loaded) -> None:
        maps = loaded.maps
        self._maps = maps
        self._control = maps["control"].map_memory()
        self._word = ctypes.c_uint64.from_buffer(self._control)
        self._rulesets = maps["rulesets"].map_memory()
        self._ports = maps["ports"].map_memory()
        self._small = maps["small"].map_memory()
        self._flows = (maps["flows0"], maps["flows1"])
        self._extras = (maps["extras0"], maps["extras1"])
        self._barrier = Barrier()
        self._slots = (_Slot(), _Slot())
        self._cpus = possible_cpus()
        self.generation = 0
        self.features: frozenset[str] = frozenset()
        self._left = (self.generation, self.features)
        """Under which the idle flow table was filled."""

    @property
    def _rule_slot(self) -> int:
        return self._word.value & 1

    @property
    def _flow_slot(self) -> int:
        return self._word.value >> 1 & 1

    def apply(self, tables: Tables, *, generation: int, interfaces: Mapping[int, str]) -> list[Hit]:
        """Make a generation the active one; returns the last one's final hits.

        On return every packet is under the new generation, and the flows of the
        old one are in the idle flow table: drain() them before the next call.
        OSError when the tables do not fit; then nothing has changed.
        """
        idle = 1 - self._rule_slot
        self._stage(idle, tables, interfaces)
        self._zero_hits(idle)
        self._flip(rules=True)
        self.generation, self.features = generation, tables.features
        return self._hits(1 - self._rule_slot)

    def evict(self) -> None:
        """Make the other flow table the active one; drain() what it leaves."""
        self._flip(rules=False)

    def drain(self) -> Window:
        """Empty the idle tables."""
        idle = 1 - self._flow_slot
        return Window(
            *self._left,
            [Chunk(*each) for each in self._flows[idle].drain(_DRAIN_BATCH)],
            [Chunk(*each) for each in self._extras[idle].drain(_DRAIN_BATCH)],
        )

    def set_attached(self, ifindex: int, *, attached: bool) -> None:
        """Tell the hooks that see every device which ones are captured on."""
        key = struct.pack("<I", ifindex)
        if attached:
            self._maps["attached"].update(key, struct.pack("<I", 1))
        else:
            self._maps["attached"].delete(key)

    def add_interface(self, ifindex: int, name: str) -> None:
        """Let the active rules know an interface that no program runs on yet."""
        slot = self._rule_slot
        tables = self._slots[slot].tables
        if tables is not None and any(tables.interfaces):
            key = struct.pack("<II", ifindex, slot)
            self._maps["if_vectors"].update(key, struct.pack("<Q", tables.interface_vector(name)))
            self._slots[slot].interfaces.add(key)

    def hits(self) -> list[Hit]:
        """Of the active generation, so far."""
        return self._hits(self._rule_slot)

    def counters(self) -> dict[str, int]:
        """wire.COUNTERS summed over the CPUs, since the programs were loaded."""
        size = 8 * len(wire.COUNTERS)
        data = self._maps["counters"].lookup(bytes(4), size * self._cpus) or b""
        sums = [0] * len(wire.COUNTERS)
        for values in struct.iter_unpack(f"<{len(wire.COUNTERS)}Q", data):
            sums = [a + b for a, b in zip(sums, values, strict=True)]
        return {name: total for (name, _), total in zip(wire.COUNTERS, sums, strict=True)}

    def close(self) -> None:
        del self._word
        for memory in (self._control, self._rulesets, self._ports, self._small):
            memory.close()
        self._barrier.close()

    def _flip(self, *, rules: bool) -> None:
        word = self._word.value
        flow_slot = 1 - self._flow_slot
        self._left = (self.generation, self.features)
        struct.pack_into("<Q", self._control, 8 + 8 * flow_slot, time.monotonic_ns())
        self._word.value = word ^ (0b11 if rules else 0b10)
        self._barrier.wait()

    def _stage(self, slot: int, tables: Tables, interfaces: Mapping[int, str]) -> None:
        state = self._slots[slot]
        state.tables = tables
        _write(self._rulesets, slot * _RULESET_BYTES, tables.ruleset)
        _write(self._small, slot * _SMALL_BYTES, tables.small)
        _write(self._ports, slot * _PORT_BYTES, tables.ports)
        state.hosts = _replace(
            self._maps["hosts"], state.hosts,
            {_host(slot, k): _vectors(v) for k, v in tables.addresses.hosts.items()},
        )  # fmt: skip
        state.prefixes = _replace(
            self._maps["prefixes"], state.prefixes,
            {_prefix(slot, k): _vectors(v) for k, v in tables.addresses.prefixes.items()},
        )  # fmt: skip
        named = interfaces if any(tables.interfaces) else {}
        state.interfaces = _replace(
            self._maps["if_vectors"], state.interfaces,
            {
                struct.pack("<II", ifindex, slot): struct.pack("<Q", tables.interface_vector(name))
                for ifindex, name in named.items()
            },
        )  # fmt: skip

    def _zero_hits(self, slot: int) -> None:
        keys = struct.pack(f"<{_HITS}I", *range(slot * _HITS, (slot + 1) * _HITS))
        self._maps["hits"].update_batch(keys, bytes(_HITS * 16 * self._cpus))

    def _hits(self, slot: int) -> list[Hit]:
        stride = 16 * self._cpus
        data = self._maps["hits"].lookup_all(stride=stride)
        found = []
        for index in range(_HITS):
            at = (slot * _HITS + index) * stride
            words = struct.unpack_from(f"<{2 * self._cpus}Q", data, at)
            if packets := sum(words[0::2]):
                kind, rule = divmod(index, wire.NO_RULE + 1)
                found.append(Hit(rule, bool(kind), packets, sum(words[1::2])))
        return found


def _write(memory: mmap.mmap, offset: int, data: bytes) -> None:
    memory[offset : offset + len(data)] = data


def _replace(table: Map, old: set[bytes], new: dict[bytes, bytes]) -> set[bytes]:
    """Make new what the table holds of a slot instead of old; returns its keys.

    Stale keys go first, so that a full table has room. On an error the old set
    grows by the new keys, since any of them may have been written.
    """
    stale = old - new.keys()
    table.delete_batch(b"".join(stale))
    old -= stale
    old |= new.keys()
    table.update_batch(b"".join(new), b"".join(new.values()))
    return set(new)


def _vectors(v: Vectors) -> bytes:
    return struct.pack("<4Q", *v)


def _host(slot: int, key: Key) -> bytes:
    return key.address.to_bytes(16, "big") + struct.pack("<Q", slot)


def _prefix(slot: int, key: Key) -> bytes:
    assert key.length < FULL
    return struct.pack("<II", 32 + key.length, slot) + key.address.to_bytes(16, "big")
