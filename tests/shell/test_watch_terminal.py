"""Watches and alerts on a real terminal, over rows that this test changes."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from nshell.shell.exits import Exit
from tests.shell.fake_collector import DATABASE
from tests.shell.processes import alive, child
from tests.shell.test_prompt_terminal import FAKE, PROMPT, ROOT
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WATCH = "watch 250ms SELECT Name, Bytes FROM host ORDER BY Name"
KEYS = "any key stops"


class Rows:
    """What the made-up collector answers from."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.change("CREATE TABLE host (Name TEXT, Bytes INTEGER)")
        self.change("INSERT INTO host VALUES ('a', 1000), ('b', 2000)")

    def change(self, sql: str) -> None:
        with closing(sqlite3.connect(self._path, timeout=10)) as database, database:
            database.execute(sql)


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    return Rows(tmp_path / "rows.db")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "run").mkdir()
    return {
        "XDG_RUNTIME_DIR": str(tmp_path / "run"), "XDG_STATE_HOME": str(tmp_path / "state"),
        DATABASE: str(tmp_path / "rows.db"), "LC_ALL": "C.UTF-8",
    }  # fmt: skip


@pytest.fixture
def terminal(env: dict[str, str], rows: Rows) -> Iterator[Terminal]:  # noqa: ARG001 - is asked
    """A shell, connected to these rows."""
    with Terminal(FAKE, env=env, cwd=ROOT, columns=100, rows=20) as opened:
        opened.wait_for("REC")
        yield opened
        if alive(opened.pid):
            if opened.cells.alternate:
                opened.press("q")
                at_prompt(opened)
            opened.type("quit\n")
            assert opened.wait_end() == Exit.OK


def watching(terminal: Terminal, line: str = WATCH) -> None:
    """Type it, and see it drawn."""
    terminal.type(f"{line}\n")
    terminal.wait_until(lambda: KEYS in terminal.screen()[0], "the watch to be drawn")


def seen(terminal: Terminal, *parts: str) -> None:
    """Some line of the screen has all of these."""
    terminal.wait_until(
        lambda: any(all(part in line for part in parts) for line in terminal.screen()),
        f"a line with {parts}",
    )


def styled(terminal: Terminal, word: str) -> bool:
    """Whether it stands out, wherever it is on the screen."""
    cells = terminal.cells
    for number, line in enumerate(terminal.screen()):
        if (at := line.find(word)) >= 0:
            return bool(cells.buffer[number][at].bold)
    return False


def at_prompt(terminal: Terminal) -> None:
    """It takes commands again, and the terminal is as it was."""
    terminal.wait_until(lambda: not terminal.cells.alternate, "the other screen to go")
    terminal.type("SELECT 40 + 2 AS answer\n")
    terminal.wait_for("1 row in")


def test_what_changes_is_shown_in_place_and_stands_out(terminal: Terminal, rows: Rows) -> None:
    watching(terminal, f"{WATCH}\n\n")  # an Enter too many does not end it
    seen(terminal, "a", "1.0 kB")
    assert not styled(terminal, "1.0 kB")
    rows.change("UPDATE host SET Bytes = 5000 WHERE Name = 'a'")

    def stands_out() -> bool:
        # It does until the next run, which may come before this test is given time to look.
        rows.change("UPDATE host SET Bytes = 5000 + (Bytes + 1) % 10 WHERE Name = 'a'")
        return styled(terminal, "5.0 kB")

    terminal.wait_until(stands_out, "the change to stand out")
    assert not styled(terminal, "2.0 kB")
    assert "1.0 kB" not in "\n".join(terminal.screen())
    terminal.wait_until(lambda: not styled(terminal, "5.0 kB"), "the next run to be quiet")
    seen(terminal, "a", "5.0 kB", "█")


