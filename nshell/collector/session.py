"""The session as the user set it: filters, capture kinds, features, generations.

Invariant: a change is checked as a whole before anything of it holds; each one
makes a new generation, and no generation is ever altered. No IO here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.wire import FEATURES
from nshell.collector.overlay import Overlay, laid_over
from nshell.collector.rules import ChangeError, NumberedRule, check_names, check_rules, expanded
from nshell.collector.settings import (
    Settings,
    check_dns_ports,
    check_features,
    check_sampling,
    check_snaplen,
)
from nshell.filters import MAX_RULES, Rule, needs_cluster, parse_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nshell.collector.resolution import Resolve

__all__ = [
    "ChangeError",
    "Generation",
    "NumberedRule",
    "Session",
    "Settings",
    "check_dns_ports",
    "check_features",
    "check_sampling",
    "check_snaplen",
]


@dataclass(frozen=True, slots=True)
class Generation:
    """One state that agents are to be in."""

    number: int
    rules: tuple[NumberedRule, ...]
    """As agents have them: several may be one filter."""
    settings: Settings
    changed_ns: int


class Session:
    """The present generation and how to get to the next."""

    def __init__(
        self,
        settings: Settings,
        filters: Sequence[Rule] = (),
        *,
        resolve: Resolve | None = None,
        own: Sequence[Rule] = (),
    ) -> None:
        """resolve: says what selectors stand for; without it there is no cluster to select in.

        own: reject the session's own traffic before any filter, and are none themselves.
        """
        self._own = tuple(NumberedRule(0, rule, "own traffic") for rule in own)
        self._next_id = 1
        self._resolve = resolve
        check_snaplen(settings.snaplen)
        check_sampling(settings.sampling)
        check_features(settings.features)
        check_dns_ports(settings.dns_ports)
        rules = tuple(self._numbered(rule) for rule in filters)
        in_force = expanded(rules)
        check_names(rules)
        check_rules(in_force)
        self.rules = rules
        """The user's filters."""
        self._names: dict[int, str] = {}
        self._remember_names()
        self.settings = settings
        """The user's settings."""
        self.overlay: Overlay | None = None
        self.ended = ""
        """Why nothing is captured any more, empty while something is."""
        self.present = Generation(1, self._sparing(in_force), settings, time.time_ns())
        """What agents are to be in: the user's state, and what is laid over it."""

    @property
    def next_id(self) -> int:
        """Number of the next filter."""
        return self._next_id

    def go_on(
        self,
        rules: tuple[NumberedRule, ...],
        settings: Settings,
        *,
        next_id: int,
        above: int,
        ended: str,
    ) -> None:
        """Take over what an earlier collector had, in a generation above all of its."""
        self.rules = tuple(self._resolved(each) for each in rules)
        self.settings, self._next_id, self.ended = settings, next_id, ended
        self.present = replace(self.present, number=above)
        self._install()
        if self.present.number == above:
            self.present = replace(self.present, number=above + 1, changed_ns=time.time_ns())

    def end(self, reason: str) -> None:
        """Capture nothing any more, and let nothing be changed."""
        self.ended = reason
        self._install()

    def add_filter(self, words: Sequence[str]) -> tuple[int, ...]:
        """Append a filter; its id."""
        added = self._resolved(NumberedRule(self._next_id, parse_rule(words)))
        check_names([*self.rules, added])
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
        """Put another filter in the place of one, under its id, and its name if it gets none."""
        position = self._position(number)
        rules = list(self.rules)
        rule, name = parse_rule(words), rules[position].rule.name
        if name and not rule.name:
            rule = parse_rule([*words, "as", name])
        rules[position] = self._resolved(NumberedRule(number, rule))
        check_names(rules)
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

    def lay(
        self, label: str, rules: Sequence[Rule], features: Sequence[str], *, counts: bool = False
    ) -> Overlay:
        """Lay filters and features over the user's, until lift()."""
        if self.overlay is not None:
            raise ChangeError(f"{self.overlay.label} is at work already: one at a time")
        if not rules and not features:
            raise ChangeError("nothing to change")
        first = self._next_id
        if counts:
            rules = [replace(rule, flows=False, packets=False) for rule in rules]
        numbered = [
            self._resolved(NumberedRule(first + i, rule, label)) for i, rule in enumerate(rules)
        ]
        everything = Rule(reject=False, flows=True, packets=True)
        rest = NumberedRule(first + len(rules), everything, label)
        overlay = Overlay(label, tuple(numbered), check_features(features), rest, counts)
        self._install(overlay=overlay)
        self._next_id = rest.id + (not counts)
        return overlay

    def lift(self, overlay: Overlay) -> None:
        """Take it away; nothing happens when it is not there any more."""
        # The one that is there may stand for other pods by now.
        if self.overlay is not None and self.overlay.rest.id == overlay.rest.id:
            self.overlay = None
            self._install()

    def follow(self, resolve: Resolve) -> None:
        """From now on this says what selectors stand for."""
        self._resolve = resolve
        self.refresh()

    def refresh(self) -> None:
        """Make what selectors stand for now hold; a generation only where that differs.

        A filter that would go over a limit stays as it was, and its note says so.
        """
        if self.ended:
            return
        over = self.overlay
        if over is not None:
            over = replace(over, rules=tuple(self._resolved(each) for each in over.rules))
        fresh = tuple(self._resolved(each) for each in self.rules)
        try:
            self._install(rules=fresh, overlay=over)
        except ChangeError:
            self._install(rules=self._as_far_as_possible(fresh))

    def filter_name(self, number: int) -> str | None:
        """Of a filter that is there, or was."""
        return self._names.get(number)

    def notes(self, ids: Iterable[int]) -> list[str]:
        """What the user should know of these filters."""
        known = {each.id: each.notes for each in self.rules}
        return [note for number in ids for note in known.get(number, ())]

    def _remember_names(self) -> None:
        self._names.update((each.id, each.rule.name) for each in self.rules if each.rule.name)

    def _as_far_as_possible(self, fresh: Sequence[NumberedRule]) -> tuple[NumberedRule, ...]:
        rules = list(self.rules)
        for position, after in enumerate(fresh):
            before = rules[position]
            rules[position] = after
            try:
                _in_force(rules, self.settings, self.overlay)
            except ChangeError as error:
                rules[position] = before.staying(f"not followed any more: {error}")
        return tuple(rules)

    def _resolved(self, numbered: NumberedRule) -> NumberedRule:
        rule = numbered.rule
        if not rule.selectors:
            return numbered
        if self._resolve is None:
            raise ChangeError(needs_cluster(rule))
        return replace(numbered, stands_for=self._resolve(rule))

    def _install(
        self,
        *,
        rules: tuple[NumberedRule, ...] | None = None,
        settings: Settings | None = None,
        overlay: Overlay | None = None,
    ) -> None:
        """Make what is not None hold, if all of it can."""
        changes = any(each is not None for each in (rules, settings, overlay))
        if self.ended and changes:
            raise ChangeError(f"capturing has ended: {self.ended}; what was captured is all here")
        before = self.present
        own = self.rules if rules is None else rules
        chosen = self.settings if settings is None else settings
        over = overlay or self.overlay
        laid, laid_settings = _in_force(own, chosen, over)
        if self.ended:
            laid_settings = _nothing(laid_settings)
        after = replace(before, rules=self._sparing(laid), settings=laid_settings)
        self.rules, self.settings, self.overlay = own, chosen, over
        self._remember_names()
        if after != before:
            self.present = replace(after, number=before.number + 1, changed_ns=time.time_ns())

    def _sparing(self, rules: tuple[NumberedRule, ...]) -> tuple[NumberedRule, ...]:
        """With our own traffic left out, where that takes no filter's place."""
        return (*self._own[: MAX_RULES - len(rules)], *rules)

    def _numbered(self, rule: Rule) -> NumberedRule:
        numbered = self._resolved(NumberedRule(self._next_id, rule))
        self._next_id += 1
        return numbered

    def _position(self, number: int) -> int:
        ids = [each.id for each in self.rules]
        if number in ids:
            return ids.index(number)
        raise ChangeError(f"no filter {number}: {_present(ids)}")


def _in_force(
    own: Iterable[NumberedRule], chosen: Settings, over: Overlay | None
) -> tuple[tuple[NumberedRule, ...], Settings]:
    """What agents are to do; ChangeError where they could not."""
    rules, settings = expanded(own), chosen
    if over is not None:
        rules, settings = laid_over(rules, chosen, replace(over, rules=expanded(over.rules)))
    check_rules(rules)
    return rules, settings


def _nothing(settings: Settings) -> Settings:
    return replace(settings, flows=False, packets=False, features=())


def _present(ids: Sequence[int]) -> str:
    if not ids:
        return "there are no filters"
    if len(ids) == 1:
        return f"there is only {ids[0]}"
    return f"there are {', '.join(map(str, ids[:-1]))} and {ids[-1]}"
