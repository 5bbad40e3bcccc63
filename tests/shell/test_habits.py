"""What somebody who stays in the shell gets used to: keys, history, themes, a first hint."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nshell.shell.exits import Exit
from nshell.shell.prompt.welcome import HINT
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
FAKE = (sys.executable, "-m", "tests.shell.fake_netobserv", "shell", "--local")
PROMPT = "netobserv>"
F4 = "\x1bOS"
COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-7]|4[0-7]|9[0-7]|10[0-7]|[34]8)(?:;\d+)*m")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Directories of this test alone, and no wishes of whoever runs it."""
    for name in ("run", "config"):
        (tmp_path / name).mkdir()
    return {
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "NETOBSERV_CONFIG": "",
        "COLORFGBG": "",
        "NO_COLOR": "",
    }


@pytest.fixture
def terminal(env: dict[str, str]) -> Iterator[Terminal]:
    """A shell, connected."""
    with Terminal(FAKE, env=env, cwd=str(ROOT)) as opened:
        opened.wait_for("REC")
        yield opened
        leave(opened)


def configure(env: dict[str, str], text: str) -> None:
    directory = Path(env["XDG_CONFIG_HOME"]) / "netobserv"
    directory.mkdir()
    (directory / "config.toml").write_text(text)


def leave(terminal: Terminal) -> None:
    terminal.type("\x03quit\n")
    assert terminal.wait_end() == Exit.OK


def at_prompt(terminal: Terminal, text: str) -> None:
    """Wait until exactly this stands at the last prompt."""
    wanted = f"{PROMPT} {text}"
    terminal.wait_until(lambda: terminal.line() == wanted, f"{wanted!r} where one types")


def run(terminal: Terminal, line: str, answer: str) -> None:
    terminal.type(f"{line}\n")
    terminal.wait_for(answer)
    terminal.wait_until(lambda: "REC" in terminal.screen()[-1], "the next prompt")


def test_the_hint_has_three_lines_and_comes_once(env: dict[str, str]) -> None:
    assert len(HINT) == 3
    for number in (1, 2):
        with Terminal(FAKE, env=env, cwd=str(ROOT)) as terminal:
            terminal.wait_for("REC")
            shown = [line for line in terminal.screen() if line in HINT]
            assert shown == (list(HINT) if number == 1 else [])
            leave(terminal)
    state = Path(env["XDG_STATE_HOME"]) / "netobserv"
    assert state.stat().st_mode & 0o777 == 0o700
    for file in state.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_who_has_a_history_needs_no_hint(env: dict[str, str]) -> None:
    state = Path(env["XDG_STATE_HOME"]) / "netobserv"
    state.mkdir(parents=True)
    (state / "history").write_text("\n# 2026-01-01 00:00:00\n+status\n")
    with Terminal(FAKE, env=env, cwd=str(ROOT)) as terminal:
        terminal.wait_for("REC")
        assert HINT[0] not in terminal.text()
        leave(terminal)


def test_startup_commands_are_echoed_and_one_that_fails_is_a_line(env: dict[str, str]) -> None:
    configure(
        env, '[shell]\nstartup = ["filter port 443", "filter del 9", "set keys vi", "status"]\n'
    )
    with Terminal(FAKE, env=env, cwd=str(ROOT)) as terminal:
        terminal.wait_for("vi insert")
        lines = terminal.text().splitlines()
        at = lines.index("netobserv> filter port 443")
        assert lines[at + 1].startswith("filter 1 added: port 443")
        assert lines[at + 2 : at + 4] == ["netobserv> filter del 9", "filter del: no filter 9"]
        assert "netobserv> status" in lines
        leave(terminal)


def test_up_finds_lines_that_begin_alike_while_the_menu_is_open(terminal: Terminal) -> None:
    run(terminal, "filter port 80", "filter 1 added")
    run(terminal, "SELECT 40 + 2 AS n", "1 row")
    run(terminal, "status", "snap length")
    terminal.type("fil")
    terminal.wait_for("Add a filter, or list")  # the menu
    terminal.press("up")
    at_prompt(terminal, "filter port 80")
    terminal.press("down")
    terminal.wait_until(lambda: terminal.line().startswith(f"{PROMPT} fil"), "what was typed")
    terminal.interrupt()
    terminal.wait_until(lambda: terminal.line() == PROMPT, "an empty line")
    terminal.press("up")
    at_prompt(terminal, "status")
    terminal.press("up")
    at_prompt(terminal, "SELECT 40 + 2 AS n")
    terminal.interrupt()


