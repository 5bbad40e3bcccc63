"""Filters with their numbers, and what agents get of them.

Invariant: pure; a set of rules that no agent could hold is refused with one line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.wire import MAX_ADDRESSES
from nshell.filters import MAX_RULES, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nshell.collector.resolution import Resolution


class ChangeError(ValueError):
    """A change that cannot be; str() is the line for the user."""


@dataclass(frozen=True, slots=True)
class NumberedRule:
    """A filter and the number that the user knows it by."""

    id: int
    rule: Rule
    label: str = ""
    """Whose it is; empty: the user's."""
    stands_for: Resolution | None = None
    """What its selectors do; None: it has none."""

    @property
    def in_force(self) -> tuple[NumberedRule, ...]:
        """What agents get in its place: no selectors, but perhaps several rules."""
        if self.stands_for is None:
            return (self,)
        return tuple(replace(self, rule=rule) for rule in self.stands_for.rules)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of it."""
        return self.stands_for.notes if self.stands_for else ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """What its selectors stand for."""
        return self.stands_for.addresses if self.stands_for else ()

    def staying(self, note: str) -> NumberedRule:
        """With selectors that stand for what they did, and a note why."""
        before = self.stands_for
        return replace(self, stands_for=before and replace(before, notes=(note,)))

    @property
    def text(self) -> str:
        """What the filter log shows."""
        return f"{self.label}: {self.rule.text or 'accept'}" if self.label else self.rule.text


def expanded(rules: Iterable[NumberedRule]) -> tuple[NumberedRule, ...]:
    """As agents get them."""
    return tuple(in_force for each in rules for in_force in each.in_force)


def check_names(rules: Iterable[NumberedRule]) -> None:
    """ChangeError where two filters have one."""
    known: dict[str, int] = {}
    for each in rules:
        name = each.rule.name
        if name and name in known:
            raise ChangeError(f"filter {known[name]} is named {name!r} already")
        known[name] = each.id


def check_rules(rules: Sequence[NumberedRule]) -> None:
    """ChangeError where agents can't hold them."""
    _check_count(rules)
    _check_addresses(rules)


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
    filters = {each.id for each in rules}
    if len(filters) <= MAX_RULES:
        raise ChangeError(
            f"{len(filters)} filters come to {len(rules)} rules with what services stand for: "
            f"{MAX_RULES} are the limit, name fewer services or delete a filter first"
        )
    labelled = [each.label for each in rules if each.label]
    meanwhile = f" ({len(labelled)} of them of {labelled[0]})" if labelled else ""
    raise ChangeError(
        f"{MAX_RULES} filters are the limit{meanwhile}: delete one first, see `filter list`"
    )