def test_rows_come_marked_and_go(terminal: Terminal, rows: Rows) -> None:
    watching(terminal)
    seen(terminal, "a", "1.0 kB")
    terminal.type(" ")
    seen(terminal, "PAUSED")
    rows.change("INSERT INTO host VALUES ('c', 3000)")
    rows.change("DELETE FROM host WHERE Name = 'b'")
    terminal.type("++++ ")  # the mark is there until the next run: time to see it
    seen(terminal, "every 5s")
    seen(terminal, "+ c", "3.0 kB")
    assert not any(line.startswith("  b") for line in terminal.screen())
    terminal.type("----")
    seen(terminal, "  c", "3.0 kB")


def test_a_key_ends_it_and_the_last_result_stays_above_the_prompt(terminal: Terminal) -> None:
    for number, key in enumerate(("q", "escape", "ctrl-c", "x", "enter"), start=1):
        watching(terminal)
        terminal.press(key)
        terminal.wait_until(lambda: not terminal.cells.alternate, "the other screen to go")
        terminal.wait_until(lambda: stays(terminal) == number, "the result to stay")  # noqa: B023
    at_prompt(terminal)
    assert "cancelled" not in terminal.text()


def stays(terminal: Terminal) -> int:
    """Results of watches that have ended: a row of them, then how often it was asked."""
    pattern = r"^  a     1\.0 kB.*\n  b .*\n[\d:]+ in .*2 rows  every 250ms, \d+ runs?$"
    return len(re.findall(pattern, terminal.text(), re.MULTILINE))


def test_a_watch_of_so_many_runs_ends_by_itself(terminal: Terminal) -> None:
    terminal.type("watch SELECT nope FROM host\n")
    terminal.wait_for("watch: no such column: nope")
    terminal.type("watch count 1 SELECT 7 AS n\n")
    terminal.wait_for("every 2s, 1 run")
    watching(terminal, "watch 250ms count 2 SELECT 7 AS n")
    terminal.wait_for("every 250ms, 2 runs")
    at_prompt(terminal)


def test_one_that_fails_later_says_so_and_goes_on(terminal: Terminal, rows: Rows) -> None:
    watching(terminal)
    rows.change("ALTER TABLE host RENAME TO away")
    seen(terminal, "no such table: host; trying again")
    seen(terminal, "a", "1.0 kB")
    rows.change("ALTER TABLE away RENAME TO host")
    terminal.wait_until(
        lambda: "trying again" not in "\n".join(terminal.screen()), "it to be well again"
    )
    terminal.press("q")
    at_prompt(terminal)


def test_it_follows_the_size_of_its_terminal(terminal: Terminal, rows: Rows) -> None:
    for number in range(30):
        rows.change(f"INSERT INTO host VALUES ('host-{number:02}', {number * 1000})")
    watching(terminal)
    seen(terminal, "host-10")
    seen(terminal, "… 17 more rows")
    terminal.press("page-down")
    seen(terminal, "rows above")
    terminal.press("home")
    terminal.resize(60, 10)
    seen(terminal, "… 27 more rows")
    assert terminal.screen()[0].startswith(" every 250ms")
    terminal.resize(100, 45)
    seen(terminal, "host-29")
    terminal.press("q")
    at_prompt(terminal)


def test_sql_of_several_lines_is_watched(terminal: Terminal) -> None:
    terminal.type("watch 250ms SELECT Name,\nBytes FROM\nhost ORDER BY Name\n")
    terminal.wait_until(lambda: KEYS in terminal.screen()[0], "the watch to be drawn")
    seen(terminal, "SELECT Name, Bytes FROM host ORDER BY Name")
    terminal.press("q")
    at_prompt(terminal)


def test_what_is_told_meanwhile_stands_at_the_bottom_and_stays(terminal: Terminal) -> None:
    watching(terminal)
    os.kill(child(terminal.pid, "fake_agent"), signal.SIGKILL)
    terminal.wait_until(lambda: "started again" in "\n".join(terminal.screen()[-2:]), "the news")
    terminal.press("q")
    terminal.wait_until(lambda: stays(terminal) == 1, "the result to stay")
    terminal.wait_for("started again")
    at_prompt(terminal)


