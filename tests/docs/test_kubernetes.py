"""docs/kubernetes.md: its command lines and filters are ones that exist; tests/cluster runs it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from nshell.cli import netobserv
from nshell.filters import parse_rule, split_words

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/kubernetes.md"
TEXT = DOCUMENT.read_text()
SHELL_LINES = [
    line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()
]
FILTERS = [
    line.partition("  ")[0]
    for line in TEXT.partition("## Selectors")[2].split("```")[1].splitlines()
    if line.startswith("filter ")
]


@pytest.mark.parametrize("line", [each for each in SHELL_LINES if each.startswith("netobserv ")])
def test_a_command_line_of_the_document_is_one(line: str) -> None:
    _, name, *arguments = shlex.split(line.partition(" | ")[0])
    command = netobserv.commands[name]
    command.make_context(name, list(arguments), parent=click.Context(netobserv))


@pytest.mark.parametrize("words", FILTERS)
def test_a_filter_of_the_document_is_one(words: str) -> None:
    assert len(FILTERS) > 5
    assert parse_rule(split_words(words.removeprefix("filter "))).text


def test_every_option_for_a_cluster_is_in_the_document() -> None:
    help_text = netobserv.commands["shell"].get_help(click.Context(netobserv))
    for option in ("--kubeconfig", "--context", "--agent-namespace", "--session", "--image",
                   "--lease", "--max-time", "--max-bytes"):  # fmt: skip
        assert option in help_text
        assert f"`{option}" in TEXT, option