def test_up_moves_in_the_menu_once_an_item_is_chosen(terminal: Terminal) -> None:
    run(terminal, "filter list", "no filters")
    terminal.type("filter ")
    terminal.wait_for("in one step")
    terminal.press("tab", "tab", "up")
    terminal.wait_until(lambda: terminal.line() != f"{PROMPT} filter", "an item")
    first = terminal.line()
    terminal.press("down", "up")
    terminal.wait_until(lambda: terminal.line() == first, "the same item")
    assert "list" not in first or "filter list" not in terminal.text().split(first)[-1]
    terminal.interrupt()


def test_history_is_searched_and_suggested(terminal: Terminal) -> None:
    run(terminal, "SELECT 40 + 2 AS Answer", "1 row")
    run(terminal, "status", "snap length")
    terminal.type("SELECT 4")
    terminal.wait_until(
        lambda: "SELECT 40 + 2 AS Answer" in terminal.line(), "the suggestion behind the cursor"
    )
    terminal.press("ctrl-e")
    at_prompt(terminal, "SELECT 40 + 2 AS Answer")
    terminal.interrupt()
    terminal.press("ctrl-r")
    terminal.type("aNSWER")
    terminal.wait_for("SELECT 40 + 2 AS Answer", seconds=5)
    terminal.press("enter")
    at_prompt(terminal, "SELECT 40 + 2 AS Answer")
    terminal.interrupt()


def test_the_keys_of_vi(terminal: Terminal) -> None:
    terminal.type(F4)
    terminal.wait_for("vi insert")
    terminal.type("statux")
    at_prompt(terminal, "statux")
    terminal.press("escape")
    terminal.wait_for("vi normal")
    assert b"\x1b[2 q" in terminal.raw  # a block
    assert b"\x1b[6 q" in terminal.raw  # a bar, while text is inserted
    terminal.type("rs\n")
    terminal.wait_for("snap length")
    run(terminal, "set keys", "keys vi")
    run(terminal, "set keys emacs", "keys emacs")
    assert "vi " not in terminal.screen()[-1]


def test_a_line_is_edited_in_the_editor(env: dict[str, str], tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/name\necho "SELECT 6 * 7 AS n" > "$1"\n')
    editor.chmod(0o700)
    with Terminal(FAKE, env={**env, "EDITOR": str(editor), "VISUAL": ""}, cwd=str(ROOT)) as opened:
        opened.wait_for("REC")
        opened.type("SELECT 1")
        at_prompt(opened, "SELECT 1")
        opened.press("ctrl-x", "ctrl-e")
        opened.wait_for("1 row in")
        assert "netobserv> SELECT 6 * 7 AS n" in opened.screen()
        name = (tmp_path / "name").read_text().strip()
        assert name.endswith(".sql")
        assert not Path(name).exists()
        leave(opened)


def test_brackets_that_belong_together_are_marked(terminal: Terminal) -> None:
    terminal.type("SELECT (1 + 2)")
    at_prompt(terminal, "SELECT (1 + 2)")
    row = terminal.cells.buffer[terminal.cells.cursor.y]

    def marked() -> list[str]:
        terminal.screen()
        return [row[x].data for x in range(60) if row[x].underscore]

    terminal.press("left")
    terminal.wait_until(lambda: marked() == ["(", ")"], "both brackets to be marked")
    terminal.press("ctrl-e")
    terminal.interrupt()


def colour_of(terminal: Terminal, text: str) -> str:
    """The colour of the first letter of this, where it stands last."""
    for y, line in reversed(list(enumerate(terminal.screen()))):
        if text in line:
            return str(terminal.cells.buffer[y][line.index(text)].fg)
    raise AssertionError(f"{text!r} is not on the screen")


def test_a_theme_is_chosen_and_changed_while_it_runs(env: dict[str, str]) -> None:
    configure(env, '[shell]\ntheme = "light"\n')
    with Terminal(FAKE, env=env, cwd=str(ROOT)) as terminal:
        terminal.wait_for("REC")
        run(terminal, "sttaus", "did you mean")
        assert colour_of(terminal, "sttaus: unknown") == "af0000"
        run(terminal, "set theme dark", "theme dark")
        terminal.type("status")
        at_prompt(terminal, "status")
        assert colour_of(terminal, "status") == "87afff"
        terminal.interrupt()
        run(terminal, "set color never", "color never")
        written = len(terminal.raw)
        run(terminal, "sttaus", "did you mean")
        leave(terminal)
        assert not COLOUR.search(terminal.raw[written:].replace(b"\x1b[39m", b""))


def test_the_background_that_a_terminal_tells_is_believed(env: dict[str, str]) -> None:
    with Terminal(FAKE, env={**env, "COLORFGBG": "0;15"}, cwd=str(ROOT)) as terminal:
        terminal.wait_for("REC")
        run(terminal, "sttaus", "did you mean")
        assert colour_of(terminal, "sttaus: unknown") == "af0000"
        leave(terminal)


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        ((), {"NO_COLOR": "1"}),
        (("--no-color",), {}),
        ((), {"NETOBSERV_COLOR": "never"}),
        ((), {"NETOBSERV_THEME": "mono"}),
    ],
)
def test_no_colour_at_all(
    env: dict[str, str], options: tuple[str, ...], variables: dict[str, str]
) -> None:
    with Terminal([*FAKE, *options], env={**env, **variables}, cwd=str(ROOT)) as terminal:
        terminal.wait_for("REC")
        terminal.type("SELECT (4")
        terminal.wait_for("SELECT (4")
        terminal.type("2) AS n, NULL AS none\n")
        terminal.wait_for("1 row")
        terminal.type("filter p")
        terminal.wait_for("one end is this pod")
        terminal.interrupt()
        run(terminal, "sttaus", "did you mean")
        leave(terminal)
        assert COLOUR.search(terminal.raw) is None


