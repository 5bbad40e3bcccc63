"""The prompt on a real terminal: what somebody sits in front of sees."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nshell.collector import schema
from nshell.shell.exits import Exit
from tests.shell.fake_collector import DATABASE
from tests.shell.processes import alive, child, children, eventually
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = str(Path(__file__).parents[2])
FAKE = (sys.executable, "-m", "tests.shell.fake_netobserv", "shell", "--local")
PROMPT = "netobserv>"


@pytest.fixture
def env(tmp_path: Path, runtime: Path) -> dict[str, str]:
    """Directories of this test alone."""
    return {"XDG_RUNTIME_DIR": str(runtime), "XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def base(env: dict[str, str]) -> Path:
    """Where session directories go."""
    return Path(env["XDG_RUNTIME_DIR"])


@pytest.fixture
def terminal(env: dict[str, str]) -> Iterator[Terminal]:
    """A shell, connected."""
    with Terminal(FAKE, env=env, cwd=ROOT) as opened:
        opened.wait_for("REC")
        yield opened
        leave(opened)


def leave(terminal: Terminal) -> None:
    """Quit, if it still runs."""
    if alive(terminal.pid):
        terminal.type("quit\n")
        assert terminal.wait_end() == Exit.OK


def line_with(terminal: Terminal, text: str) -> int:
    return next(number for number, line in enumerate(terminal.screen()) if text in line)


def typing(terminal: Terminal, text: str) -> None:
    """Type it, and see it stand at the prompt."""
    terminal.type(text)
    terminal.wait_for(f"{PROMPT} {text}")


def test_the_toolbar_lives_while_nothing_is_typed(terminal: Terminal) -> None:
    terminal.wait_for("00:00:01")
    terminal.wait_for("00:00:02")
    assert terminal.screen()[-1].startswith(" REC  2 rows 1.2k/s  3 packets 0/s  lost 0")


def test_commands_and_queries_answer_above_the_next_prompt(terminal: Terminal) -> None:
    terminal.type("filter peer_ip 10.129.0.48\n")
    terminal.wait_for("filter 1 added: peer_ip 10.129.0.48  applied 1/1")
    terminal.type("SELECT DstPort FROM flow\n")
    terminal.wait_for("2 rows in 3.0 ms")
    terminal.wait_for("1 filter applied 1/1")
    assert line_with(terminal, "443") < line_with(terminal, "2 rows in")


def test_a_notice_appears_above_a_half_typed_line_and_does_not_break_it(
    terminal: Terminal,
) -> None:
    typing(terminal, "filter po")
    os.kill(child(terminal.pid, "fake_agent"), signal.SIGKILL)
    terminal.wait_for("agent on")
    terminal.wait_for("ended (signal 9): started again")
    terminal.wait_until(
        lambda: terminal.line() == f"{PROMPT} filter po", "the line to stand below the notice"
    )
    assert line_with(terminal, "started again") < line_with(terminal, f"{PROMPT} filter po")
    terminal.type("rt 80\n")
    terminal.wait_for("filter 1 added: port 80")


def test_pods_that_appear_are_completed_soon(terminal: Terminal) -> None:
    terminal.type("SELECT appear('shop/web-1')\n")
    terminal.wait_for("1 row in")
    terminal.type("SELECT appear('shop/web-2')\n")

    def offered() -> bool:
        terminal.type("filter pod shop/\t")
        terminal.wait_for(f"{PROMPT} filter pod shop/")
        shown = any("web-2" in line for line in terminal.screen() if "SELECT" not in line)
        terminal.type("\x03")
        return shown

    terminal.wait_until(offered, "the new pods to be offered")


def test_loss_is_told_and_stands_in_the_toolbar(terminal: Terminal) -> None:
    terminal.type("SELECT lose(1204)\n")
    terminal.wait_for("lost 1,204 more, 1,204 in all: `losses` says where")
    terminal.wait_until(lambda: "lost 1,204" in terminal.screen()[-1], "the toolbar to say it")


def test_control_c_cancels_a_command_and_never_the_capture(terminal: Terminal) -> None:
    terminal.type("SELECT 'hang'\n")
    terminal.wait_until(lambda: "REC" not in terminal.screen()[-1], "the command to run")
    terminal.interrupt_until("cancelled")
    terminal.type("SELECT 40 + 2 AS answer\n")
    terminal.wait_for("1 row in")
    assert child(terminal.pid, "fake_collector")


def test_control_c_ends_the_watching_of_why_and_its_verdict_comes(
    env: dict[str, str], tmp_path: Path
) -> None:
    schema.create(tmp_path / "session.db")
    surroundings = env | {DATABASE: str(tmp_path / "session.db")}
    with Terminal(FAKE, env=surroundings, cwd=ROOT) as terminal:
        terminal.wait_for("REC")
        terminal.type("why 10.0.0.1 10.0.0.2 for 1h\n")
        terminal.wait_for("watching 10.0.0.1 and 10.0.0.2 for 3600 s; Ctrl-C ends it early")
        terminal.interrupt()
        terminal.wait_for("nothing-sent: 10.0.0.1 sent nothing to 10.0.0.2")
        assert "cancelled" not in terminal.text()
        leave(terminal)


def test_control_c_at_the_prompt_clears_the_line(terminal: Terminal) -> None:
    typing(terminal, "filter clear")
    terminal.interrupt()
    terminal.type("SELECT 'next' AS line\n")
    terminal.wait_for("1 row in")
    assert "cleared  applied" not in terminal.text()


def test_an_error_is_one_line_and_the_prompt_goes_on(terminal: Terminal) -> None:
    terminal.type("sttaus\n")
    terminal.wait_for("sttaus: unknown command 'sttaus': did you mean 'status'?")
    terminal.type("status\n")
    terminal.wait_for("snap length")


def test_sql_goes_on_over_lines(terminal: Terminal) -> None:
    terminal.type("SELECT count(*) AS n FROM\n")
    terminal.wait_for("...")
    terminal.type("packet\n")
    terminal.wait_for("1 row in")


def test_tables_and_columns_are_offered(terminal: Terminal) -> None:
    terminal.type("SELECT * FROM pack")
    terminal.wait_until(lambda: offered(terminal, "packet +table"), "the table to be offered")
    terminal.type("et WHERE Dst")
    terminal.wait_until(lambda: offered(terminal, "DstPort +packet INTEGER"), "the column")
    terminal.interrupt()


def offered(terminal: Terminal, pattern: str) -> bool:
    """Whether the menu has such a line."""
    return re.search(pattern, "\n".join(terminal.screen())) is not None


def test_what_is_typed_while_a_command_runs_is_shown_once(terminal: Terminal) -> None:
    terminal.type("wait 1500ms\n")
    time.sleep(0.5)
    terminal.type("filter port 80")
    terminal.wait_until(
        lambda: any("netobserv> filter port 80" in line for line in terminal.screen()),
        "the line at the next prompt",
    )
    assert terminal.text().count("filter port 80") == 1
    terminal.interrupt()


def test_the_usage_of_a_command_is_shown_while_it_is_typed(terminal: Terminal) -> None:
    typing(terminal, "snaplen")
    terminal.type(" ")
    terminal.wait_for("snaplen SIZE")
    terminal.interrupt()


def test_control_d_leaves_and_nothing_stays_behind(terminal: Terminal, base: Path) -> None:
    pids = children(terminal.pid)
    terminal.end_of_input()
    assert terminal.wait_end() == Exit.OK
    assert "session ended: 2 flow rows, 3 packets, no loss" in terminal.text()
    assert len(pids) == 2
    assert not [pid for pid in pids if alive(pid)]
    assert not list(base.iterdir())


def test_what_children_write_to_their_stderr_stays_off_the_screen(
    env: dict[str, str], tmp_path: Path
) -> None:
    command = [*FAKE, "--node", "noisy", "--dir", str(tmp_path / "kept")]
    with Terminal(command, env=env, cwd=ROOT) as terminal:
        terminal.wait_for("REC")
        said = tmp_path / "kept" / "agent.err"
        eventually(lambda: "smear" in said.read_text(), "the agent's words in its file")
        typing(terminal, "status")
        assert "smear" not in terminal.text()
        terminal.type("\n")
        terminal.wait_for("snap length")
        leave(terminal)


def test_descriptor_2_of_the_shell_itself_leads_to_a_file(terminal: Terminal, base: Path) -> None:
    target = Path(f"/proc/{terminal.pid}/fd/2").readlink()
    assert target.parent.parent == base
    assert target.name == "shell.err (deleted)"


def test_a_collector_that_dies_ends_the_shell_with_status_3(terminal: Terminal, base: Path) -> None:
    typing(terminal, "filter po")
    agent = child(terminal.pid, "fake_agent")
    os.kill(child(terminal.pid, "fake_collector"), signal.SIGKILL)
    assert terminal.wait_end() == Exit.NO_AGENT
    assert "netobserv: the collector ended (signal 9)" in terminal.text()
    assert not alive(agent)
    assert not list(base.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_closes_the_session_in_order(
    terminal: Terminal, base: Path, number: signal.Signals
) -> None:
    terminal.signal(number)
    assert terminal.wait_end() == Exit.INTERRUPTED
    assert "session ended:" in terminal.text()
    assert not list(base.iterdir())


def test_a_command_typed_before_the_collector_is_there_waits_for_it(env: dict[str, str]) -> None:
    with Terminal(FAKE, env=env, cwd=ROOT) as terminal:
        terminal.type("SELECT 40 + 2 AS answer\n")
        terminal.wait_for("1 row in")
        assert "42" in terminal.text()
        leave(terminal)


def test_an_agent_that_cannot_work_ends_the_shell_with_its_words(env: dict[str, str]) -> None:
    with Terminal([*FAKE, "--node", "cannot"], env=env, cwd=ROOT) as terminal:
        assert terminal.wait_end() == Exit.NO_AGENT
        assert "netobserv: agent: this kernel has no BPF: use another" in terminal.text()


def test_lines_are_remembered_for_the_next_session(env: dict[str, str]) -> None:
    for number in (1, 2):
        with Terminal(FAKE, env=env, cwd=ROOT) as terminal:
            terminal.wait_for("REC")
            if number == 1:
                terminal.type("SELECT 'remembered' AS line\n")
                terminal.wait_for("1 row in")
            else:
                terminal.type("history remem\n")
                terminal.wait_for("SELECT 'remembered' AS line")
            leave(terminal)


def test_captured_text_cannot_reach_the_terminal_raw(terminal: Terminal) -> None:
    terminal.type("SELECT char(27) || ']0;owned' || char(7) AS name\n")
    terminal.wait_for("\\x1b]0;owned\\x07")
    assert b"\x1b]0;owned" not in terminal.raw


def test_no_colour_means_no_colour(env: dict[str, str]) -> None:
    with Terminal([*FAKE, "--no-color"], env=env, cwd=ROOT) as terminal:
        terminal.wait_for("REC")
        terminal.type("status\n")
        terminal.wait_for("snap length")
        leave(terminal)
        assert b";38;5;" not in terminal.raw
        assert b"\x1b[0;3" not in terminal.raw


def test_a_dumb_terminal_gets_a_plain_line_reader(env: dict[str, str]) -> None:
    with Terminal(FAKE, env={**env, "TERM": "dumb"}, cwd=ROOT) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("SELECT count(*) AS n FROM\n")
        terminal.wait_for("...")
        terminal.type("packet\n")
        terminal.wait_for("1 row in")
        terminal.type("sttaus\n")
        terminal.wait_for("did you mean 'status'?")
        terminal.type("wait 1h\n")
        terminal.wait_for("wait 1h")
        terminal.wait_until(lambda: running_wait(terminal), "the command to run")
        terminal.interrupt_until("cancelled")
        terminal.end_of_input()
        assert terminal.wait_end() == Exit.OK
        assert "session ended:" in terminal.text()
        assert b"\x1b" not in terminal.raw


def running_wait(terminal: Terminal) -> bool:
    """No prompt stands below what was typed."""
    lines = [line for line in terminal.screen() if line]
    return lines[-1].endswith("wait 1h")
