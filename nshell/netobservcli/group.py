"""The program's own words: its overview, `help`, and what other CLIs call things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import click

from nshell.arguments import ChoiceWithHint
from nshell.shell.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPLETE = "_NETOBSERV_COMPLETE"
"""Of the environment: a shell asks for completions."""
ELSEWHERE: Mapping[str, str] = {
    "metrics": "there are no metrics here: `netobserv shell` asks the rows in SQL, `watch` again "
    "and again",
    "follow": "`netobserv attach` comes back to a session, `sessions` says how it goes",
    "get-flows": "`netobserv flows`",
    "get-packets": "`netobserv packets`",
    "exec": "`netobserv attach`",
    "ui": "`netobserv flows` shows them live",
}
"""Commands that are not ours, and what to do instead."""
_SECTIONS = {
    "Capture": ("shell", "flows", "packets"),
    "Sessions on a cluster": ("sessions", "attach", "copy", "stop", "cleanup"),
    "Before and around": ("doctor", "manifests", "completion", "help", "version"),
}
EPILOG = """\b
Examples:
  netobserv shell --local                   capture on this host, and ask
  netobserv shell -n shop                   capture the pods of a namespace
  netobserv flows --local --protocol=TCP --port=443
  netobserv packets tcp,80
  netobserv help flows

\b
Exit statuses:
  0 ok; 1 a command, a query or a file failed; 2 usage or configuration, nothing was
  started; 3 no agent or cluster could be reached; 5 more was lost than --fail-on-loss
  allows; 130 interrupted.

\b
Environment:
  KUBECONFIG                        how to reach the cluster
  NETOBSERV_CONFIG                  configuration instead of ~/.config/netobserv/config.toml
  NETOBSERV_KUBECONFIG, NETOBSERV_CONTEXT, NETOBSERV_NAMESPACE, NETOBSERV_IMAGE,
  NETOBSERV_LEASE                   defaults of options on a cluster
  XDG_CONFIG_HOME, XDG_STATE_HOME   where configuration and history are
  NO_COLOR                          no colours
"""


class Overview(click.Group):
    """Commands under headings; a command of another CLI is told what to type instead."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        word = args[0] if args else ""
        if word and word not in known and not word.startswith("-") and not ctx.resilient_parsing:
            near = did_you_mean(word, known).removeprefix(": ").capitalize()
            hint = f": {ELSEWHERE[word]}" if word in ELSEWHERE else f". {near}" if near else ""
            raise click.UsageError(f"No such command {word!r}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        listed = {name: self.commands[name] for name in self.list_commands(ctx)}
        for title, names in _SECTIONS.items():
            found = [listed.pop(name) for name in names if name in listed]
            _section(formatter, title, found)
        _section(formatter, "Other", list(listed.values()))


def _section(formatter: click.HelpFormatter, title: str, found: list[click.Command]) -> None:
    if found:
        with formatter.section(title):
            formatter.write_dl([(str(each.name), each.get_short_help_str(75)) for each in found])


class CommandName(click.ParamType[str]):
    """One of the program's commands."""

    name = "command"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - for a Tab alone

        del param
        group = ctx.parent.command if ctx.parent else None
        names = group.list_commands(ctx) if isinstance(group, click.Group) else []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command("help")
@click.argument("command", required=False, type=CommandName())
@click.pass_context
def help_(ctx: click.Context, /, command: str | None) -> None:
    """Explain a command, or list them all.

    `help flows` is `flows --help`.
    """
    parent = ctx.parent
    if parent is None or not isinstance(parent.command, click.Group):
        raise click.UsageError("help is a command of a program")
    if command is None:
        click.echo(parent.get_help())
        return
    name, found, _ = parent.command.resolve_command(parent, [command])
    if found is None:
        _unknown(command)
    with click.Context(found, info_name=name, parent=parent, **found.context_settings) as about:
        click.echo(found.get_help(about))


def _unknown(command: str) -> NoReturn:
    raise click.UsageError(f"No such command {command!r}")


_INSTALL = """\b
To install:
  bash  echo 'eval "$(netobserv completion bash)"' >> ~/.bashrc
  zsh   echo 'eval "$(netobserv completion zsh)"' >> ~/.zshrc     (after compinit)
  fish  netobserv completion fish > ~/.config/fish/completions/netobserv.fish
"""


@click.command(epilog=_INSTALL)
@click.argument("shell", type=ChoiceWithHint(["bash", "zsh", "fish"]), metavar="bash|zsh|fish")
@click.pass_context
def completion(ctx: click.Context, /, shell: str) -> None:
    """Print what makes a shell complete our words with Tab.

    Commands, options and values. kubectl needs no script: it asks the program
    kubectl_complete-netobserv, and oc oc_complete-netobserv, where they are installed.
    """
    from nshell.netobservcli.completion import script  # noqa: PLC0415 - seldom needed

    click.echo(script(shell, ctx.find_root().command))