def test_forty_columns_are_enough(env: dict[str, str]) -> None:
    configure(env, '[shell]\nkeys = "vi"\n')
    with Terminal(FAKE, env=env, cwd=str(ROOT), columns=40, rows=14) as terminal:
        terminal.wait_for("REC")
        terminal.type("SELECT lose(1204)\n")
        terminal.wait_for("lost 1,204")
        terminal.wait_until(lambda: "lost 1,204" in terminal.screen()[-1], "the toolbar to say it")
        terminal.type("\x0cfilter po")
        terminal.wait_for("source or")
        screen = terminal.screen()
        assert [line for line in screen if line.startswith(PROMPT)] == ["netobserv> filter po"]
        assert screen[-2:] == [
            " filter [accept|reject] PRED VALUE[,VA…",
            " REC  vi insert  lost 1,204",
        ]
        terminal.interrupt()
        terminal.type("\x0cSELECT 1\n")
        terminal.wait_for("1 row")
        terminal.type("SELECT count(*) AS n FROM\n")
        terminal.wait_for("       ...")
        leave(terminal)


def test_a_dumb_terminal_has_all_but_the_drawing(env: dict[str, str]) -> None:
    configure(env, '[shell]\nstartup = ["set theme dark", "filter del 9"]\n')
    with Terminal(FAKE, env={**env, "TERM": "dumb"}, cwd=str(ROOT)) as terminal:
        terminal.wait_for("no filter 9")
        for line in (*HINT, "netobserv> set theme dark", "netobserv> filter del 9"):
            assert line in terminal.text()
        for line, answer in (
            ("help keys", "any other key, Ctrl-C"),
            ("help config", "NETOBSERV_THEME"),
            ("set", "config.toml"),
            ("SELECT NULL AS n, char(27) AS hostile", "\\x1b"),
            ("set keys vi", "keys vi"),
        ):
            terminal.type(f"{line}\n")
            terminal.wait_for(answer)
        terminal.end_of_input()
        assert terminal.wait_end() == Exit.OK
        assert b"\x1b" not in terminal.raw


@pytest.mark.parametrize("format_", ["table", "json", "csv", "markdown", "vertical"])
def test_nothing_but_text_goes_into_a_pipe(
    env: dict[str, str], tmp_path: Path, format_: str
) -> None:
    """From somebody at a terminal, whose stdout leads to a file."""
    out = tmp_path / "out"
    script = f"{' '.join(FAKE)} > {out}"
    lines = "help", "set", f"set format {format_}", "SELECT NULL AS a, 1536 AS Bytes", "status"
    with Terminal(["sh", "-c", script], env=env, cwd=str(ROOT)) as terminal:
        terminal.wait_for(PROMPT)
        for line in lines:
            terminal.type(f"{line}\n")
        terminal.type("quit\n")
        assert terminal.wait_end() == Exit.OK
    text = out.read_text()
    assert "snap length" in text
    assert "\x1b" not in text
    assert os.linesep in text
