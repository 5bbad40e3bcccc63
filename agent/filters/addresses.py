"""Address conditions as vectors: every stored prefix carries all that contain it.

A trie returns the longest prefix only, so a prefix's vectors are the OR of its
own and those of every shorter one around it; then one look-up is enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.filters.rule import Prefix, Rule

FULL = 128


class Key(NamedTuple):
    """A prefix as numbers: bits beyond the length are 0."""

    length: int
    address: int


class Vectors(NamedTuple):
    """Bit n: rule n holds for this address as that end, in that conjunction."""

    src_f: int = 0
    src_r: int = 0
    dst_f: int = 0
    dst_r: int = 0


Condition = frozenset[Key] | None
"""The address lies in one of these; None: any address."""


@dataclass(frozen=True, slots=True)
class AddressTables:
    hosts: dict[Key, Vectors]
    """Whole addresses."""
    prefixes: dict[Key, Vectors]
    anywhere: Vectors
    """Of an address in no table."""
    constrained: int
    """Rules with any condition on addresses."""


@dataclass(slots=True)
class _Builder:
    own: dict[Key, list[int]] = field(default_factory=dict)
    anywhere: list[int] = field(default_factory=lambda: [0, 0, 0, 0])

    def add(self, role: int, condition: Condition, bit: int) -> None:
        if condition is None:
            self.anywhere[role] |= bit
            return
        for key in condition:
            self.own.setdefault(key, [0, 0, 0, 0])[role] |= bit


def build(rules: Sequence[Rule]) -> AddressTables:
    builder = _Builder()
    constrained = 0
    for index, rule in enumerate(rules):
        bit = 1 << index
        forward, reverse = conjunctions(rule)
        if reverse is not None or forward != (None, None):
            constrained |= bit
        builder.add(0, forward[0], bit)
        builder.add(2, forward[1], bit)
        if reverse is not None:
            builder.add(1, reverse[0], bit)
            builder.add(3, reverse[1], bit)
    return _close(builder, constrained)


def conjunctions(
    rule: Rule,
) -> tuple[tuple[Condition, Condition], tuple[Condition, Condition] | None]:
    """A rule's (source, destination) conditions, forward and, if it has a choice, reverse."""
    src, dst = _condition(rule.src), _condition(rule.dst)
    either, peer = _condition(rule.either), _condition(rule.peer)
    if either is None and peer is None:
        return (src, dst), None
    if either is None:
        either, peer = peer, None
    forward = (intersect(either, src), intersect(peer, dst))
    reverse = (intersect(peer, src), intersect(either, dst))
    return forward, reverse


def _condition(prefixes: Iterable[Prefix]) -> Condition:
    return frozenset(_key(p.length, int.from_bytes(p.address, "big")) for p in prefixes) or None


def _key(length: int, address: int) -> Key:
    return Key(length, address >> (FULL - length) << (FULL - length))


def intersect(a: Condition, b: Condition) -> Condition:
    """Of two prefix sets, the longer of each nested pair. May be empty: never holds."""
    if a is None or b is None:
        return b if a is None else a
    return _inside(a, b) | _inside(b, a)


def _inside(a: frozenset[Key], b: frozenset[Key]) -> frozenset[Key]:
    lengths = {key.length for key in b}
    return frozenset(
        key for key in a if any(n <= key.length and _key(n, key.address) in b for n in lengths)
    )


def _close(builder: _Builder, constrained: int) -> AddressTables:
    """Add to each prefix the vectors of those around it."""
    lengths = sorted({key.length for key in builder.own})
    hosts: dict[Key, Vectors] = {}
    prefixes: dict[Key, Vectors] = {}
    for key in builder.own:
        total = list(builder.anywhere)
        for length in lengths:
            if length > key.length:
                break
            around = builder.own.get(_key(length, key.address))
            if around:
                total = [x | y for x, y in zip(total, around, strict=True)]
        (hosts if key.length == FULL else prefixes)[key] = Vectors(*total)
    return AddressTables(hosts, prefixes, Vectors(*builder.anywhere), constrained)
