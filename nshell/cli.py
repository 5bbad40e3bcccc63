"""The command line: reads it, refuses what is wrong before anything is started.

Whatever is wrong is one line on stderr and a status from Exit. Imports stay few
here: the prompt waits for them.
"""

# ruff: noqa: PLC0415 - imports inside functions keep --help and the prompt quick

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from nshell.cluster import names
from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.exits import Exit
from nshell.shell.units import parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from nshell.local import LocalOptions
    from nshell.shell.app import ShellOptions
    from nshell.shell.batch import Script

_ORDER = "nshell.order"


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
        if not text.isdecimal() or not self._low <= int(text) <= self._high:
            bounds = f"{self._low} to {self._high:,}"
            self.fail(f"{text!r} is not a whole number from {bounds}", param, ctx)
        return int(text)


class Features(click.ParamType[tuple[str, ...]]):
    """Names of features, with commas between them."""

    name = "features"

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
        ctx.meta[_ORDER] = [parameter.name for parameter in order]
        return super().parse_args(ctx, args)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def netobserv() -> None:
    """On-demand network debugger: live kernel filters, SQL over the rows, pcap
    while it runs."""


@netobserv.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    click.echo(f"netobserv {installed('netobserv-shell')}")


# fmt: off
@netobserv.command(cls=InOrder)
@click.option("--local", is_flag=True, help="Capture on this host.")
@click.option("interfaces", "-i", "--interface", multiple=True, metavar="IFACE",
              help="Interface to capture on, * and ? allowed; default: all that are up, not lo.")
@click.option("filters", "--filter", multiple=True, metavar="'PRED VALUE ...'",
              help="Filter that holds from the first packet; as the `filter` command takes it.")
@click.option("features", "--enable", multiple=True, type=Features(), metavar="NAME[,NAME...]",
              help="Observe dns, drops, rtt or tcp too, from the start.")
@click.option("--packets", is_flag=True, help="Capture packets too, from the start.")
@click.option("--no-flows", is_flag=True, help="Do not capture flows.")
@click.option("--snaplen", type=Whole(0, 262_144), metavar="N",
              help="Bytes kept of each packet; 0, the default: all.")
@click.option("--sampling", type=Whole(1, 1_000_000), metavar="N",
              help="Capture one of N packets.")
@click.option("--flow-capacity", type=Whole(1, 10_000_000), metavar="N",
              default=100_000, show_default=True, help="Flows held at a time.")
@click.option("--ring-bytes", type=Size(), metavar="SIZE", help="Of the kernel's packet ring.")
@click.option("--tcx-anchor", type=ChoiceWithHint(["head", "tail"]), metavar="head|tail",
              help="See packets before or after other TCX programs.")
@click.option("--attach", type=ChoiceWithHint(["auto", "tcx", "clsact"]),
              metavar="auto|tcx|clsact", help="How to hook into interfaces.")
@click.option("--store-limit", type=Size(), metavar="SIZE", help="Disk the session may fill.")
@click.option("directory", "--dir", metavar="DIR", help="Keep the session's files there.")
@click.option("--node", metavar="NAME", help="Name of this host in the rows.")
@click.option("commands", "-c", "--command", multiple=True, metavar="COMMAND",
              help="Run this instead of reading commands; -c and -f run in the order given.")
@click.option("files", "-f", "--file", multiple=True, metavar="FILE",
              help="Run the commands of this file; - is stdin.")
@click.option("format_", "--format", metavar="table|json|csv|markdown", default="table",
              type=ChoiceWithHint(["table", "json", "csv", "markdown"]), help="Of results.")
@click.option("--fail-on-loss", type=Whole(0, 2**63 - 1), metavar="N",
              help="Exit with status 5 when more than N packets or rows were lost.")
@click.option("--no-color", is_flag=True, help="No colours; so does NO_COLOR=1.")
@click.pass_context
def shell(ctx: click.Context, /, **given: Any) -> None:
    """Open a capture session and ask it questions while it runs."""
    if not given["local"]:
        _refuse("this release captures on this host only: netobserv shell --local", Exit.USAGE)
    options = _shell_options(given, order=ctx.meta[_ORDER])
    from nshell.shell.needs import missing

    if lack := missing():
        _refuse(lack, Exit.NO_AGENT)
    ctx.exit(_run(options))
# fmt: on


# fmt: off
@netobserv.command()
@click.option("namespace", "--agent-namespace", type=Checked("namespace", names.namespace),
              metavar="NAMESPACE", default=names.DEFAULT_NAMESPACE, show_default=True,
              help="Of agents and collector.")
@click.option("session", "--session", type=Checked("session", names.session), metavar="NAME",
              default=names.DEFAULT_SESSION, show_default=True, help="Of the session.")
