"""What a rule is to the classifier: structure only, met by the wire's Rule too.

Predicates are ANDed, the values of one predicate are alternatives, an empty
sequence is no constraint. Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_RULES = 64


class Prefix(Protocol):
    @property
    def address(self) -> bytes: ...
    @property
    def length(self) -> int: ...


class Range(Protocol):
    """Both ends belong to it."""

    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...


class FlagMatch(Protocol):
    """Holds when flags & mask == value."""

    @property
    def mask(self) -> int: ...
    @property
    def value(self) -> int: ...


class Rule(Protocol):
    @property
    def reject(self) -> bool: ...
    @property
    def flows(self) -> bool:
        """Governs flows; one that governs neither decides nothing, and is counted."""

    @property
    def packets(self) -> bool: ...
    @property
    def src(self) -> Sequence[Prefix]: ...
    @property
    def dst(self) -> Sequence[Prefix]: ...
    @property
    def either(self) -> Sequence[Prefix]: ...
    @property
    def peer(self) -> Sequence[Prefix]: ...
    @property
    def sport(self) -> Sequence[Range]: ...
    @property
    def dport(self) -> Sequence[Range]: ...
    @property
    def port(self) -> Sequence[Range]: ...
    @property
    def protocol(self) -> Sequence[Range]: ...
    @property
    def icmp_type(self) -> Sequence[Range]: ...
    @property
    def icmp_code(self) -> Sequence[Range]: ...
    @property
    def tcp_flags(self) -> Sequence[FlagMatch]: ...
    @property
    def direction(self) -> Sequence[int]: ...
    @property
    def interface(self) -> Sequence[str]: ...
