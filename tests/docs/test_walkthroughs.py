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
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


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
