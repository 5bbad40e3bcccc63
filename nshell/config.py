"""The configuration: a file and the environment, read strictly and before anything starts.

Pure but for reading the file. Whatever is wrong is one line that names the file
(or the variable), the word at fault and the nearest right one. What the command
line says goes before the environment, that before the file, that before the default.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nshell.cluster import names
from nshell.shell.errors import CommandError, did_you_mean, why
from nshell.shell.settings import CHOICES, checked
from nshell.shell.units import whole_number
from nshell.xdg import from_home

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MAX_LEASE_SECONDS = 31_536_000


class ConfigError(Exception):
    """It cannot be used; str() is the line for the user."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a key has been given."""

    value: object
    origin: str
    """The file's path, or the variable's name."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the file."""

    name: str
    summary: str
    default: str
    check: Callable[[object], object]
    """Gives the value to use; ValueError or CommandError says what is wrong."""
    variable: str = ""
    """Of the environment, which goes before the file."""
    left_to: str = ""
    """Another, which others read: where it is set the file's value is not used."""


@dataclass(frozen=True, slots=True)
class Config:
    """All that was configured."""

    shell: Mapping[str, Value] = field(default_factory=dict)
    cluster: Mapping[str, Value] = field(default_factory=dict)


def _word(name: str) -> Callable[[object], object]:
    return lambda value: checked(name, value)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a text in quotes")
    return value


def _file(value: object) -> str:
    return str(from_home(_text(value)))


def _named(check: Callable[[str], object]) -> Callable[[object], object]:
    return lambda value: check(_text(value))


def _seconds(value: object) -> int:
    seconds = None if isinstance(value, bool) else whole_number(str(value), 0, MAX_LEASE_SECONDS)
    if seconds is None:
        raise ValueError(f"{value!r} is not a whole number from 0 to {MAX_LEASE_SECONDS:,}")
    return seconds


def _commands(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise ValueError(f"{value!r} is not a list of commands in quotes")
    return tuple(value)


_DEFAULTS = {"format": "table", "timing": "on", "human": "on", "keys": "emacs"}

TABLES: Final[Mapping[str, Mapping[str, Key]]] = {
    "shell": {
        **{
            choice.name: Key(
                choice.name,
                choice.summary,
                _DEFAULTS.get(choice.name, "auto"),
                _word(choice.name),
                # NETOBSERV_PAGER is a program.
                "" if choice.name == "pager" else f"NETOBSERV_{choice.name.upper()}",
                "NO_COLOR" if choice.name == "color" else "",
            )
            for choice in CHOICES.values()
        },
        "startup": Key("startup", "commands to run first, at a prompt", "[]", _commands),
    },
    "cluster": {
        "context": Key("context", "of the kubeconfig", "its current one", _text,
                       "NETOBSERV_CONTEXT"),
        "kubeconfig": Key("kubeconfig", "how to reach the cluster", "~/.kube/config", _file,
                          "NETOBSERV_KUBECONFIG", "KUBECONFIG"),
        "agent_namespace": Key("agent_namespace", "of agents and collector",
                               names.DEFAULT_NAMESPACE, _named(names.namespace),
                               "NETOBSERV_NAMESPACE"),
        "image": Key("image", "with the programs", "localhost/netobserv-shell",
                     _named(names.image), "NETOBSERV_IMAGE"),
        "lease": Key("lease", "seconds without a shell after which a session ends", "60",
                     _seconds, "NETOBSERV_LEASE"),
    },
}  # fmt: skip
"""Every table with its keys, in the order of the documents."""


def load(path: Path | None, environ: Mapping[str, str], *, must_exist: bool = False) -> Config:
    """The file at `path`, if there is one, and the environment before it; or ConfigError."""
    found = {} if path is None else _of_file(path, must_exist=must_exist)
    return Config(
        **{
            table: _with_environment(keys, found.get(table, {}), environ)
            for table, keys in TABLES.items()
        }
    )


def _of_file(path: Path, *, must_exist: bool) -> dict[str, dict[str, Value]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise ConfigError(f"{path}: no such file") from None
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: {why(error)}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: it is not text (UTF-8)") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {_as_clause(str(error))}") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{path}: a number in it is too long, or brackets too deep") from None
    return {name: _table(path, name, content) for name, content in tables.items()}


def _as_clause(text: str) -> str:
    return " ".join(f"{text[:1].lower()}{text[1:]}".split())


def _table(path: Path, name: str, content: object) -> dict[str, Value]:
    if name not in TABLES:
        # A key that stands above the first table is meant for one.
        homes = [table for table, keys in TABLES.items() if name in keys]
        if homes and not isinstance(content, dict):
            raise ConfigError(f"{path}: {name!r} belongs under [{homes[0]}]")
        near = did_you_mean(name, TABLES) or f": there are {', '.join(TABLES)}"
        raise ConfigError(f"{path}: unknown table [{name}]{near}")
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: {name!r} is a table: write [{name}]")
    return {key: Value(_checked(path, name, key, value), str(path))
            for key, value in content.items()}  # fmt: skip


def _checked(path: Path, table: str, key: str, value: object) -> object:
    keys = TABLES[table]
    if key not in keys:
        raise ConfigError(f"{path}: unknown key {key!r} in [{table}]{_near_key(key, table)}")
    try:
        return keys[key].check(value)
    except (ValueError, CommandError) as error:
        raise ConfigError(f"{path}: [{table}] {_naming(key, str(error))}") from None


def _near_key(key: str, table: str) -> str:
    for other, keys in TABLES.items():
        if key in keys:
            return f": it belongs under [{other}]"
    return did_you_mean(key, TABLES[table]) or f": there are {', '.join(TABLES[table])}"


def _naming(key: str, reason: str) -> str:
    return reason if reason.startswith(f"{key} ") else f"{key}: {reason}"


def _with_environment(
    keys: Mapping[str, Key], found: Mapping[str, Value], environ: Mapping[str, str]
) -> dict[str, Value]:
    values = dict(found)
    for name, key in keys.items():
        if given := environ.get(key.variable, ""):
            try:
                values[name] = Value(key.check(given), key.variable)
            except (ValueError, CommandError) as error:
                raise ConfigError(f"{key.variable}: {_naming(name, str(error))}") from None
        elif key.left_to and environ.get(key.left_to):
            values.pop(name, None)
            if name == "color":
                values[name] = Value("never", key.left_to)
    return values
