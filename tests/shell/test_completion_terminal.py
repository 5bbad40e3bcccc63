"""Completion and colours on a real terminal: what comes while nothing is typed."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = str(Path(__file__).parents[2])
FAKE = (sys.executable, "-m", "tests.shell.fake_netobserv", "shell", "--local")
PROMPT = "netobserv> "


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A shell for all of them, connected."""
    folder = tmp_path_factory.mktemp("shell")
    env = {"XDG_RUNTIME_DIR": str(folder), "XDG_STATE_HOME": str(folder), "COLORFGBG": "15;0"}
    with Terminal(FAKE, env=env, cwd=ROOT) as terminal:
        terminal.wait_for("REC")
        yield terminal
        terminal.type("quit\n")
        assert terminal.wait_end() == 0


@pytest.fixture
def terminal(opened: Terminal) -> Iterator[Terminal]:
    """At an empty line."""
    yield opened
    opened.interrupt()
    opened.wait_until(lambda: opened.line() == PROMPT.rstrip(), "an empty line")


def wait_for_menu(terminal: Terminal, pattern: str) -> None:
    """Until a line below the prompt is like this."""

    def shown() -> bool:
        lines = terminal.screen()[terminal.cells.cursor.y + 1 :]
        return any(re.search(pattern, line) for line in lines)

    terminal.wait_until(shown, f"{pattern!r} in the menu")


def underlined(terminal: Terminal, *, above: int = 0) -> str:
    """What is, of the line that is being typed, or of one so many lines above it."""
    terminal.screen()
    row = terminal.cells.buffer[terminal.cells.cursor.y - above]
    return "".join(row[x].data for x in range(terminal.cells.columns) if row[x].underscore)


def test_values_open_the_menu_when_they_have_come(terminal: Terminal) -> None:
    terminal.type("SELECT * FROM flow WHERE DstPort = ")
    wait_for_menu(terminal, r"^ +443 +1 row")
    terminal.press("tab")
    terminal.wait_until(lambda: terminal.line().endswith("DstPort = 53"), "the first to be taken")


def test_values_are_offered_within_quotes(terminal: Terminal) -> None:
    terminal.type("SELECT * FROM flow WHERE SrcAddr = '10.0.0.3")
    wait_for_menu(terminal, r"'10\.0\.0\.3' +1 row")
    terminal.press("tab")
    terminal.wait_until(lambda: terminal.line().endswith("= '10.0.0.3'"), "the quotes to close")


def test_a_question_that_fails_is_not_seen(terminal: Terminal) -> None:
    # The made-up flows have no protocol.
    terminal.type("filter peer_ip ")
    terminal.wait_until(lambda: terminal.line().endswith("peer_ip"), "the line")
    terminal.type("10.0.0.7 por")
    wait_for_menu(terminal, "port +source or destination port")
    assert "such column" not in terminal.text()
    assert "Exception" not in terminal.text()


def test_columns_are_offered_in_the_middle_of_a_line(terminal: Terminal) -> None:
    terminal.type("SELECT x FROM pack")
    wait_for_menu(terminal, "packet +table")
    terminal.press("tab", *["ctrl-left"] * 3, "delete")
    terminal.wait_until(lambda: terminal.line().endswith("SELECT  FROM packet"), "the line")
    terminal.type("Ti")
    wait_for_menu(terminal, "Time +packet INTEGER")
    terminal.press("tab")
    terminal.wait_until(lambda: "SELECT Time FROM packet" in terminal.line(), "the column")


def test_wrong_words_are_underlined_once_the_cursor_has_left_them(terminal: Terminal) -> None:
    terminal.type("fitler")
    terminal.wait_until(lambda: terminal.line().endswith("fitler"), "the word")
    assert underlined(terminal) == ""
    terminal.type(" ")
    terminal.wait_until(lambda: underlined(terminal) == "fitler", "the word to be underlined")
    terminal.press("left")
    terminal.wait_until(lambda: underlined(terminal) == "", "the word to be left alone")


def test_unknown_columns_are_underlined(terminal: Terminal) -> None:
    terminal.type("SELECT SrcAddr, prot FROM flow")
    terminal.wait_until(lambda: underlined(terminal) == "prot", "the column to be underlined")


def test_unknown_functions_are_underlined(terminal: Terminal) -> None:
    terminal.type("SELECT sume(Bytes), in_cidr(SrcAddr, '10.0.0.0/8') FROM flow")
    terminal.wait_until(lambda: underlined(terminal) == "sume", "the function to be underlined")


def test_each_line_of_a_pasted_text_is_a_command_of_its_own(terminal: Terminal) -> None:
    terminal.type("\x1b[200~filter port 80\nset theme drak\nsnaplen \x1b[201~")
    terminal.wait_until(lambda: terminal.line().endswith("snaplen"), "the last line")
    terminal.wait_until(lambda: underlined(terminal, above=1) == "drak", "the word underlined")
    assert underlined(terminal, above=2) == underlined(terminal) == ""
    terminal.wait_for("snaplen SIZE")
    terminal.press("alt-enter")
    terminal.type("sta")
    wait_for_menu(terminal, "status +Show what is captured")


def test_parameters_of_a_named_query_and_their_values_are_offered(terminal: Terminal) -> None:
    terminal.type("save to SELECT * FROM flow WHERE DstPort = :port\n")
    terminal.wait_for("query to saved")
    terminal.type("export csv x.csv run to ")
    wait_for_menu(terminal, "port= +must be given")
    terminal.press("tab")
    terminal.wait_until(lambda: terminal.line().endswith("run to port="), "the parameter")
    terminal.type("4")
    wait_for_menu(terminal, r"^ +443 +1 row")
    terminal.press("tab")
    terminal.wait_until(lambda: terminal.line().endswith("run to port=443"), "the value")
