"""How results are shown: a block a row, in units, cut, paged, once more."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from nshell.shell.errors import Failure
from nshell.shell.output.pager import environment, find_pager
from nshell.shell.output.recall import KEPT_ROWS
from nshell.shell.output.reports import render_report
from nshell.shell.output.screen import Screen
from nshell.shell.runner import Runner
from nshell.shell.values import Report, Table

if TYPE_CHECKING:
    from tests.shell.conftest import Shell

NUMBERS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT {}) SELECT n FROM c"
BLOCK = "-[ 1 ]-------------------\nDstPort  443\n"


@dataclass(frozen=True)
class Window(Screen):
    """Of a known size."""

    columns: int = 40
    lines: int = 10

    def size(self) -> os.terminal_size | None:
        return os.terminal_size((self.columns, self.lines))


def at(shell: Shell, screen: Screen) -> Shell:
    """The same shell, its results shown on this screen."""
    object.__setattr__(shell, "runner", Runner(shell.context, shell.seen, screen))
    return shell


@pytest.fixture
def without_pager(prompt_shell: Shell) -> Shell:
    prompt_shell.context.settings.pager = "off"
    return at(prompt_shell, Window())


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown", "vertical"])
async def test_the_mark_shows_this_result_in_blocks_and_no_other(shell: Shell, form: str) -> None:
    shell.context.settings.format = form
    first = "SELECT DstPort FROM flow LIMIT 1"
    plain = await shell.run(first)
    assert await shell.run(f"{first}\\G") == BLOCK
    assert await shell.run(f"{first} \\gx") == BLOCK
    assert await shell.run(first) == plain


async def test_the_mark_goes_behind_every_command(shell: Shell) -> None:
    assert "-[ 1 ]" in await shell.run("tables\\G")
    assert await shell.run("tables\\g") == await shell.run("tables")


async def test_expanded_on_is_for_tables_alone(shell: Shell) -> None:
    shell.context.settings.expanded = "on"
    assert await shell.run("SELECT DstPort FROM flow LIMIT 1") == BLOCK
    shell.context.settings.format = "csv"
    assert await shell.run("SELECT DstPort FROM flow LIMIT 1") == "DstPort\n443\n"


async def test_a_row_wider_than_the_screen_is_a_block(without_pager: Shell) -> None:
    fits = await without_pager.run("SELECT 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' AS a")
    assert fits.startswith("a\n----")
    wide = await without_pager.run("SELECT 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' AS a")
    assert wide.startswith("-[ 1 ]")
    names = await without_pager.run("SELECT 1 AS aaaaaaaaaaaaaaaaaaaaaaaa, 2 AS bbbbbbbbbbbbbbbbbb")
    assert names.startswith("-[ 1 ]")
    without_pager.context.settings.expanded = "off"
    wide = await without_pager.run("SELECT 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' AS a")
    assert wide.startswith("a\n----")


async def test_a_script_never_has_blocks_by_itself(shell: Shell) -> None:
    assert (await shell.run("SELECT hex(zeroblob(3000)) AS a")).startswith("a\n---")


async def test_units_are_for_eyes_alone(without_pager: Shell) -> None:
    assert "1.5 kB" in await without_pager.run("SELECT Bytes FROM flow")
    for form in ("json", "csv"):
        without_pager.context.settings.format = form
        assert "1500" in await without_pager.run("SELECT Bytes FROM flow")
    without_pager.context.settings.format = "vertical"
    assert "1.5 kB" in await without_pager.run("SELECT Bytes FROM flow")
    without_pager.context.settings.human = False
    assert "1500" in await without_pager.run("SELECT Bytes FROM flow")


async def test_a_script_has_the_numbers(shell: Shell) -> None:
    assert "1500" in await shell.run("SELECT Bytes FROM flow")


async def test_without_a_pager_the_rest_is_counted(without_pager: Shell) -> None:
    text = await without_pager.run(f"{NUMBERS.format(300)} LIMIT 300")
    assert text.count("\n") == 202
    assert without_pager.seen.told == ["200 shown of 300 rows in 3.0 ms"]


async def test_the_last_rows_are_shown_once_more_and_not_asked_again(shell: Shell) -> None:
    with pytest.raises(Failure, match="last: no query has been asked yet"):
        await shell.run("last")
    await shell.run("SELECT DstPort FROM flow LIMIT 1")
    asked = len(shell.capture.calls)
    assert await shell.run("last json") == '[\n {"DstPort": 443}\n]\n'
    assert await shell.run("last\\G") == BLOCK
    assert await shell.run("last") == "  DstPort\n---------\n      443\n"
    assert len(shell.capture.calls) == asked


async def test_of_many_rows_the_first_are_kept_and_that_is_said(shell: Shell) -> None:
    await shell.run(NUMBERS.format(KEPT_ROWS + 1))
    lines = (await shell.run("last csv")).splitlines()
    assert (len(lines), lines[-1]) == (KEPT_ROWS + 1, str(KEPT_ROWS))
    assert shell.seen.told == ["its first 1,000 rows: no more are kept"]
    await shell.run(NUMBERS.format(KEPT_ROWS))
    await shell.run("last csv")
    assert shell.seen.told == []


async def test_a_query_that_fails_leaves_the_last_rows(shell: Shell) -> None:
    await shell.run("SELECT DstPort FROM flow LIMIT 1")
    with pytest.raises(Failure):
        await shell.run("SELECT nothing FROM nowhere")
    assert await shell.run("last csv") == "DstPort\n443\n"


def test_a_report_in_blocks_has_its_rows_under_their_titles() -> None:
    rows = Table(("SrcAddr", "Bytes"), [("10.0.0.1", 1500), ("10.0.0.2", None)])
    report = Report({"found": "it"}, ["found it"], {"flows": rows, "drops": Table(("n",), [])})
    assert render_report("vertical", report) == (
        "found it\n\nflows:\n"
        "-[ 1 ]-------------------\nSrcAddr  10.0.0.1\nBytes    1500\n"
        "-[ 2 ]-------------------\nSrcAddr  10.0.0.2\nBytes    NULL\n"
        "\ndrops:\n"
    )


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, ("less", "-RX")),
        ({"PAGER": "less"}, ("less", "-RX")),
        ({"PAGER": "less", "LESS": "-S"}, ("less",)),
        ({"PAGER": "less -j3"}, ("less", "-j3")),
        ({"PAGER": "nowhere", "NETOBSERV_PAGER": "less '-j3'"}, ("less", "-j3")),
        ({"PAGER": "nowhere"}, ()),
        ({"PAGER": ""}, ()),
        ({"PAGER": "cat"}, ()),
        ({"PAGER": "less '"}, ()),
        ({"PAGER": "less", "NETOBSERV_PAGER": ""}, ()),
    ],
)
def test_which_pager(
    environ: dict[str, str], words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None if name == "nowhere" else f"/bin/{name}")
    found = find_pager(environ)
    assert (found.words if found else ()) == words


def test_less_starts_no_other_program_unless_it_is_told_to() -> None:
    assert environment({"A": "b"})["LESSSECURE"] == "1"
    assert environment({"LESSSECURE": ""})["LESSSECURE"] == ""