@click.option("image", "--image", type=Checked("image", names.image), metavar="IMAGE",
              help="With the programs; default: the one built here, localhost/netobserv-shell.")
@click.option("node_labels", "-l", "--node-label", type=Checked("label", names.node_label),
              multiple=True, metavar="LABEL=VALUE", help="Agents only where all of these hold.")
@click.option("nodes", "--node", type=Checked("node", names.node), multiple=True, metavar="NAME",
              help="Agents only on these nodes.")
@click.option("lease_seconds", "--lease", type=Whole(0, 31_536_000), metavar="SECONDS",
              help="Without a shell after which the session ends; 0: never; default: 60.")
@click.option("openshift", "--openshift", is_flag=True,
              help="For OpenShift: its security context constraints too.")
def manifests(**given: Any) -> None:
    """Print what a session makes on a cluster, with the reasons.

    All but its Secrets: keys are made when it is deployed, and never printed.
    """
    from nshell.cluster.manifests import Deployment, default_image, text

    asked = {name: value for name, value in given.items() if value is not None}
    try:
        deployment = Deployment(**{"image": default_image(), **asked})
    except names.BadName as error:
        _refuse(str(error), Exit.USAGE)
    click.echo(text(deployment), nl=False)
# fmt: on


def _run(options: ShellOptions) -> int:
    import asyncio

    from nshell.shell.app import run_shell

    return asyncio.run(run_shell(options))


def _shell_options(given: dict[str, Any], *, order: list[str | None]) -> ShellOptions:
    from nshell.shell.app import ShellOptions

    # A terminal that cannot move its cursor gets a plain line reader.
    can_draw = os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return ShellOptions(
        local=_local_options(given),
        scripts=_scripts(given, order),
        format=given["format_"],
        fail_on_loss=given["fail_on_loss"],
        color=not given["no_color"],
        prompt=on_terminal and can_draw,
    )


def _local_options(given: dict[str, Any]) -> LocalOptions:
    from nshell.local import LocalOptions

    directory = given["directory"]
    return LocalOptions(
        node=given["node"] or platform.node() or "localhost",
        interfaces=given["interfaces"],
        filters=tuple(_canonical(text) for text in given["filters"]),
        features=tuple(dict.fromkeys(name for names in given["features"] for name in names)),
        flows=not given["no_flows"],
        packets=given["packets"],
        snaplen=given["snaplen"],
        sampling=given["sampling"],
        flow_capacity=given["flow_capacity"],
        ring_bytes=given["ring_bytes"],
        tcx_anchor=given["tcx_anchor"],
        attach=given["attach"],
        store_limit=given["store_limit"],
        directory=None if directory is None else _directory(directory),
    )


def _canonical(text: str) -> str:
    from nshell.filters import FilterError, parse_rule, split_words

    try:
        return parse_rule(split_words(text)).text
    except FilterError as error:
        _refuse(f"--filter: {error}", Exit.USAGE)


def _directory(name: str) -> Path:
    path = Path(name).expanduser().absolute()
    if path.exists() and not path.is_dir():
        _refuse(f"--dir: {name} is not a directory", Exit.USAGE)
    return path


def _scripts(given: dict[str, Any], order: list[str | None]) -> tuple[Script, ...]:
    from nshell.shell.batch import Script

    values = {"commands": iter(given["commands"]), "files": iter(given["files"])}
    scripts = [
        Script("-c", next(values[name])) if name == "commands" else _script(next(values[name]))
        for name in order
        if name in values
    ]
    if not scripts and not sys.stdin.isatty():
        scripts = [Script("stdin", None)]
    return tuple(scripts)


def _script(name: str) -> Script:
    from nshell.shell.batch import Script
    from nshell.shell.runner import unreadable

    if name == "-":
        return Script("stdin", None)
    try:
        return Script(name, Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        _refuse(f"-f: {unreadable(name, error)}", Exit.USAGE)


def _refuse(line: str, code: Exit) -> NoReturn:
    click.echo(f"netobserv: {line}", err=True)
    raise click.exceptions.Exit(code)


def main(arguments: list[str] | None = None) -> None:
    """The `netobserv` program."""
    sys.exit(_status(lambda: netobserv.main(arguments, "netobserv", standalone_mode=False)))


def _status(run: Callable[[], object]) -> int:
    try:
        result = run()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return Exit.USAGE
    except click.ClickException as error:
        click.echo(f"netobserv: {_one_line(error)}", err=True)
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    return result if isinstance(result, int) else Exit.OK


def _one_line(error: click.ClickException) -> str:
    return " ".join(error.format_message().split()).rstrip(".")


if __name__ == "__main__":
    main()
