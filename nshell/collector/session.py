"""The session as the user set it: filters, capture kinds, generations.

Invariant: a change is checked as a whole before anything of it holds; each one
makes a new generation, and no generation is ever altered. No IO here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.wire import MAX_ADDRESSES
from nshell.filters import MAX_RULES, Rule, parse_rule

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_SNAPLEN = 262_144
MIN_SNAPLEN = 14
"""An Ethernet header; less would show nothing."""
MAX_SAMPLING = 1_000_000


class ChangeError(ValueError):
    """A change that cannot be; str() is the line for the user."""


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


@dataclass(frozen=True, slots=True)
class NumberedRule:
    """A filter and the number that the user knows it by."""

    id: int
    rule: Rule


@dataclass(frozen=True, slots=True)
class Generation:
    """One state that agents are to be in."""

    number: int
    rules: tuple[NumberedRule, ...]
    settings: Settings
    changed_ns: int


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


class Session:
    """The present generation and how to get to the next."""

    def __init__(self, settings: Settings, filters: Sequence[Rule] = ()) -> None:
        self._next_id = 1
        check_snaplen(settings.snaplen)
        check_sampling(settings.sampling)
        rules = tuple(self._numbered(rule) for rule in filters)
        _check_count(len(rules))
        self.present = Generation(1, rules, settings, time.time_ns())

    def add_filter(self, words: Sequence[str]) -> tuple[int, ...]:
        """Append a filter; its id."""
        rule = parse_rule(words)
        _check_count(len(self.present.rules) + 1)
        added = self._numbered(rule)
        self._install(rules=(*self.present.rules, added))
        return (added.id,)

    def delete_filters(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Delete filters, all or none."""
        if not ids:
            raise ChangeError("which filter? say its number, see `filter list`")
        for number in ids:
            self._position(number)
        gone = tuple(dict.fromkeys(ids))
        self._install(rules=tuple(each for each in self.present.rules if each.id not in gone))
        return gone

    def replace_filter(self, number: int, words: Sequence[str]) -> tuple[int, ...]:
        """Put another filter in the place of one, under its id."""
        position = self._position(number)
        rules = list(self.present.rules)
        rules[position] = NumberedRule(number, parse_rule(words))
        self._install(rules=tuple(rules))
        return (number,)

    def clear_filters(self) -> tuple[int, ...]:
        """Delete every filter."""
        gone = tuple(each.id for each in self.present.rules)
        self._install(rules=())
        return gone

    def set(
        self,
        *,
        flows: bool | None = None,
        packets: bool | None = None,
        paused: bool | None = None,
        snaplen: int | None = None,
        sampling: int | None = None,
    ) -> tuple[int, ...]:
        """Change settings; what is None stays. No filter changes."""
        present = self.present.settings
        self._install(
            settings=Settings(
                flows=present.flows if flows is None else flows,
                packets=present.packets if packets is None else packets,
                paused=present.paused if paused is None else paused,
                snaplen=present.snaplen if snaplen is None else check_snaplen(snaplen),
                sampling=present.sampling if sampling is None else check_sampling(sampling),
            )
        )
        return ()

    def _install(
        self,
        *,
        rules: tuple[NumberedRule, ...] | None = None,
        settings: Settings | None = None,
    ) -> None:
        before = self.present
        after = replace(
            before,
            rules=before.rules if rules is None else rules,
            settings=before.settings if settings is None else settings,
        )
        if after == before:
            return
        _check_addresses(after.rules)
        self.present = replace(after, number=before.number + 1, changed_ns=time.time_ns())

    def _numbered(self, rule: Rule) -> NumberedRule:
        numbered = NumberedRule(self._next_id, rule)
        self._next_id += 1
        return numbered

    def _position(self, number: int) -> int:
        ids = [each.id for each in self.present.rules]
        if number in ids:
            return ids.index(number)
        raise ChangeError(f"no filter {number}: {_present(ids)}")


def _present(ids: Sequence[int]) -> str:
    if not ids:
        return "there are no filters"
    if len(ids) == 1:
        return f"there is only {ids[0]}"
    return f"there are {', '.join(map(str, ids[:-1]))} and {ids[-1]}"


def _check_addresses(rules: Sequence[NumberedRule]) -> None:
    named = sum(
        len(prefixes)
        for each in rules
        for prefixes in (each.rule.src, each.rule.dst, each.rule.either, each.rule.peer)
    )
    if named > MAX_ADDRESSES:
        raise ChangeError(
            f"{named:,} addresses in all filters together: {MAX_ADDRESSES:,} are the limit"
        )


def _check_count(count: int) -> None:
    if count > MAX_RULES:
        raise ChangeError(f"{MAX_RULES} filters are the limit: delete one first, see `filter list`")
