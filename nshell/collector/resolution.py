"""What the selectors of a filter stand for at one moment: rules that agents understand.

Invariant: plain data; who knows the cluster makes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nshell.filters import Prefix, Rule, Selectors

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOGGED_ADDRESSES = 1000
"""The rest is counted: a log must not grow by a cluster's pods at each of its changes."""
_HERE = Prefix(bytes(15) + b"\x01", 128)
_NOWHERE = Prefix(bytes(16), 128)


@dataclass(frozen=True, slots=True)
class Resolution:
    """Of one filter; two are equal when agents can't tell them apart."""

    rules: tuple[Rule, ...]
    """One at least, without selectors, to stand one behind the other in the filter's place."""
    addresses: tuple[str, ...] = field(compare=False)
    """What the selectors stand for, with a port where that belongs to it: 10.1.2.3:80."""
    notes: tuple[str, ...] = field(compare=False)
    """What the user should know, such as that there is no such pod yet."""
    logged: str = field(compare=False)
    """The addresses as a JSON array."""

    @classmethod
    def of(
        cls, rules: Sequence[Rule], addresses: Sequence[str] = (), notes: Sequence[str] = ()
    ) -> Resolution:
        """With the addresses as the filter log has them."""
        shown = list(addresses[:_LOGGED_ADDRESSES])
        if len(addresses) > len(shown):
            shown.append(f"and {len(addresses) - len(shown):,} more")
        return cls(tuple(rules), tuple(addresses), tuple(notes), json.dumps(shown))


Resolve = Callable[[Rule], Resolution]


def concrete(rule: Rule, **changes: Any) -> Rule:
    """A filter with other conditions and no selectors any more; its text is what it was."""
    return replace(rule, selectors=Selectors(), **changes)


def never(rule: Rule) -> Rule:
    """The rule as one that holds for no packet: its source would have to be its own opposite."""
    return concrete(rule, src=(_NOWHERE,), dst=(), either=(_HERE,), peer=(_HERE,))


def unknown_cluster(rule: Rule) -> Resolution:
    """While the cluster is not known yet."""
    return Resolution.of((never(rule),), notes=("the cluster is not known yet: waiting",))
