"""Help, written from the registry and the list of predicates; nothing is said twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.filters import PREDICATES
from nshell.shell.errors import CommandError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nshell.shell.registry import Command, Registry

TOPICS: Mapping[str, tuple[str, ...]] = {
    "Filters": ("filter",),
    "Capture": ("capture", "enable", "disable", "snaplen", "sample", "pause", "resume"),
    "Questions": ("why", "sql", "tables", "schema", "run", "queries", "save", "unsave", "last"),
    "Live": ("view", "watch", "alert", "alerts"),
    "Files": ("export", "source"),
    "Session": ("status", "agents", "losses", "wait", "set", "history", "help", "detach", "quit",
                "exit"),
}  # fmt: skip
"""The first words of commands, in the order of the overview."""

PAGES: Mapping[str, str] = {
    "keys": "what keys mean at the prompt, in a watch, in a view",
    "sql": "tables, functions and questions to begin with",
    "config": "the file and the variables that choose how the shell behaves",
}
"""Help that is of no command."""

SEE_ALSO: Mapping[str, tuple[str, ...]] = {
    "filter": ("help sql", "view", "losses"),
    "enable": ("disable", "set dns_port", "view drops"),
    "disable": ("enable",),
    "capture": ("pause", "snaplen", "sample", "filter"),
    "snaplen": ("capture", "sample"),
    "sample": ("capture", "snaplen"),
    "pause": ("resume",),
    "resume": ("pause",),
    "why": ("enable drops tcp", "view drops", "queries"),
    "sql": ("help sql", "tables", "schema", "watch", "export csv"),
    "tables": ("schema", "help sql"),
    "schema": ("tables", "help sql"),
    "run": ("queries", "save", "watch", "export csv"),
    "queries": ("run", "save"),
    "save": ("run", "unsave", "queries"),
    "unsave": ("save", "queries"),
    "last": ("set format", "export csv"),
    "view": ("watch", "filter", "help keys"),
    "watch": ("alert", "view", "wait until", "help keys"),
    "alert": ("watch", "wait until"),
    "export": ("sql", "queries", "capture", "last"),
    "source": ("wait until", "help config"),
    "status": ("agents", "losses"),
    "agents": ("status", "losses"),
    "losses": ("status", "agents", "set"),
    "wait": ("alert", "watch"),
    "set": ("help config", "help keys"),
    "history": ("help keys",),
    "detach": ("quit",),
}
"""By the first word of a command."""

_TAIL = """\
SELECT, WITH, VALUES and EXPLAIN are commands too.
`help COMMAND` explains one, `help WORD` finds those that speak of it.
Ctrl-C clears the line or cancels the command, never the capture; Ctrl-D leaves."""
_LEAST_LETTERS = 3
"""Of a word that is looked for."""


def overview(registry: Registry) -> str:
    """Every command in one line, by topic."""
    width = max(len(name) for name in (*registry.names(), *PAGES)) + 2
    blocks = [
        "\n".join([topic, *(_line(c.name, c.summary, width) for c in commands)])
        for topic, commands in _by_topic(registry).items()
        if commands
    ]
    pages = [_line(f"help {name}", summary, width) for name, summary in PAGES.items()]
    return "\n\n".join([*blocks, "\n".join(["More help", *pages]), _TAIL])


def _by_topic(registry: Registry) -> dict[str, list[Command]]:
    found: dict[str, list[Command]] = {topic: [] for topic in (*TOPICS, "Other")}
    places = {word: (topic, at) for topic, words in TOPICS.items() for at, word in enumerate(words)}
    for command in registry:
        topic, _ = places.get(_first(command.name), ("Other", 0))
        found[topic].append(command)
    for commands in found.values():
        commands.sort(key=lambda c: places.get(_first(c.name), ("", 0))[1])
    return found


def _first(name: str) -> str:
    return name.partition(" ")[0]


def _line(name: str, summary: str, width: int) -> str:
    return f"  {name:<{width}}{summary}"


def about(registry: Registry, name: str) -> str:
    """One command, all that begin with this word, or those that speak of it."""
    if name in PREDICATES:
        return _predicate(name)
    names = [n for n in registry.names() if n == name or n.startswith(f"{name} ")]
    if not names:
        return _speaking_of(registry, name)
    if name not in registry.names():
        return "\n\n".join(_explained(registry.get(n)) for n in names) + _see_also(name)
    text = _explained(registry.get(name))
    others = [f"  {registry.get(n).usage}" for n in names if n != name]
    also = "\n\nalso:\n" + "\n".join(others) if others else ""
    return text + also + (_predicates() if name.startswith("filter") else "") + _see_also(name)


def _predicate(name: str) -> str:
    predicate = PREDICATES[name]
    usage = f"filter {name} VALUE[,VALUE...]"
    return (
        f"{usage}\n\n{predicate.summary}\n\nfor instance: filter {predicate.example}\n\n"
        "see also: help filter"
    )


def _explained(command: Command) -> str:
    paragraphs = [command.usage, command.summary, command.description]
    examples = "examples:\n" + "\n".join(f"  {example}" for example in command.examples)
    return "\n\n".join(p for p in [*paragraphs, examples] if p)


def _see_also(name: str) -> str:
    others = SEE_ALSO.get(_first(name), ())
    return f"\n\nsee also: {', '.join(others)}" if others else ""


def _predicates() -> str:
    width = max(len(name) for name in PREDICATES)
    lines = [f"  {name:<{width}}  {p.summary}" for name, p in PREDICATES.items()]
    return "\n\npredicates:\n" + "\n".join(lines)


def _speaking_of(registry: Registry, text: str) -> str:
    """What `apropos` finds; CommandError where that is nothing."""
    found = [
        (command.name, command.summary)
        for command in registry
        if _speaks_of((command.name, command.summary, command.description), text)
    ]
    found += [
        (f"filter {name}", predicate.summary)
        for name, predicate in PREDICATES.items()
        if _speaks_of((name, predicate.summary), text)
    ]
    if not found:
        known = [*registry.names(), *registry.first_words(), *PREDICATES, *PAGES]
        near = did_you_mean(text, known) or ": `help` lists what there is"
        raise CommandError(f"no help for {text!r}{near}")
    width = max(len(name) for name, _ in found) + 2
    lines = (_line(name, summary, width) for name, summary in found)
    return "\n".join([f"no command {text!r}; these speak of it:", *lines])


def _speaks_of(texts: Iterable[str], text: str) -> bool:
    return len(text) >= _LEAST_LETTERS and any(text in each.lower() for each in texts)
