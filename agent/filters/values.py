"""Numeric conditions as vectors: ports by interval, small values by table."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.filters.rule import Range, Rule

PORTS = 65536

Intervals = list[tuple[int, int]]
"""Sorted, apart from each other, both ends included."""


def merge(ranges: Iterable[Range]) -> Intervals | None:
    """Ranges as intervals; None when there are none, which is no constraint."""
    merged: Intervals = []
    for first, last in sorted((r.first, r.last) for r in ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged or None


def intersect(a: Intervals | None, b: Intervals | None) -> Intervals | None:
    if a is None or b is None:
        return b if a is None else a
    return [
        (max(x[0], y[0]), min(x[1], y[1]))
        for x in a
        for y in b
        if max(x[0], y[0]) <= min(x[1], y[1])
    ]


def table(size: int, conditions: Sequence[Intervals | None]) -> list[int]:
    """For each value below size the vector of the conditions that it satisfies."""
    vectors = [0] * size
    for index, intervals in enumerate(conditions):
        bit = 1 << index
        for first, last in [(0, size - 1)] if intervals is None else intervals:
            for value in range(first, min(last, size - 1) + 1):
                vectors[value] |= bit
    return vectors


def port_conditions(
    rule: Rule,
) -> tuple[
    tuple[Intervals | None, Intervals | None], tuple[Intervals | None, Intervals | None] | None
]:
    """A rule's (source, destination) port conditions, forward and, with `port`, reverse."""
    sport, dport, port = merge(rule.sport), merge(rule.dport), merge(rule.port)
    if port is None:
        return (sport, dport), None
    return (intersect(port, sport), dport), (sport, intersect(port, dport))


def port_table(rules: Sequence[Rule]) -> tuple[bytes, int]:
    """({forward, reverse} u64 pairs by source port, then by destination port;
    the rules that have a condition on ports)."""
    roles: list[list[Intervals | None]] = [[], [], [], []]
    constrained = 0
    for index, rule in enumerate(rules):
        forward, reverse = port_conditions(rule)
        if reverse is not None or forward != (None, None):
            constrained |= 1 << index
        never: tuple[Intervals, Intervals] = ([], [])
        for end in (0, 1):
            roles[end * 2].append(forward[end])
            roles[end * 2 + 1].append((reverse or never)[end])
    if not constrained:
        return b"", 0
    return b"".join(_pairs(roles[end * 2], roles[end * 2 + 1]) for end in (0, 1)), constrained


def _pairs(forward: list[Intervals | None], reverse: list[Intervals | None]) -> bytes:
    """One end's table, run by run: within a run no condition changes."""
    toggles: dict[int, list[int]] = {0: [0, 0]}
    for role, conditions in enumerate((forward, reverse)):
        for index, intervals in enumerate(conditions):
            for first, last in [(0, PORTS - 1)] if intervals is None else intervals:
                for at in (first, last + 1):
                    toggles.setdefault(at, [0, 0])[role] ^= 1 << index
    runs = sorted(at for at in toggles if at < PORTS)
    parts = []
    f = r = 0
    for at, until in zip(runs, [*runs[1:], PORTS], strict=True):
        f ^= toggles[at][0]
        r ^= toggles[at][1]
        parts.append(struct.pack("<QQ", f, r) * (until - at))
    return b"".join(parts)
