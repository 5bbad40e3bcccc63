"""Types of option values that `flows` and `packets` have to themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nshell.arguments import completed, interfaces_here
from nshell.cluster import names
from nshell.netobservcli import values

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Words(click.Choice[str]):
    """One of a few, upper and lower case alike."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """As they are written here."""
        del ctx, param
        return completed(incomplete, map(str, self.choices))

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
    ) -> list[CompletionItem]:
        return interfaces_here(ctx, param, incomplete)

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
