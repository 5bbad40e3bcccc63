"""What a rule needs of the session that it is to hold in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nshell.filters.rule import Rule


def needs_cluster(rule: Rule) -> str:
    """One line for a session that watches no cluster; empty when the rule needs none."""
    if not rule.selectors:
        return ""
    name = rule.selectors.names[0]
    return f"{name} needs a cluster session: here a filter takes addresses, such as `peer_ip`"
