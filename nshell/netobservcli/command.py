"""`netobserv flows` and `netobserv packets`: their options, and a run made of them."""

# ruff: noqa: PLC0415 - imports inside functions keep --help quick

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from nshell.arguments import (
    CONNECTION,
    Checked,
    Seconds,
    Size,
    Whole,
    refuse,
    with_options,
)
from nshell.cluster import names
from nshell.configured import settings_of
from nshell.hosts import cluster_host, local_host, refuse_of_other_mode
from nshell.netobservcli import rules, values
from nshell.netobservcli.helptext import EPILOGS, write_sections
from nshell.netobservcli.reading import COPY, Option, Reader, fold
from nshell.netobservcli.types import Interfaces, NodeSelector, Words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nshell.netobservcli.front import Plan
    from nshell.shell.app import MakeHost

_RULES = "nshell.netobservcli.rules"
_FEATURES = {"drops": "enable_pktdrop", "dns": "enable_dns", "rtt": "enable_rtt"}
_MAX_SECONDS = 300.0
_MAX_BYTES = 50_000_000
_ALIASES = {
    "enable_pkt_drop": "enable_pktdrop", "enable_pktdrops": "enable_pktdrop",
    "enable_pkt_drops": "enable_pktdrop", "enable_drops": "enable_pktdrop",
    "enable_filters": "enable_filter", "interface": "interfaces",
    "exclude_interface": "exclude_interfaces",
}  # fmt: skip


_COPY = Words(COPY, case_sensitive=False)
_LEVEL = Words(values.LEVELS, case_sensitive=False)


class Capture(click.Command):
    """Takes its words as NetObserv's CLI does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_RULES] = ()
        if [word.lower() for word in args] == ["help"]:
            args = ["--help"]
        if not ctx.resilient_parsing and not {"-h", "--help"} & set(args):
            try:
                read = Reader(known_options(self), command=str(self.name)).read(args)
                ctx.meta[_RULES] = tuple(map(rules.rule_text, read.rules))
            except rules.WordError as error:
                refuse(str(error))
            args = list(read.rest)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_sections(self, ctx, formatter)


def known_options(command: click.Command) -> Mapping[str, Option]:
    """Every name that the command's options may be given by."""
    found = {}
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            longest = max(parameter.opts, key=len)
            option = Option(longest, parameter.is_flag)
            for name in parameter.opts:
                short = not name.startswith("--")
                found[name if short else fold(name)] = (
                    Option(name, parameter.is_flag) if short else option
                )
    return {**{alias: found[name] for alias, name in _ALIASES.items() if name in found}, **found}


def _filter_options() -> tuple[Callable[[Any], Any], ...]:
    return tuple(
        click.option(
            f"--{name}",
            metavar=option.metavar,
            help=option.summary,
            multiple=True,
            expose_value=False,
            type=Words(option.known, case_sensitive=False) if option.known else None,
        )
        for name, option in rules.OPTIONS.items()
    )


