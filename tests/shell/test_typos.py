"""A slip of the finger is one line that names the word and the nearest right one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nshell.shell.commands import build_registry
from nshell.shell.errors import CommandError, Failure

if TYPE_CHECKING:
    from tests.shell.conftest import Shell

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
        ("export csv x.csv rnu lost", "rnu", "run"),
        ("export json x.json rn lost", "rn", "run"),
        ("last jsn", "jsn", "json"),
        ("set dns_prot 53", "dns_prot", "dns_port"),
        ("set expanded onn", "onn", "on"),
        ("set PAGER off", "PAGER", "pager"),
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


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("run top_tlakers", "no query named 'top_tlakers': did you mean 'top_talkers'?"),
        ("run top_talkers rosw=3", "no parameter 'rosw': did you mean 'rows'?"),
        ("run zzz", "no query named 'zzz': `queries` lists them"),
        ("export csv x run slow_dsn", "no query named 'slow_dsn': did you mean 'slow_dns'?"),
        ("watch run lsot", "no query named 'lsot': did you mean 'lost'?"),
        ("queries lsot", "no query named 'lsot': did you mean 'lost'?"),
        ("unsave lsot", "no query named 'lsot': did you mean 'lost'?"),
        ("help fitler", "no help for 'fitler': did you mean 'filter'?"),
        ("help export pcpa", "no help for 'export pcpa': did you mean 'export pcap'?"),
        ("help keyz", "no help for 'keyz': did you mean 'keys'?"),
        ("help zzz", "no help for 'zzz': `help` lists what there is"),
        ("schema flwo", "no table named 'flwo': did you mean 'flow'?"),
        (
            "export csv SELECT 1",
            "a file must be named before the query: export csv FILE SELECT ...",
        ),
        ("export json run lost", "a file must be named before the query: export json FILE run ..."),
        ("export csv x run", "run what? `queries` lists them"),
    ],
)
async def test_a_name_that_only_the_session_knows_is_told_too(
    shell: Shell, line: str, told: str
) -> None:
    with pytest.raises(Failure) as failed:
        await shell.run(line)
    assert failed.value.reason == told


def test_a_word_without_end_is_like_no_other() -> None:
    with pytest.raises(CommandError) as failed:
        REGISTRY.parse("status" * 1000)
    assert "did you mean" not in str(failed.value)


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
