"""Types of option values that `flows` and `packets` have to themselves."""

# ruff: noqa: PLC0415 - imports inside functions keep --help quick

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nshell.cluster import names
from nshell.netobservcli import values


class Words(click.Choice[str]):
    """One of a few, upper and lower case alike."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        """As they are written here."""
        from click.shell_completion import CompletionItem

        del ctx, param
        before, comma, last = incomplete.rpartition(",")
        found = [str(word) for word in self.choices if str(word).lower().startswith(last.lower())]
        return [CompletionItem(before + comma + word) for word in found]

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return values.one_of(value, map(str, self.choices))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _interfaces(value: str) -> tuple[str, ...]:
    return tuple(values.interface(word) for word in value.split(","))


class Interfaces(click.ParamType[tuple[str, ...]]):
    """Names with commas between them."""

    name = "interfaces"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        """Those of this host."""
        from click.shell_completion import CompletionItem

        del ctx, param
        before, comma, last = incomplete.rpartition(",")
        here = sorted(path.name for path in Path("/sys/class/net").glob("*"))
        return [CompletionItem(before + comma + name) for name in here if name.startswith(last)]

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        try:
            return value if isinstance(value, tuple) else _interfaces(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class NodeSelector(click.ParamType[tuple[tuple[str, str], ...]]):
    """KEY:VALUE, as NetObserv writes it, or KEY=VALUE."""

    name = "label"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[str, str], ...]:
        words = [str(word).replace(":", "=", 1) for word in str(value).split(",")]
        try:
            return tuple(names.node_label(word) for word in words)
        except names.BadName as error:
            self.fail(str(error), param, ctx)
