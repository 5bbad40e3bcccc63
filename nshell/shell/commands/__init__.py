"""The commands of the shell, one module per group.

build_registry() is the whole list: importing a module registers nothing.
"""

from __future__ import annotations

from nshell.shell.commands import (
    capture,
    dryrun,
    export,
    features,
    filters,
    queries,
    query,
    session,
    view,
    watch,
    why,
)
from nshell.shell.registry import Registry


def build_registry() -> Registry:
    """Every command, in the order that `help` lists them."""
    registry = Registry()
    for group in (
        filters,
        dryrun,
        capture,
        features,
        why,
        view,
        query,
        queries,
        watch,
        export,
        session,
    ):
        group.register(registry)
    return registry
