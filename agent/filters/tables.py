"""Rules into the tables that the kernel's classifier reads.

Pure: no kernel, no RPC. agent/bpf/classify.h says how they are read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from agent.filters import addresses, values
from agent.filters.rule import MAX_RULES
from agent.wire import MAX_DNS_PORTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.filters.addresses import AddressTables
    from agent.filters.rule import FlagMatch, Rule

DIM_ADDRESS, DIM_PREFIX, DIM_PORT, DIM_PROTOCOL = 1, 2, 4, 8
DIM_ICMP, DIM_FLAGS, DIM_DIRECTION, DIM_INTERFACE = 16, 32, 64, 128

CAPTURE_FLOWS, CAPTURE_PACKETS, ACCEPT_FLOWS, ACCEPT_PACKETS = 1, 2, 4, 8
CAPTURE_COUNTS = 256
CAPTURE = {"dns": 16, "drops": 32, "rtt": 64, "tcp": 128}
"""Of each feature (agent.wire.FEATURES)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What else a generation sets, beside its rules."""

    generation: int
    flows: bool = True
    packets: bool = False
    snaplen: int = 0
    """Bytes kept of a packet, 0: all."""
    sampling: int = 1
    """1 of N packets."""
    features: frozenset[str] = frozenset()
    """Of agent.wire.FEATURES."""
    dns_ports: tuple[int, ...] = (53,)


@dataclass(frozen=True, slots=True)
class Tables:
    """One generation, ready to be written into a slot."""

    ruleset: bytes
    """struct ruleset of agent/bpf/maps.h."""
    ports: bytes
    """2 x 65536 struct ends, or nothing when no rule looks at ports."""
    small: bytes
    """4 x 256 u64: protocol, ICMP type, ICMP code, TCP flags."""
    addresses: AddressTables
    interfaces: tuple[tuple[str, ...], ...]
    """Name patterns of each rule; empty: any interface."""
    features: frozenset[str]

    def interface_vector(self, name: str) -> int:
        """The rules that can hold on an interface of this name."""
        return _bits(
            not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
            for patterns in self.interfaces
        )


def build(rules: Sequence[Rule], settings: Settings) -> Tables:
    """ValueError for more than 64 rules: a vector has no more bits; for too many DNS ports."""
    if len(settings.dns_ports) > MAX_DNS_PORTS:
        raise ValueError(f"{len(settings.dns_ports)} DNS ports, {MAX_DNS_PORTS} are the most")
    if len(rules) > MAX_RULES:
        raise ValueError(f"{len(rules)} rules, {MAX_RULES} are the most")
    address_tables = addresses.build(rules)
    port_table, with_ports = values.port_table(rules)
    small = b"".join(
        struct.pack("<256Q", *vectors)
        for vectors in (
            values.table(256, [values.merge(r.protocol) for r in rules]),
            values.table(256, [values.merge(r.icmp_type) for r in rules]),
            values.table(256, [values.merge(r.icmp_code) for r in rules]),
            _flag_table([r.tcp_flags for r in rules]),
        )
    )
    return Tables(
        _ruleset(rules, settings, address_tables, with_ports),
        port_table,
        small,
        address_tables,
        tuple(tuple(r.interface) for r in rules),
        settings.features,
    )


def _bits(flags: Iterable[object]) -> int:
    return sum(1 << index for index, flag in enumerate(flags) if flag)


def _flag_table(conditions: Sequence[Sequence[FlagMatch]]) -> list[int]:
    return [
        _bits(not c or any(flags & m.mask == m.value for m in c) for c in conditions)
        for flags in range(256)
    ]


def _ruleset(
    rules: Sequence[Rule], settings: Settings, address_tables: AddressTables, with_ports: int
) -> bytes:
    every = (1 << len(rules)) - 1
    accept = _bits(not r.reject for r in rules)
    flows, packets = _bits(r.flows for r in rules), _bits(r.packets for r in rules)
    counted = every & ~(flows | packets)
    with_protocol = _bits(r.protocol for r in rules)
    with_icmp = _bits(r.icmp_type or r.icmp_code for r in rules)
    with_flags = _bits(r.tcp_flags for r in rules)
    with_direction = _bits(r.direction for r in rules)
    with_interface = _bits(r.interface for r in rules)
    needs_ip = address_tables.constrained | with_ports | with_protocol | with_icmp | with_flags
    dims = (
        bool(address_tables.hosts) * DIM_ADDRESS
        | bool(address_tables.prefixes) * DIM_PREFIX
        | bool(with_ports) * DIM_PORT
        | bool(with_protocol) * DIM_PROTOCOL
        | bool(with_icmp) * DIM_ICMP
        | bool(with_flags) * DIM_FLAGS
        | bool(with_direction) * DIM_DIRECTION
        | bool(with_interface) * DIM_INTERFACE
    )
    if address_tables.constrained:
        # A condition that no address meets leaves no entry, but must be asked.
        dims |= DIM_ADDRESS
    capture = (
        settings.flows * CAPTURE_FLOWS
        | settings.packets * CAPTURE_PACKETS
        | bool(counted) * CAPTURE_COUNTS
        | (not accept & flows) * ACCEPT_FLOWS
        | (not accept & packets) * ACCEPT_PACKETS
        | sum(CAPTURE[name] for name in settings.features)
    )
    # One port again and again where there are fewer: 0 is a port too.
    dns_ports = settings.dns_ports or (0,)
    dns_ports += dns_ports[:1] * (MAX_DNS_PORTS - len(dns_ports))
    anywhere = address_tables.anywhere
    return struct.pack(
        f"<16Q6I{MAX_DNS_PORTS}H",
        every, accept, flows, packets, counted,
        every & ~needs_ip, every & ~with_ports, every & ~with_icmp, every & ~with_flags,
        every & ~with_interface,
        _bits(not r.direction or 0 in r.direction for r in rules),
        _bits(not r.direction or 1 in r.direction for r in rules),
        anywhere.src_f, anywhere.src_r, anywhere.dst_f, anywhere.dst_r,
        dims, capture, settings.generation & 0xFFFFFFFF, settings.snaplen, settings.sampling,
        not (with_direction | with_interface), *dns_ports,
    )  # fmt: skip
