"""The words of the command line: options' types, and options that commands share.

Invariant: a wrong word is one line that names it and the nearest right one.
"""

# ruff: noqa: PLC0415 - imports inside functions keep --help and the prompt quick

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from nshell.cluster import names
from nshell.configured import CONFIG
from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.exits import Exit
from nshell.shell.units import parse_duration, parse_size, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from click.shell_completion import CompletionItem

ORDER = "nshell.order"
FORMATS = ("table", "json", "csv", "markdown", "vertical")
"""Those of nshell.shell.output.render, which takes its time to import."""


def completed(incomplete: str, words: Iterable[str]) -> list[CompletionItem]:
    """Those that go on with what stands behind the last comma, upper and lower case alike."""
    from click.shell_completion import CompletionItem

    before, comma, last = incomplete.rpartition(",")
    found = [word for word in words if word.lower().startswith(last.lower())]
    return [CompletionItem(before + comma + word) for word in found]


def interfaces_here(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Those of this host."""
    del ctx, param
    return completed(incomplete, sorted(path.name for path in Path("/sys/class/net").glob("*")))


class Size(click.ParamType[int]):
    """Bytes as a Kubernetes quantity."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            return value if isinstance(value, int) else parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Whole(click.ParamType[int]):
    """A whole number between two bounds."""

    name = "number"

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        text = str(value)
        number = whole_number(text, self._low, self._high)
        if number is None:
            bounds = f"{self._low} to {self._high:,}"
            self.fail(f"{text!r} is not a whole number from {bounds}", param, ctx)
        return number


class Seconds(click.ParamType[float]):
    """A duration, such as 1h30m."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return value if isinstance(value, float) else parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Features(click.ParamType[tuple[str, ...]]):
    """Names of features, with commas between them."""

    name = "features"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from nshell.shell.features import FEATURES

        del ctx, param
        return completed(incomplete, FEATURES)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        from nshell.shell.features import feature_named

        if isinstance(value, tuple):
            return value
        try:
            return tuple(feature_named(word) for word in str(value).split(","))
        except CommandError as error:
            self.fail(str(error), param, ctx)


class Checked(click.ParamType[Any]):
    """A word that a function of nshell.cluster.names takes."""

    def __init__(self, name: str, check: Callable[[str], object]) -> None:
        self.name = name
        self._check = check

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        try:
            return self._check(value) if isinstance(value, str) else value
        except names.BadName as error:
            self.fail(str(error), param, ctx)


class ChoiceWithHint(click.Choice[str]):
    """One of a few words; a wrong one is told the nearest."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        words = [str(choice) for choice in self.choices]
        if value not in words:
            near = did_you_mean(value, words) or f": one of {', '.join(words)}"
            self.fail(f"unknown word {value!r}{near}", param, ctx)
        return value


class InOrder(click.Command):
    """Remembers the order in which -c and -f were given, one among the other."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[ORDER] = [parameter.name for parameter in order]
        return super().parse_args(ctx, args)


# fmt: off
CONNECTION = (
    click.option("--kubeconfig", metavar="FILE", type=click.Path(),
                 help="How to reach the cluster; default: KUBECONFIG, ~/.kube/config."),
    click.option("--context", metavar="NAME", help="Of the kubeconfig; default: its current one."),
    click.option("agent_namespace", "--agent-namespace", metavar="NAMESPACE",
                 type=Checked("namespace", names.namespace),
                 help=f"Of agents and collector; of a new session: {names.DEFAULT_NAMESPACE}."),
    *CONFIG,
)
FRONT = (
    click.option("commands", "-c", "--command", multiple=True, metavar="COMMAND",
                 help="Run this instead of reading commands; -c and -f run in the order given."),
    click.option("files", "-f", "--file", multiple=True, metavar="FILE",
                 help="Run the commands of this file; - is stdin."),
    click.option("format_", "--format", metavar="|".join(FORMATS), default="table",
                 type=ChoiceWithHint(FORMATS), help="Of results."),
    click.option("--fail-on-loss", type=Whole(0, 2**63 - 1), metavar="N",
                 help="Exit with status 5 when more than N packets or rows were lost."),
    click.option("--no-color", is_flag=True, help="No colours; so does NO_COLOR=1."),
)
# fmt: on


def with_options(options: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """A decorator for a command that takes all of these."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def refuse(line: str, code: Exit = Exit.USAGE) -> NoReturn:
    """Say so and end, with nothing started."""
    click.echo(f"netobserv: {line}", err=True)
    raise click.exceptions.Exit(code)
