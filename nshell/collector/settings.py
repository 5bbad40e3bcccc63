"""What is captured, and how much of it: all that the user sets beside filters.

Invariant: pure; a value that makes no sense is refused with one line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.wire import FEATURES, MAX_DNS_PORTS
from nshell.collector.rules import ChangeError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_SNAPLEN = 262_144
MIN_SNAPLEN = 14
"""An Ethernet header; less would show nothing."""
MAX_SAMPLING = 1_000_000
MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Settings:
    """What is captured, and how much of it."""

    flows: bool = True
    packets: bool = False
    paused: bool = False
    """Nothing is captured, whatever the two above say."""
    snaplen: int = 0
    """Bytes kept of a packet, 0: all."""
    sampling: int = 1
    """1 of so many packets is looked at."""
    features: tuple[str, ...] = ()
    """Those switched on, in the order of agent.wire.FEATURES."""
    dns_ports: tuple[int, ...] = (53,)
    """Taken for DNS."""


def check_snaplen(snaplen: int) -> int:
    """A snap length that makes sense; ChangeError otherwise."""
    if snaplen and not MIN_SNAPLEN <= snaplen <= MAX_SNAPLEN:
        raise ChangeError(
            f"snaplen {snaplen} is out of range: {MIN_SNAPLEN} to {MAX_SNAPLEN}, or 0 for all"
        )
    return snaplen


def check_sampling(sampling: int) -> int:
    """A sampling rate that makes sense; ChangeError otherwise."""
    if not 1 <= sampling <= MAX_SAMPLING:
        raise ChangeError(f"sampling {sampling} is out of range: 1 to {MAX_SAMPLING}")
    return sampling


def check_features(names: Iterable[str]) -> tuple[str, ...]:
    """Features in their one order; ChangeError names one that there is not."""
    named = set(names)
    unknown = sorted(named.difference(FEATURES))
    if unknown:
        raise ChangeError(f"unknown feature {unknown[0]!r}: there are {', '.join(FEATURES)}")
    return tuple(name for name in FEATURES if name in named)


def check_dns_ports(ports: Iterable[int]) -> tuple[int, ...]:
    """Ports for DNS, each once; ChangeError where that cannot be."""
    unique = tuple(dict.fromkeys(ports))
    for port in unique:
        if not 1 <= port <= MAX_PORT:
            raise ChangeError(f"DNS port {port} is out of range: 1 to {MAX_PORT}")
    if not 1 <= len(unique) <= MAX_DNS_PORTS:
        raise ChangeError(f"{len(unique)} DNS ports: there can be 1 to {MAX_DNS_PORTS}")
    return unique
