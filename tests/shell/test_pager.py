"""Long results in a pager: real programs at the other end of the pipe, and the real less."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nshell.shell.errors import Failure
from nshell.shell.output.screen import Screen
from nshell.shell.prompt.look import look
from nshell.shell.runner import Runner
from nshell.tasks import Tasks
from tests.shell.conftest import Recorded
from tests.shell.processes import child
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nshell.shell.takeover import Takeover
    from tests.shell.conftest import Shell

ROOT = str(Path(__file__).parents[2])
FAKE = (sys.executable, "-m", "tests.shell.fake_netobserv", "shell", "--local")
NUMBERS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT {}) SELECT n FROM c"


@dataclass(frozen=True)
class Window(Screen):
    def size(self) -> os.terminal_size | None:
        return os.terminal_size((80, 24))


class Drawing(Recorded):
    """Draws what takes over, as the prompt's output does."""

    async def take_over(self, live: Takeover) -> None:
        await live.draw(look(color=False))


@pytest.fixture
def paged(prompt_shell: Shell) -> Shell:
    """Somebody at a screen of 80 by 24."""
    seen = Drawing()
    object.__setattr__(prompt_shell, "seen", seen)
    object.__setattr__(prompt_shell, "runner", Runner(prompt_shell.context, seen, Window()))
    return prompt_shell


@pytest.fixture
def pager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pager:
    return Pager(monkeypatch, tmp_path / "paged")


@dataclass(frozen=True)
class Pager:
    """A program of this test's, and the file where it puts things."""

    monkeypatch: pytest.MonkeyPatch
    file: Path

    def runs(self, script: str) -> None:
        self.monkeypatch.setenv("NETOBSERV_PAGER", f"sh -c '{script}' pager {self.file}")

    def got(self) -> list[str]:
        return self.file.read_text().splitlines()


async def test_a_long_result_goes_through_the_pager_whole(paged: Shell, pager: Pager) -> None:
    pager.runs('cat > "$1"')
    assert await paged.run(NUMBERS.format(3000)) == ""
    assert len(pager.got()) == 1002
    assert pager.got()[-1] == "1000"
    assert paged.seen.told == ["first 1,000 rows; add LIMIT or export for the rest in 3.0 ms"]
    await paged.run(NUMBERS.format(3000) + " LIMIT 2500")
    assert len(pager.got()) == 2502


async def test_a_pager_of_the_users_own_gets_no_escapes(paged: Shell, pager: Pager) -> None:
    pager.runs('cat > "$1"')
    await paged.run("SELECT NULL AS a FROM packet, packet, packet, packet LIMIT 50")
    assert pager.got()[2:] == ["NULL"] * 50


@pytest.mark.parametrize(
    "line", ["SELECT 1 AS n", "set format csv\n" + NUMBERS.format(99), "set pager off\nschema"]
)
async def test_what_fits_or_is_for_programs_is_printed(
    paged: Shell, pager: Pager, line: str
) -> None:
    pager.runs('cat > "$1"')
    assert await paged.run(line) != ""
    assert not pager.file.exists()


async def test_a_table_too_wide_that_is_not_to_be_expanded_is_paged(
    paged: Shell, pager: Pager
) -> None:
    pager.runs('cat > "$1"')
    paged.context.settings.expanded = "off"
    assert await paged.run("SELECT hex(zeroblob(50)) AS a") == ""
    assert pager.got()[2] == "0" * 100


async def test_to_leave_the_pager_early_cancels_the_query(paged: Shell, pager: Pager) -> None:
    pager.runs('head -n 30 > "$1"')
    await paged.run("SELECT drip")
    await asyncio.wait_for(paged.service.cancelled.wait(), 40)
    assert len(pager.got()) == 30
    (told,) = paged.seen.told
    assert told.startswith("the pager was closed after ")


async def test_control_c_ends_the_query_and_the_pager_keeps_what_it_has(
    paged: Shell, pager: Pager
) -> None:
    pager.runs('cat > "$1"')
    async with Tasks("test", on_error=lambda _: None) as tasks:
        running = tasks.start(paged.run("SELECT drip"), name="query")
        while not (pager.file.exists() and len(pager.got()) > 100):
            await asyncio.sleep(0.01)
        assert paged.context.interrupts.offer()
        await asyncio.wait_for(paged.service.cancelled.wait(), 40)
        await running
    assert len(pager.got()) > 100
    (told,) = paged.seen.told
    assert told.startswith("cancelled after ")
    assert not paged.context.interrupts.offer()


async def test_every_control_c_is_the_pagers_while_it_runs(paged: Shell, pager: Pager) -> None:
    pager.runs('cat > "$1"; read line < "$1.go"; echo end >> "$1"')
    os.mkfifo(f"{pager.file}.go")
    async with Tasks("test", on_error=lambda _: None) as tasks:
        running = tasks.start(paged.run(NUMBERS.format(100)), name="query")
        while not (pager.file.exists() and len(pager.got()) == 102):
            await asyncio.sleep(0.01)
        assert [paged.context.interrupts.offer() for _ in range(3)] == [True] * 3
        await asyncio.to_thread(Path(f"{pager.file}.go").write_text, "\n")
        await running
    assert pager.got()[-1] == "end"
    assert paged.seen.told == ["100 rows in 3.0 ms"]


