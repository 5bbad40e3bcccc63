"""What the walk-throughs name besides their sessions: command lines and commands that there are."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from nshell.cli import netobserv
from nshell.shell.commands import build_registry
from tests.docs.transcript import ROOT

TEXT = "".join(
    (ROOT / f"docs/{page}.md").read_text() for page in ("connectivity", "unknown-traffic")
)


def lines(language: str) -> list[str]:
    """What stands in the fences of a language, "" for those of none."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    return [line for name, text in blocks if name == language for line in text.splitlines()]


@pytest.mark.parametrize("line", [each for each in lines("sh") if each.startswith("netobserv ")])
def test_a_command_line_is_one(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    netobserv.commands[name].make_context(name, list(arguments), parent=click.Context(netobserv))


@pytest.mark.parametrize("line", lines(""))
def test_a_command_is_one(line: str) -> None:
    assert build_registry().parse(line).command.name


def test_there_is_something_to_test() -> None:
    assert len(lines("sh")) > 4
    assert len(lines("")) > 3