def test_a_signal_ends_the_watch_and_the_session_in_order(terminal: Terminal) -> None:
    watching(terminal)
    terminal.signal(signal.SIGINT)
    terminal.wait_for("cancelled")
    at_prompt(terminal)
    watching(terminal)
    terminal.signal(signal.SIGTERM)
    assert terminal.wait_end() == Exit.INTERRUPTED
    assert not terminal.cells.alternate
    assert "Traceback" not in terminal.text()
    assert "session ended" in terminal.text()


def test_a_collector_that_is_gone_is_said_to_be(terminal: Terminal) -> None:
    watching(terminal)
    os.kill(child(terminal.pid, "fake_collector"), signal.SIGKILL)
    assert terminal.wait_end() == Exit.NO_AGENT
    assert not terminal.cells.alternate
    assert "Traceback" not in terminal.text()


def test_an_alert_tells_above_the_line_being_typed(terminal: Terminal, rows: Rows) -> None:
    terminal.type("alert every 250ms when SELECT Name, Bytes FROM host\n")
    terminal.wait_for("alert 1 added: every 250ms; 2 rows there already")
    terminal.wait_until(lambda: "REC" in terminal.screen()[-1], "the prompt to be there")
    terminal.type("filter po")
    terminal.wait_for(f"{PROMPT} filter po")
    rows.change("INSERT INTO host VALUES ('new', 4000)")
    terminal.wait_for("alert 1: Name new  Bytes 4.0 kB")
    terminal.type("rt 80\n")
    terminal.wait_for("filter 1 added: port 80")


def test_an_alert_speaks_up_in_a_watch_too(terminal: Terminal, rows: Rows) -> None:
    terminal.type("alert every 250ms when SELECT Name FROM host WHERE Bytes > 9000\n")
    terminal.wait_for("alert 1 added: every 250ms")
    watching(terminal)
    rows.change("INSERT INTO host VALUES ('big', 10000)")
    terminal.wait_until(
        lambda: "alert 1: Name big" in terminal.screen()[-1], "the alert at the bottom"
    )
    terminal.press("q")
    at_prompt(terminal)


def test_without_colours_and_blocks_it_is_plain(env: dict[str, str], rows: Rows) -> None:
    plain = {**env, "LC_ALL": "C", "NO_COLOR": "1"}
    with Terminal(FAKE, env=plain, cwd=ROOT, columns=100, rows=20) as terminal:
        terminal.wait_for("REC")
        watching(terminal)
        rows.change("UPDATE host SET Bytes = 5000 WHERE Name = 'a'")
        seen(terminal, "a", "5.0 kB", "_#")
        drawn = terminal.raw[terminal.raw.index(b"\x1b[?1049h") :]
        assert b"\x1b[38" not in drawn
        terminal.type("q")
        at_prompt(terminal)
        terminal.type("quit\n")
        assert terminal.wait_end() == Exit.OK


def test_on_a_dumb_terminal_results_are_appended_until_control_c(
    env: dict[str, str], rows: Rows
) -> None:
    with Terminal(FAKE, env={**env, "TERM": "dumb"}, cwd=ROOT) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type(f"{WATCH}\n")
        terminal.wait_until(lambda: terminal.text().count("2 rows in") > 1, "two results")
        rows.change("UPDATE host SET Bytes = 5000 WHERE Name = 'a'")
        terminal.wait_for("5.0 kB")
        terminal.interrupt()
        terminal.type("SELECT 40 + 2 AS answer\n")
        terminal.wait_for("1 row in")
        assert "cancelled" not in terminal.text()
        assert b"\x1b[?1049h" not in terminal.raw
        terminal.type("quit\n")
        assert terminal.wait_end() == Exit.OK