async def test_a_query_that_fails_midway_says_so_when_the_pager_ends(
    paged: Shell, pager: Pager
) -> None:
    pager.runs('cat > "$1"')
    with pytest.raises(Failure, match="sql: integer overflow"):
        await paged.run("SELECT drip, break")
    assert len(pager.got()) > 50


async def test_a_pager_that_cannot_run_is_told_and_the_result_printed(
    paged: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF, not really")
    broken.chmod(0o755)
    monkeypatch.setenv("PAGER", str(broken))
    monkeypatch.delenv("NETOBSERV_PAGER", raising=False)
    assert len((await paged.run(NUMBERS.format(100))).splitlines()) == 102
    assert paged.seen.told[0] == f"{broken}: exec format error"


async def test_a_command_that_is_cancelled_takes_its_pager_along(
    paged: Shell, pager: Pager
) -> None:
    pager.runs('cat > "$1"; echo $$ > "$1.pid"; exec sleep 60')
    number = Path(f"{pager.file}.pid")
    async with Tasks("test", on_error=lambda _: None) as tasks:
        running = tasks.start(paged.run(NUMBERS.format(100)), name="query")
        while not (number.exists() and number.read_text().strip()):
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait({running})
    with pytest.raises(ProcessLookupError):
        os.kill(int(number.read_text()), 0)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """The real program and the real less on 80 columns and 20 lines."""
    (tmp_path / "run").mkdir()
    env = {
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "NETOBSERV_PAGER": "less",
    }
    with Terminal(FAKE, env=env, cwd=ROOT, columns=80, rows=20) as opened:
        opened.wait_for("REC")
        yield opened
        opened.type("quit\n")
        assert opened.wait_end() == 0


def shown(terminal: Terminal, text: str) -> bool:
    return any(text in line for line in terminal.screen())


def press_until(terminal: Terminal, key: str, holds: Callable[[], bool]) -> None:
    """Press a key of the pager until this holds: it reads none just after a Ctrl-C."""

    def pressed() -> bool:
        terminal.type(key)
        return holds()

    terminal.wait_until(pressed, f"{key!r} to be heeded")


def test_less_shows_a_long_result_and_the_prompt_is_whole_after_it(terminal: Terminal) -> None:
    terminal.type(f"{NUMBERS.format(500)}\n")
    terminal.wait_until(lambda: terminal.screen()[-1] == ":", "the pager")
    terminal.interrupt()
    press_until(terminal, "G", lambda: shown(terminal, "(END)"))
    assert shown(terminal, "500")
    os.kill(child(terminal.pid, "fake_agent"), signal.SIGKILL)
    terminal.interrupt()
    press_until(terminal, "g", lambda: terminal.screen()[0].strip() == "n")
    assert not shown(terminal, "agent on")
    terminal.type("q")
    terminal.wait_for("500 rows in 3.0 ms")
    terminal.wait_for("ended (signal 9): started again")
    terminal.type("SELECT 40 + 2 AS answer\n")
    terminal.wait_for("netobserv> SELECT 40 + 2 AS answer")
    terminal.wait_for("1 row in")
    assert shown(terminal, "     42")


def test_rows_flow_into_the_pager_until_control_c(terminal: Terminal) -> None:
    terminal.type("SELECT 'drip'\n")
    terminal.wait_until(lambda: terminal.screen()[-1] == ":", "the pager")
    terminal.interrupt()
    press_until(terminal, "G", lambda: shown(terminal, "(END)"))
    terminal.type("q")
    terminal.wait_for("cancelled after ")
    terminal.type("SELECT 'drip'\n")
    terminal.wait_until(lambda: terminal.screen()[-1] == ":", "the pager")
    terminal.type("q")
    terminal.wait_for("the pager was closed after ")
    terminal.type("SELECT 40 + 2 AS answer\n")
    terminal.wait_for("1 row in")


def test_blocks_by_the_mark_and_where_rows_are_too_wide(terminal: Terminal) -> None:
    terminal.type("SELECT DstPort, Bytes FROM flow LIMIT 1\\G\n")
    terminal.wait_for("1 row in")
    lines = terminal.screen()
    at = next(n for n, line in enumerate(lines) if line.startswith("-[ 1 ]"))
    assert lines[at + 1 : at + 3] == ["DstPort  443", "Bytes    1.5 kB"]
    terminal.type("SELECT *, 'a long text of one row' AS text, NULL AS gap FROM flow LIMIT 1\n")
    terminal.wait_for("text     a long text of one row")
    terminal.type("last table\n")
    terminal.wait_for("DstAddr")


def test_a_dumb_terminal_gets_lines_in_units_and_no_pager(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    env = {
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "TERM": "dumb",
    }
    with Terminal(FAKE, env=env, cwd=ROOT, columns=80, rows=20) as plain:
        plain.wait_for("netobserv>")
        plain.type("SELECT Bytes, NULL AS gap FROM flow LIMIT 1\n")
        plain.wait_for("1.5 kB  NULL")
        plain.type("set human off\nSELECT Bytes, NULL AS gap FROM flow LIMIT 1\n")
        plain.wait_for("   1500  NULL")
        plain.type(f"{NUMBERS.format(300)}\n")
        plain.wait_for("200 shown of 300 rows")
        plain.type("quit\n")
        assert plain.wait_end() == 0
        assert b"\x1b" not in plain.raw
        assert b"\x00" not in plain.raw