# fmt: off
_OF_FEATURES = (
    click.option("--enable_pktdrop", is_flag=True,
                 help="Observe what the kernel drops, and why; also --enable_pkt_drop."),
    click.option("--enable_dns", is_flag=True, help="Observe DNS: names, latencies, codes."),
    click.option("--enable_rtt", is_flag=True, help="Observe round-trip times of TCP."),
    click.option("--enable_all", is_flag=True, help="All of these, and TCP events."),
    click.option("--drops", is_flag=True,
                 help="Only what was dropped: --enable_pktdrop, a view of drops, and in the JSON "
                 "the flows with drops. The database keeps every row."),
)
_OF_FILTER = (
    click.option("--enable_filter", is_flag=True, help="Not needed: a filter that is given holds."),
    *_filter_options(),
)
_OF_PLACE = (
    click.option("--local", is_flag=True, help="Capture on this host instead of a cluster."),
    click.option("interfaces", "--interfaces", "-i", type=Interfaces(), metavar="A,B,...",
                 multiple=True, help="Capture on these only, * and ? and /simple regex/ allowed; "
                 "default: all that are up, not lo."),
    click.option("excluded", "--exclude_interfaces", type=Interfaces(), metavar="A,B,...",
                 multiple=True, help="Leave out what is seen on these; goes before any rule."),
    click.option("namespaces", "-n", "--namespace", type=Checked("namespace", names.namespace),
                 multiple=True, metavar="NAMESPACE",
                 help="Traffic of its pods alone, whatever the rules accept."),
    click.option("node_labels", "--node-selector", type=NodeSelector(), metavar="KEY:VALUE",
                 multiple=True, help="Agents only on nodes with this label."),
    click.option("nodes", "--node", multiple=True, metavar="NAME",
                 help="Agents only on these nodes; with --local: what this host is called."),
    *CONNECTION,
    click.option("--session", type=Checked("session", names.session), metavar="NAME",
                 help=f"Of the session on the cluster; default: {names.DEFAULT_SESSION}."),
    click.option("--image", type=Checked("image", names.image), metavar="IMAGE",
                 help="With the programs; default: the one built here."),
    click.option("lease", "--lease", type=Whole(0, 31_536_000), metavar="SECONDS",
                 help="Without us after which the session ends; 0: never; default: 60."),
)
_OF_CAPTURE = (
    click.option("--sampling", type=Whole(1, 1_000_000), metavar="N",
                 help="Capture one of N packets."),
    click.option("--max-time", type=Seconds(), metavar="DURATION", default=_MAX_SECONDS,
                 help="Ends then, for instance 30m; default: 5m."),
    click.option("--max-bytes", type=Size(), metavar="SIZE", default=_MAX_BYTES,
                 help="Ends when the store has grown by so much, for instance 1G; default: 50M."),
    click.option("--copy", type=_COPY, metavar="true|false|prompt", default="true",
                 help="Write the files at the end, or ask; default: true."),
    click.option("--background", is_flag=True,
                 help="No view. On a cluster: start it and come back; see `attach`, `copy`, `stop`."
                 " With --local: until a limit or a signal."),
    click.option("level", "--log-level", type=_LEVEL, metavar="LEVEL", default="info",
                 help="Of what is told on stderr: info, as debug and trace; warn to panic: only "
                 "what goes wrong, and what it came to."),
    click.option("--fail-on-loss", type=Whole(0, 2**63 - 1), metavar="N",
                 help="Exit with status 5 when more than N packets or rows were lost."),
    click.option("--no-color", is_flag=True, help="No colours; so does NO_COLOR=1."),
)
_SNAPLEN = (
    click.option("--snaplen", type=Whole(0, 262_144), metavar="N",
                 help="Bytes kept of each packet; 0, the default: all."),
)
# fmt: on


@click.command(cls=Capture, epilog=EPILOGS["flows"])
@with_options((*_OF_FEATURES, *_OF_FILTER, *_OF_CAPTURE, *_OF_PLACE))
@click.pass_context
def flows(ctx: click.Context, /, **given: Any) -> None:
    """Capture flows, show them live, and write them to files at the end.

    The option names of NetObserv's CLI. `--x=true`, `--x true` and `--x` are the same,
    so are `_` and `-` in a name, upper and lower case in a value; `tcp,80` stands for
    --protocol=TCP --port=80.
    """
    ctx.exit(_run(ctx, given, "flows"))


@click.command(cls=Capture, epilog=EPILOGS["packets"])
@with_options((*_OF_FILTER, *_SNAPLEN, *_OF_CAPTURE, *_OF_PLACE))
@click.pass_context
def packets(ctx: click.Context, /, **given: Any) -> None:
    """Capture packets, show them live, and write a pcapng at the end.

    `netobserv packets tcp,80`, or the option names of NetObserv's CLI. `--x=true`,
    `--x true` and `--x` are the same, so are `_` and `-` in a name, upper and lower
    case in a value.
    """
    ctx.exit(_run(ctx, given, "packets"))


