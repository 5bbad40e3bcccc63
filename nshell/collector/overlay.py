"""What is laid over the user's filters and settings for a while, such as for `why`.

Its filters are tried before the user's, or decide nothing and are only counted.

Invariant: a pure function of the user's state and the overlay, so taking the
overlay away leaves exactly what the user set, changes made meanwhile included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.wire import FEATURES

if TYPE_CHECKING:
    from nshell.collector.rules import NumberedRule
    from nshell.collector.session import Settings


@dataclass(frozen=True, slots=True)
class Overlay:
    """Filters over the user's own, and features beside those switched on."""

    label: str
    """Whose it is."""
    rules: tuple[NumberedRule, ...]
    features: tuple[str, ...]
    rest: NumberedRule
    """Accepts everything: for what would be captured without the overlay."""
    counts: bool = False
    """Its filters govern nothing: agents count what they hold for."""


def laid_over(
    rules: tuple[NumberedRule, ...], settings: Settings, overlay: Overlay
) -> tuple[tuple[NumberedRule, ...], Settings]:
    """What agents are to do while the overlay is there.

    Its filters find flows even where the user captures none; packets are captured
    as the user has it.
    """
    features = tuple(
        name for name in FEATURES if name in settings.features or name in overlay.features
    )
    if overlay.counts or not overlay.rules:
        return (*rules, *overlay.rules), replace(settings, features=features)
    flows = settings.flows and not settings.paused
    packets = settings.packets and not settings.paused
    kept = rules if flows else _without_flows(rules)
    # Where the first filter to accept is one of the overlay's, what no filter
    # decides would be left out from now on.
    rest = replace(
        overlay.rest.rule,
        flows=flows and _accept(overlay.rules).flows and not _accept(kept).flows,
        packets=packets and _accept(overlay.rules).packets and not _accept(kept).packets,
    )
    last = (replace(overlay.rest, rule=rest),) if rest.flows or rest.packets else ()
    laid = replace(settings, flows=True, packets=packets, paused=False, features=features)
    return (*overlay.rules, *kept, *last), laid


@dataclass(frozen=True, slots=True)
class _Accepting:
    """Whether some filter accepts flows, and packets."""

    flows: bool
    packets: bool


def _accept(rules: tuple[NumberedRule, ...]) -> _Accepting:
    accepting = [each.rule for each in rules if not each.rule.reject]
    return _Accepting(any(r.flows for r in accepting), any(r.packets for r in accepting))


def _without_flows(rules: tuple[NumberedRule, ...]) -> tuple[NumberedRule, ...]:
    return tuple(
        replace(each, rule=replace(each.rule, flows=False)) for each in rules if each.rule.packets
    )
