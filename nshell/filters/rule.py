"""A filter as data: but for selectors, field for field the ``Rule`` of the agents.

What a rule means:

- Predicates are ANDed, the values of one predicate are alternatives, an empty
  tuple is no constraint.
- ``src`` and ``dst``, ``sport`` and ``dport`` constrain that end.
- ``either`` alone and ``peer`` alone hold when one end, no matter which, lies in
  one of their prefixes. Both together pair the ends: the source in ``either`` and
  the destination in ``peer``, or the other way round.
- ``port`` holds when one of the two ports is in it, independently of the ends
  that the addresses matched.
- ``port``, ``sport`` and ``dport`` hold only for TCP, UDP, SCTP, UDP-Lite and
  DCCP packets whose ports are known; ``icmp_type`` and ``icmp_code`` only for
  ICMP and ICMPv6 whose type is known; ``tcp_flags`` only for TCP whose flags
  are known.
- Every predicate but ``direction`` and ``interface`` asks for IPv4 or IPv6; a
  rule of these two alone also holds for ARP and whatever else passes.
- ``selectors`` are names for one end, or two, that whoever knows the cluster puts
  in place of addresses before agents see the rule. Together with ``either`` and
  ``peer`` they name two ends at most: one alone is no matter which, two are
  opposite ones.

Rules are tried in order: of those that govern flows (or packets), the first that
holds decides. Where none holds, the verdict is reject if any of them accepts,
else accept.

IPv4 addresses stand at ::ffff:0:0/96 and no prefix that came from IPv6 text
reaches into it, so that the families never alias.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from nshell.filters.selectors import Selectors

MAX_RULES = 64
"""Rules in force at one time: the bits of the kernel's match vector."""

MAPPED = bytes(10) + b"\xff\xff"
"""First 96 bits of every IPv4 address."""

MAPPED_BITS = 96


@dataclass(frozen=True, slots=True)
class Prefix:
    """A network of addresses."""

    address: bytes
    """16 bytes, IPv4 as ::ffff:a.b.c.d."""
    length: int
    """0 to 128; an IPv4 /n is 96 + n."""

    @property
    def family(self) -> int:
        """4 or 6."""
        return 4 if self.length >= MAPPED_BITS and self.address.startswith(MAPPED) else 6


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from first to last, both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class FlagMatch:
    """Holds when ``flags & mask == value``."""

    mask: int
    value: int


class Direction(IntEnum):
    """Of a packet at the interface it was seen on."""

    INGRESS = 0
    EGRESS = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """One filter; see the module for what it means."""

    reject: bool
    flows: bool
    """Governs flows."""
    packets: bool
    """Governs packets."""
    src: tuple[Prefix, ...] = ()
    dst: tuple[Prefix, ...] = ()
    either: tuple[Prefix, ...] = ()
    peer: tuple[Prefix, ...] = ()
    sport: tuple[Range, ...] = ()
    dport: tuple[Range, ...] = ()
    port: tuple[Range, ...] = ()
    protocol: tuple[Range, ...] = ()
    icmp_type: tuple[Range, ...] = ()
    icmp_code: tuple[Range, ...] = ()
    tcp_flags: tuple[FlagMatch, ...] = ()
    direction: tuple[Direction, ...] = ()
    interface: tuple[str, ...] = ()
    """Names; ``*`` stands for any characters, ``?`` for one."""
    selectors: Selectors = field(default_factory=Selectors)
    name: str = ""
    """That the user gave it; empty: none."""
    text: str = ""
    """What ``filter`` takes to make this rule again, in canonical order and spelling."""
