"""Options that say which configuration holds, and what it makes of a command's others.

Imports stay few here: the command line's help does without the rest.
"""

# ruff: noqa: PLC0415 - imports inside functions keep --help quick

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.core import ParameterSource

from nshell.shell.exits import Exit
from nshell.xdg import config_directory, from_home

if TYPE_CHECKING:
    from pathlib import Path

    from nshell.config import Config
    from nshell.shell.context import Settings

_CONFIG = "nshell.config"
_NONE = "nshell.config.none"
_EXCLUSIVE = "--config and --no-config exclude each other"
_OPTIONS = {"agent_namespace": "--agent-namespace", "context": "--context",
            "kubeconfig": "--kubeconfig", "image": "--image", "lease": "--lease"}  # fmt: skip
"""Of the command line, by their keys in the file."""


def _without(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    # What was given is processed first, in the order given.
    if value and _CONFIG in ctx.meta:
        _refuse(_EXCLUSIVE)
    ctx.meta[_NONE] = value


def _load(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    from nshell.config import ConfigError, load

    if value and ctx.meta.get(_NONE):
        _refuse(_EXCLUSIVE)
    path, named = _path(value, without=ctx.meta.get(_NONE, False))
    try:
        config = load(path, os.environ, must_exist=named)
    except ConfigError as error:
        _refuse(str(error))
    ctx.meta[_CONFIG] = config
    ctx.default_map = {**(ctx.default_map or {}), **_defaults(ctx.command, config)}


def _path(value: str | None, *, without: bool) -> tuple[Path | None, bool]:
    """The file, and whether the user named it."""
    if without:
        return None, False
    named = value or os.environ.get("NETOBSERV_CONFIG", "")
    if named:
        return from_home(named), True
    return config_directory() / "config.toml", False


def _defaults(command: click.Command, config: Config) -> dict[str, Any]:
    return {
        parameter.name: config.cluster[key].value
        for key, option in _OPTIONS.items()
        for parameter in command.params
        if key in config.cluster and option in parameter.opts and parameter.name
    }


CONFIG = (
    click.option("--no-config", is_flag=True, is_eager=True, expose_value=False,
                 callback=_without, help="Read no configuration file."),
    click.option("--config", metavar="FILE", is_eager=True, expose_value=False, callback=_load,
                 help="Configuration; default: NETOBSERV_CONFIG, ~/.config/netobserv/config.toml. "
                      "Options go before variables of the environment, and those before it."),
)  # fmt: skip
"""For a command that takes its defaults from the configuration."""


def forget_cluster(ctx: click.Context, given: dict[str, Any]) -> None:
    """Of a session on this host: what is configured for clusters does not concern it."""
    for name in given:
        if ctx.get_parameter_source(name) is ParameterSource.DEFAULT_MAP:
            given[name] = None


def settings_of(ctx: click.Context, given: dict[str, Any]) -> Settings:
    """What the shell begins with: options, the environment, the file, in this order."""
    from nshell.config import Config
    from nshell.shell.context import Settings
    from nshell.shell.settings import CHOICES, give

    config, settings = ctx.meta.get(_CONFIG, Config()), Settings()
    for name in CHOICES:
        if name in config.shell:
            value = config.shell[name]
            give(settings, name, value.value, origin=value.origin)
    if ctx.get_parameter_source("format_") is ParameterSource.COMMANDLINE:
        give(settings, "format", given["format_"], origin="--format")
    if given.get("no_color"):
        give(settings, "color", "never", origin="--no-color")
    return settings


def startup_of(ctx: click.Context) -> tuple[str, ...]:
    """Commands to run first at a prompt; refused where one is none."""
    from nshell.config import Config

    config = ctx.meta.get(_CONFIG, Config())
    if "startup" not in config.shell:
        return ()
    from nshell.shell.commands import build_registry
    from nshell.shell.errors import CommandError

    found, registry = config.shell["startup"], build_registry()
    for line in found.value:
        try:
            registry.parse(line)
        except CommandError as error:
            _refuse(f"{found.origin}: [shell] startup: {line!r}: {error}")
    return tuple(found.value)


def _refuse(line: str) -> NoReturn:
    click.echo(f"netobserv: {line}", err=True)
    raise click.exceptions.Exit(Exit.USAGE)
