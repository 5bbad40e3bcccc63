"""The session as the user set it: filters, capture kinds, features, generations.

Invariant: a change is checked as a whole before anything of it holds; each one
makes a new generation, and no generation is ever altered. No IO here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.wire import FEATURES, MAX_ADDRESSES, MAX_DNS_PORTS
from nshell.collector.overlay import Overlay, laid_over
from nshell.filters import MAX_RULES, Rule, parse_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_SNAPLEN = 262_144
MIN_SNAPLEN = 14
"""An Ethernet header; less would show nothing."""
MAX_SAMPLING = 1_000_000
MAX_PORT = 65_535


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
    features: tuple[str, ...] = ()
    """Those switched on, in the order of agent.wire.FEATURES."""
    dns_ports: tuple[int, ...] = (53,)
    """Taken for DNS."""


@dataclass(frozen=True, slots=True)
class NumberedRule:
    """A filter and the number that the user knows it by."""

    id: int
    rule: Rule
    label: str = ""
    """Whose it is; empty: the user's."""

    @property
    def text(self) -> str:
        """What the filter log shows."""
        return f"{self.label}: {self.rule.text or 'accept'}" if self.label else self.rule.text


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


class Session:
    """The present generation and how to get to the next."""

    def __init__(self, settings: Settings, filters: Sequence[Rule] = ()) -> None:
        self._next_id = 1
        check_snaplen(settings.snaplen)
        check_sampling(settings.sampling)
        check_features(settings.features)
        check_dns_ports(settings.dns_ports)
        rules = tuple(self._numbered(rule) for rule in filters)
        _check_count(rules)
        self.rules = rules
        """The user's filters."""
        self.settings = settings
        """The user's settings."""
        self.overlay: Overlay | None = None
        self.present = Generation(1, rules, settings, time.time_ns())
        """What agents are to be in: the user's state, and what is laid over it."""

    def add_filter(self, words: Sequence[str]) -> tuple[int, ...]:
        """Append a filter; its id."""
        added = NumberedRule(self._next_id, parse_rule(words))
        self._install(rules=(*self.rules, added))
        self._next_id += 1
        return (added.id,)

    def delete_filters(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Delete filters, all or none."""
        if not ids:
            raise ChangeError("which filter? say its number, see `filter list`")
        for number in ids:
            self._position(number)
        gone = tuple(dict.fromkeys(ids))
        self._install(rules=tuple(each for each in self.rules if each.id not in gone))
        return gone

    def replace_filter(self, number: int, words: Sequence[str]) -> tuple[int, ...]:
        """Put another filter in the place of one, under its id."""
        position = self._position(number)
        rules = list(self.rules)
        rules[position] = NumberedRule(number, parse_rule(words))
        self._install(rules=tuple(rules))
        return (number,)

    def clear_filters(self) -> tuple[int, ...]:
        """Delete every filter."""
        gone = tuple(each.id for each in self.rules)
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
        dns_ports: Iterable[int] | None = None,
    ) -> tuple[int, ...]:
        """Change settings; what is None stays. No filter changes."""
        present = self.settings
        self._install(
            settings=replace(
                present,
                flows=present.flows if flows is None else flows,
                packets=present.packets if packets is None else packets,
                paused=present.paused if paused is None else paused,
                snaplen=present.snaplen if snaplen is None else check_snaplen(snaplen),
                sampling=present.sampling if sampling is None else check_sampling(sampling),
                dns_ports=present.dns_ports if dns_ports is None else check_dns_ports(dns_ports),
            )
        )
        return ()

    def switch_features(self, names: Sequence[str], *, on: bool) -> tuple[int, ...]:
        """Switch features on or off, all of them in one step."""
        if not names:
            raise ChangeError(f"which feature? there are {', '.join(FEATURES)}")
        named, before = set(check_features(names)), set(self.settings.features)
        after = check_features(before | named if on else before - named)
        self._install(settings=replace(self.settings, features=after))
        return ()

    def lay(self, label: str, rules: Sequence[Rule], features: Sequence[str]) -> Overlay:
        """Lay filters and features over the user's, until lift()."""
        if self.overlay is not None:
            raise ChangeError(f"{self.overlay.label} is at work already: one at a time")
        if not rules and not features:
            raise ChangeError("nothing to change")
        first = self._next_id
        numbered = [NumberedRule(first + i, rule, label) for i, rule in enumerate(rules)]
        everything = Rule(reject=False, flows=True, packets=True)
        rest = NumberedRule(first + len(rules), everything, label)
        overlay = Overlay(label, tuple(numbered), check_features(features), rest)
        self._install(overlay=overlay)
        self._next_id = rest.id + 1
        return overlay

    def lift(self, overlay: Overlay) -> None:
        """Take it away; nothing happens when it is not there any more."""
        if self.overlay is overlay:
            self.overlay = None
            self._install()

    def _install(
        self,
        *,
        rules: tuple[NumberedRule, ...] | None = None,
        settings: Settings | None = None,
        overlay: Overlay | None = None,
    ) -> None:
        """Make what is not None hold, if all of it can."""
        before = self.present
        own = self.rules if rules is None else rules
        chosen = self.settings if settings is None else settings
        over = overlay or self.overlay
        in_force = laid_over(own, chosen, over) if over else (own, chosen)
        after = replace(before, rules=in_force[0], settings=in_force[1])
        _check_count(after.rules)
        _check_addresses(after.rules)
        self.rules, self.settings, self.overlay = own, chosen, over
        if after != before:
            self.present = replace(after, number=before.number + 1, changed_ns=time.time_ns())

    def _numbered(self, rule: Rule) -> NumberedRule:
        numbered = NumberedRule(self._next_id, rule)
        self._next_id += 1
        return numbered

    def _position(self, number: int) -> int:
        ids = [each.id for each in self.rules]
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


def _check_count(rules: Sequence[NumberedRule]) -> None:
    if len(rules) <= MAX_RULES:
        return
    labelled = [each.label for each in rules if each.label]
    meanwhile = f" ({len(labelled)} of them of {labelled[0]})" if labelled else ""
    raise ChangeError(
        f"{MAX_RULES} filters are the limit{meanwhile}: delete one first, see `filter list`"
    )