def _run(ctx: click.Context, given: dict[str, Any], what: str) -> int:
    import asyncio

    from nshell.netobservcli.front import CaptureFront
    from nshell.shell.app import ShellOptions, run_shell

    written: tuple[str, ...] = ctx.meta[_RULES]
    if given["enable_filter"] and not (written or given["namespaces"] or given["excluded"]):
        refuse("--enable_filter: say what to keep, for instance --protocol=TCP --port=80")
    wanted = _as_shell(given, what, written)
    refuse_of_other_mode(wanted)
    if given["namespaces"]:
        wanted |= {"namespaces": (), "filters": _within(wanted["filters"], given["namespaces"])}
    plan = _plan(ctx, given, what, tuple(wanted["filters"]), wanted["features"][0])
    host = _host(wanted)
    _prepare(plan)
    options = ShellOptions(
        host=host,
        settings=plan.settings,
        fail_on_loss=given["fail_on_loss"],
        front=lambda: CaptureFront(plan),
    )
    try:
        return asyncio.run(run_shell(options))
    finally:
        plan.place.tidy()


def _within(filters: tuple[str, ...], namespaces: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return rules.within(filters, namespaces)
    except rules.WordError as error:
        refuse(str(error))


def _host(wanted: dict[str, Any]) -> MakeHost:
    return local_host(wanted) if wanted["local"] else cluster_host(wanted)


def _prepare(plan: Plan) -> None:
    """Find out now whether the files can be written."""
    from nshell.shell.errors import CommandError

    if plan.copy == "false" or plan.detach:
        return
    try:
        plan.place.prepare()
    except CommandError as error:
        refuse(f"{error}: go where files can be written, or add --copy=false")


def _as_shell(given: dict[str, Any], what: str, written: tuple[str, ...]) -> dict[str, Any]:
    """The same as options of `netobserv shell`."""
    interfaces = tuple(name for names_ in given["interfaces"] for name in names_)
    excluded = tuple(name for names_ in given["excluded"] for name in names_)
    if excluded == ("lo",) and not interfaces:
        excluded = ()  # it is never captured unless it is named
    first = (rules.excluding(excluded),) if excluded else ()
    passed = ("local", "kubeconfig", "context", "agent_namespace", "namespaces", "session",
              "nodes", "image", "lease", "sampling", "max_bytes")  # fmt: skip
    return {
        **{name: given[name] for name in passed},
        # Else it is we who count it, from when something is captured.
        "max_time": given["max_time"] if given["background"] and not given["local"] else None,
        "node_labels": tuple(label for labels in given["node_labels"] for label in labels),
        "interfaces": interfaces,
        "filters": (*first, *written),
        "features": (_features(given, what),),
        "packets": what == "packets",
        "no_flows": what == "packets",
        "snaplen": given.get("snaplen"),
        "flow_capacity": 100_000,
        "ring_bytes": None,
        "tcx_anchor": None,
        "attach": None,
        "store_limit": None,
        "directory": None,
    }


def _features(given: dict[str, Any], what: str) -> tuple[str, ...]:
    if what == "packets":
        return ()
    if given["enable_all"]:
        return ("dns", "drops", "rtt", "tcp")
    asked = {name: given[option] for name, option in _FEATURES.items()}
    asked["drops"] = asked["drops"] or given["drops"]
    return tuple(name for name, on in asked.items() if on)


def _plan(
    ctx: click.Context,
    given: dict[str, Any],
    what: str,
    filters: tuple[str, ...],
    features: tuple[str, ...],
) -> Plan:
    from nshell.netobservcli.files import OF_FLOWS, OF_PACKETS, Place
    from nshell.netobservcli.front import Plan

    can_draw = os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    background = given["background"]
    return Plan(
        what=what,
        place=Place(time.time(), OF_FLOWS if what == "flows" else OF_PACKETS),
        settings=settings_of(ctx, given),
        max_seconds=given["max_time"],
        max_bytes=given["max_bytes"],
        rules=filters,
        features=features,
        only_drops=bool(given.get("drops")),
        draw=not background and can_draw and sys.stdin.isatty() and sys.stdout.isatty(),
        detach=background and not given["local"],
        copy=given["copy"],
        level=given["level"],
    )
