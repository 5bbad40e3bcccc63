"""A slip of the finger is one line that names the word and the nearest right one."""

from __future__ import annotations

import pytest

from nshell.shell.commands import build_registry
from nshell.shell.errors import CommandError

REGISTRY = build_registry()


@pytest.mark.parametrize(
    ("line", "wrong", "right"),
    [
        ("fitler port 80", "fitler", "filter"),
        ("filter prot 80", "prot", "port"),
        ("filter accpet port 80", "accpet", "accept"),
        ("filter port 80 for flwos", "flwos", "flows"),
        ("filter protocol tpc", "tpc", "tcp"),
        ("filter direction ingres", "ingres", "ingress"),
        ("filter lsit", "lsit", "list"),
        ("filter replace 1 prot 80", "prot", "port"),
        ("capture flwos on", "flwos", "flows"),
        ("capture flows onn", "onn", "on"),
        ("enable dsn", "dsn", "dns"),
        ("disable dns,drosp", "drosp", "drops"),
        ("view flwos", "flwos", "flows"),
        ("watch SELCT 1", "SELCT", "SELECT"),
        ("alert wehn SELECT 1", "wehn", "when"),
        ("sql SELCT 1", "SELCT", "SELECT"),
        ("SELCT 1", "SELCT", "SELECT"),
        ("export pcpa", "pcpa", "pcap"),
        ("export csv x.csv SELCT 1", "SELCT", "SELECT"),
        ("last jsn", "jsn", "json"),
        ("wait unti SELECT 1", "unti", "until"),
        ("wait until SELCT 1", "SELCT", "SELECT"),
        ("set thme dark", "thme", "theme"),
        ("set theme drak", "drak", "dark"),
        ("set keys vim", "vim", "vi"),
        ("set timing offf", "offf", "off"),
        ("tabels", "tabels", "tables"),
        ("queires", "queires", "queries"),
        ("hsitory", "hsitory", "history"),
        ("quti", "quti", "quit"),
    ],
)
def test_the_nearest_right_word_is_told(line: str, wrong: str, right: str) -> None:
    with pytest.raises(CommandError) as failed:
        REGISTRY.parse(line)
    told = str(failed.value)
    assert f"{wrong!r}" in told or "must follow" in told
    assert f"did you mean {right!r}" in told
    assert "\n" not in told


@pytest.mark.parametrize("name", REGISTRY.names())
def test_one_word_too_many_or_too_few_is_told_with_the_usage(name: str) -> None:
    command = REGISTRY.get(name)
    if not command.parameters:
        with pytest.raises(CommandError) as failed:
            REGISTRY.parse(f"{name} 7")
        assert str(failed.value) == f"unexpected '7': {name}"
    if any(parameter.required for parameter in command.parameters):
        with pytest.raises(CommandError) as failed:
            REGISTRY.parse(name)
        assert str(failed.value).endswith(f" is missing: {command.usage}")
