"""The command line: reads it, refuses what is wrong before anything is started.

Whatever is wrong is one line on stderr and a status from Exit. Imports stay few
here: the prompt waits for them.
"""

# ruff: noqa: PLC0415 - imports inside functions keep --help and the prompt quick

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nshell.arguments import (
    CONNECTION,
    FRONT,
    ORDER,
    Checked,
    ChoiceWithHint,
    Features,
    InOrder,
    Seconds,
    Size,
    Whole,
    interfaces_here,
    refuse,
    with_options,
)
from nshell.cluster import commands, names
from nshell.cluster.doctorcommand import doctor
from nshell.configured import CONFIG, settings_of, startup_of
from nshell.hosts import cluster_host, local_host, refuse_of_other_mode
from nshell.netobservcli.command import flows, packets
from nshell.netobservcli.group import COMPLETE, EPILOG, Overview, completion, help_
from nshell.shell.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from nshell.shell.app import MakeHost, ShellOptions
    from nshell.shell.batch import Script

_PLUGINS = {"kubectl-netobserv": "kubectl netobserv", "oc-netobserv": "oc netobserv"}
"""What is typed, by the program that this is then."""
_COMPLETERS = ("kubectl_complete-netobserv", "oc_complete-netobserv")
"""The program's names when kubectl asks what could be typed."""


@click.group(
    cls=Overview,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(None, "--version", package_name="netobserv-shell", prog_name="netobserv",
                      message="%(prog)s %(version)s", help="Print the version.")  # fmt: skip
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
@click.option("--local", is_flag=True, help="Capture on this host instead of a cluster.")
@with_options(CONNECTION)
@click.option("namespaces", "-n", "--namespace", type=Checked("namespace", names.namespace),
              multiple=True, metavar="NAMESPACE",
              help="Capture its pods' traffic only, by a filter that can be deleted.")
@click.option("--session", type=Checked("session", names.session), metavar="NAME",
              help=f"Of the session on the cluster; default: {names.DEFAULT_SESSION}.")
@click.option("nodes", "--node", multiple=True, metavar="NAME",
              help="Agents only on these nodes; with --local: what this host is called.")
@click.option("node_labels", "-l", "--node-label", type=Checked("label", names.node_label),
              multiple=True, metavar="LABEL=VALUE", help="Agents only where all of these hold.")
@click.option("--image", type=Checked("image", names.image), metavar="IMAGE",
              help="With the programs; default: the one built here, localhost/netobserv-shell.")
@click.option("lease", "--lease", type=Whole(0, 31_536_000), metavar="SECONDS",
              help="Without a shell after which the session ends; 0: never; default: 60.")
@click.option("--max-time", type=Seconds(), metavar="DURATION",
              help="Stop capturing after so long, for instance 30m.")
@click.option("--max-bytes", type=Size(), metavar="SIZE",
              help="Stop capturing when so much is stored.")
@click.option("interfaces", "-i", "--interface", multiple=True, metavar="IFACE",
              shell_complete=interfaces_here,
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
@click.option("directory", "--dir", metavar="DIR",
              help="Keep the session's files there; with --local.")
@with_options(FRONT)
@click.pass_context
def shell(ctx: click.Context, /, **given: Any) -> None:
    """Open a capture session and ask it questions while it runs.

    Agents run on every node of a cluster, or with --local on this host.
    """
    refuse_of_other_mode(given)
    make = local_host(given) if given["local"] else cluster_host(given)
    ctx.exit(_run(_shell_options(given, order=ctx.meta[ORDER], host=make)))


@netobserv.command(cls=InOrder)
@click.argument("name", required=False, type=Checked("session", names.session))
@with_options(CONNECTION)
@with_options(FRONT)
@click.pass_context
def attach(ctx: click.Context, /, **given: Any) -> None:
    """Come back to a session on a cluster.

    The only one, or that of a NAME. `quit` ends it, as in the shell that began it;
    `detach` leaves it again.
    """
    from nshell.cluster.session import ClusterOptions, ClusterSession

    options = ClusterOptions(
        namespace=given["agent_namespace"] or names.DEFAULT_NAMESPACE,
        kubeconfig=given["kubeconfig"],
        context=given["context"],
        session=given["name"],
    )
    ctx.exit(_run(_shell_options(given, order=ctx.meta[ORDER],
                                 host=partial(ClusterSession, options))))
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
@with_options(CONFIG)
def manifests(**given: Any) -> None:
    """Print what a session makes on a cluster, with the reasons.

    All but its Secrets: keys are made when it is deployed, and never printed.
    """
    from nshell.cluster.manifests import Deployment, default_image, text

    asked = {name: value for name, value in given.items() if value is not None}
    try:
        deployment = Deployment(**{"image": default_image(), **asked})
    except names.BadName as error:
        refuse(str(error))
    click.echo(text(deployment), nl=False)
# fmt: on


for each in (flows, packets, help_, completion):
    netobserv.add_command(each)
commands.register(netobserv)
netobserv.add_command(doctor)


def _run(options: ShellOptions) -> int:
    import asyncio

    from nshell.shell.app import run_shell

    return asyncio.run(run_shell(options))


def _shell_options(
    given: dict[str, Any], *, order: list[str | None], host: MakeHost
) -> ShellOptions:
    from nshell.shell.app import ShellOptions

    # A terminal that cannot move its cursor gets a plain line reader.
    can_draw = os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return ShellOptions(
        host=host,
        scripts=_scripts(given, order),
        settings=settings_of(click.get_current_context(), given),
        startup=startup_of(click.get_current_context()),
        fail_on_loss=given["fail_on_loss"],
        prompt=on_terminal and can_draw,
    )


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
        refuse(f"-f: {unreadable(name, error)}")


def main(arguments: list[str] | None = None) -> None:
    """The `netobserv` program."""
    name = Path(sys.argv[0]).name
    if COMPLETE in os.environ or name in _COMPLETERS:
        from nshell.netobservcli.completion import for_kubectl, register

        register()
        if name in _COMPLETERS:
            click.echo(for_kubectl(netobserv, sys.argv[1:]))
            return
    called = _PLUGINS.get(name, "netobserv")
    sys.exit(_status(lambda: netobserv.main(arguments, called, standalone_mode=False)))


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
