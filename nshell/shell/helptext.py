"""Help, written from the registry and the list of predicates; nothing is said twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.filters import PREDICATES
from nshell.shell.errors import CommandError, did_you_mean

if TYPE_CHECKING:
    from nshell.shell.registry import Command, Registry

_TAIL = """\
SELECT, WITH, VALUES and EXPLAIN are commands too. `help COMMAND` explains one.
Ctrl-C clears the line or cancels the command, never the capture; Ctrl-D leaves."""


def overview(registry: Registry) -> str:
    """Every command in one line."""
    width = max(len(name) for name in registry.names())
    lines = [f"{command.name:<{width}}  {command.summary}" for command in registry]
    return "\n".join([*lines, "", _TAIL])


def about(registry: Registry, name: str) -> str:
    """One command, or all that begin with this word."""
    if name in PREDICATES:
        predicate = PREDICATES[name]
        usage = f"filter {name} VALUE[,VALUE...]"
        return f"{usage}\n\n{predicate.summary}\n\nfor instance: filter {predicate.example}"
    names = [n for n in registry.names() if n == name or n.startswith(f"{name} ")]
    if not names:
        near = did_you_mean(name, [*registry.names(), *registry.first_words(), *PREDICATES])
        raise CommandError(f"no help for {name!r}{near}")
    if name in registry.names():
        text = _explained(registry.get(name))
        others = [f"  {registry.get(n).usage}" for n in names if n != name]
        also = "\n\nalso:\n" + "\n".join(others) if others else ""
        return text + also + (_predicates() if name.startswith("filter") else "")
    return "\n\n".join(_explained(registry.get(n)) for n in names)


def _explained(command: Command) -> str:
    paragraphs = [command.usage, command.summary, command.description]
    examples = "examples:\n" + "\n".join(f"  {example}" for example in command.examples)
    return "\n\n".join(p for p in [*paragraphs, examples] if p)


def _predicates() -> str:
    width = max(len(name) for name in PREDICATES)
    lines = [f"  {name:<{width}}  {p.summary}" for name, p in PREDICATES.items()]
    return "\n\npredicates:\n" + "\n".join(lines)
