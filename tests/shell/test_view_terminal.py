"""A view on a real terminal, over rows of the collector's own schema in a real SQLite."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from nshell.collector import schema
from nshell.shell.exits import Exit
from tests.shell.fake_collector import DATABASE
from tests.shell.processes import child
from tests.shell.viewrows import FLOW
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = str(Path(__file__).parents[2])
FAKE = (sys.executable, "-m", "tests.shell.fake_netobserv", "shell", "--local")


class Store:
    """The rows behind a view; more may be added while it is open."""

    def __init__(self, path: Path) -> None:
        schema.create(path)
        self.path = path
        self._db = sqlite3.connect(path)
        self._db.execute("PRAGMA journal_mode = WAL")

    def add(self, table: str, *rows: dict[str, Any]) -> None:
        for cells in rows:
            names, marks = ", ".join(cells), ", ".join("?" * len(cells))
            sql = f"INSERT INTO {table} ({names}) VALUES ({marks})"
            self._db.execute(sql, tuple(cells.values()))
        self._db.commit()

    def flows(self, *changes: dict[str, Any]) -> None:
        now = time.time_ns() // 1_000_000
        usual = {**FLOW, "TimeFlowEndMs": now, "TimeFlowStartMs": now}
        self.add("flow", *({**usual, **change} for change in changes))

    def clear(self) -> None:
        for table in ("flow", "packet", "dns", "packet_drop", "dns_name"):
            self._db.execute(f"DELETE FROM {table}")
        self._db.commit()

    def close(self) -> None:
        self._db.close()


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory with a short name: the path of a socket has little room."""
    with TemporaryDirectory(prefix="ns-test-") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def env(place: Path) -> dict[str, str]:
    (place / "run").mkdir()
    return {
        "XDG_RUNTIME_DIR": str(place / "run"), "XDG_STATE_HOME": str(place / "state"),
        "XDG_CONFIG_HOME": str(place / "config"), DATABASE: str(place / "session.db"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def opened(place: Path) -> Iterator[Store]:
    made = Store(place / "session.db")
    yield made
    made.close()


@pytest.fixture
def store(opened: Store) -> Store:
    """Without rows."""
    opened.clear()
    return opened


@pytest.fixture(scope="module")
def shared(env: dict[str, str], opened: Store) -> Iterator[Terminal]:
    """A shell for those tests that leave it at its prompt."""
    with shell_over(opened, env) as terminal:
        yield terminal
        quit_shell(terminal)


@pytest.fixture
def terminal(shared: Terminal) -> Terminal:
    shared.type("\x0c")  # a clear screen: what an earlier test left must not be taken for news
    shared.wait_until(lambda: at_prompt(shared.screen()[0]), "a clear screen")
    return shared


@pytest.fixture
def own_terminal(env: dict[str, str], opened: Store) -> Iterator[Terminal]:
    """A shell that a test may end."""
    with shell_over(opened, env) as terminal:
        yield terminal


@contextlib.contextmanager
def shell_over(
    store: Store, env: dict[str, str], *options: str, columns: int = 120, rows: int = 40
) -> Iterator[Terminal]:
    """A shell, connected; `store` is there before it."""
    assert store.path.exists()
    command = [*FAKE, "--packets", *options]
    with Terminal(command, env=env, cwd=ROOT, columns=columns, rows=rows) as terminal:
        terminal.wait_for("REC")
        yield terminal


def quit_shell(terminal: Terminal) -> None:
    terminal.type("quit\n")
    assert terminal.wait_end() == Exit.OK


def shows(terminal: Terminal, text: str) -> None:
    """Wait until the screen, not what is above it, has this."""
    terminal.wait_until(lambda: text in "\n".join(terminal.screen()), f"{text!r} on the screen")


def hides(terminal: Terminal, text: str) -> None:
    terminal.wait_until(lambda: text not in "\n".join(terminal.screen()), f"{text!r} to go")


def at_prompt(line: str) -> bool:
    return line.strip() == "netobserv>"


def back_at_the_prompt(terminal: Terminal) -> None:
    """And the terminal is as it was, once all that draws the prompt has come."""
    terminal.wait_until(
        lambda: any(map(at_prompt, terminal.screen())) and left_alone(terminal), "the prompt"
    )


def left_alone(terminal: Terminal) -> bool:
    """The other screen was left, and the cursor is to be seen."""
    raw = terminal.raw
    return raw.rfind(b"\x1b[?1049l") > raw.rfind(b"\x1b[?1049h") > 0 and (
        raw.rfind(b"\x1b[?25h") > raw.rfind(b"\x1b[?25l")
    )


def test_rows_come_as_they_are_captured_and_keywords_keep_some(
    terminal: Terminal, store: Store
) -> None:
    terminal.type("view\n")
    shows(terminal, "waiting for flows")
    store.flows({"SrcAddr": "10.9.9.1"}, {"SrcAddr": "10.9.9.2"})
    shows(terminal, "10.9.9.1:40000")
    shows(terminal, "2 rows")
    terminal.type("10.9.9.2")
    hides(terminal, "10.9.9.1:40000")
    shows(terminal, "1 of 2 rows")
    terminal.type("\n")
    shows(terminal, "[10.9.9.2]")
    store.flows({"SrcAddr": "10.9.9.2", "SrcPort": 41111}, {"SrcAddr": "10.9.9.1"})
    shows(terminal, "10.9.9.2:41111")
    shows(terminal, "2 of 4 rows")
    terminal.type("\x7f")
    shows(terminal, "10.9.9.1:40000")
    terminal.type("q")
    back_at_the_prompt(terminal)


def test_names_that_dns_told_stand_for_addresses_and_are_found(
    terminal: Terminal, store: Store
) -> None:
    store.add("dns_name", {"Address": "10.9.9.1", "Name": "nodejs.example.org"})
    store.flows({"SrcAddr": "10.9.9.1"}, {"SrcAddr": "10.9.9.2"})
    terminal.type("view\n")
    shows(terminal, "10.9.9.1:40000")
    terminal.press("page-down")
    shows(terminal, "nodejs.example.org:40000")
    terminal.type("nodejs")
    hides(terminal, "10.9.9.2:40000")
    terminal.interrupt()
    back_at_the_prompt(terminal)


def test_a_filter_is_made_of_a_row_and_of_one_that_cannot_be_the_error_is_told(
    terminal: Terminal, store: Store
) -> None:
    store.flows({"SrcAddr": "10.9.9.1"}, {"SrcAddr": "10.9.9.2"})
    terminal.type("view flows\n")
    shows(terminal, "10.9.9.2:40000")
    terminal.type("\tjf")
    shows(terminal, ">1 peer_ip 10.9.9.1")
    terminal.type("1")
    shows(terminal, "filter 1 added: peer_ip 10.9.9.1 applied 1/1 in 42 ms")
    shows(terminal, "1 filter applied 1/1")
    shows(terminal, "F deletes filter 1")
    terminal.type("q")
    back_at_the_prompt(terminal)
    terminal.type("filter list\n")
    shows(terminal, "peer_ip 10.9.9.1")


def test_a_filter_made_by_mistake_is_taken_back_and_those_of_others_stay(
    terminal: Terminal, store: Store
) -> None:
    store.flows({"SrcAddr": "10.9.9.1"})
    terminal.type("filter port 7\n")
    shows(terminal, "added: port 7")
    terminal.type("view\n")
    shows(terminal, "10.9.9.1:40000")
    terminal.type("F")
    shows(terminal, "no filter was made in this view")
    terminal.type("f1f2")
    shows(terminal, "added: peer_ip 10.0.0.2")
    terminal.type("FF")
    shows(terminal, "deleted: peer_ip 10.9.9.1 applied 1/1 in 42 ms")
    hides(terminal, "F deletes filter")
    terminal.type("q")
    back_at_the_prompt(terminal)
    terminal.type("filter list\n")
    shows(terminal, "port 7")
    assert "peer_ip 10.0.0.2" not in "\n".join(terminal.screen())
    terminal.type("filter clear\n")
    shows(terminal, "cleared")


def test_a_filter_is_made_though_the_view_is_left_at_once(terminal: Terminal, store: Store) -> None:
    store.flows({"SrcAddr": "10.9.9.1"})
    terminal.type("view\n")
    shows(terminal, "10.9.9.1:40000")
    terminal.type("f1q")
    back_at_the_prompt(terminal)
    terminal.wait_until(
        lambda: any("1 filter applied" in line for line in terminal.screen()), "the filter"
    )
    terminal.type("filter clear\n")
    shows(terminal, "1 filter cleared")


def test_numbers_are_as_they_are_in_the_store_where_nobody_wants_them_otherwise(
    terminal: Terminal, store: Store
) -> None:
    at = time.time_ns() // 1_000_000
    store.flows({"Bytes": 1_234_567, "TimeFlowEndMs": at})
    terminal.type("set human off\nview\n")
    shows(terminal, "1234567")
    shows(terminal, str(at))
    terminal.type("q")
    back_at_the_prompt(terminal)
    terminal.type("set human on\nview\n")
    shows(terminal, "1.2 MB")
    terminal.type("q")
    back_at_the_prompt(terminal)


def test_packets_of_a_row_are_those_of_its_connection(terminal: Terminal, store: Store) -> None:
    store.flows({"SrcAddr": "10.9.9.1"})
    there = {"TimeNs": time.time_ns(), "Proto": 6, "Flags": 18, "Length": 77, "CapLen": 77,
             "SrcAddr": "10.9.9.1", "SrcPort": 40000, "DstAddr": "10.0.0.2",
             "DstPort": 443}  # fmt: skip
    back = {**there, "SrcAddr": "10.0.0.2", "SrcPort": 443, "DstAddr": "10.9.9.1",
            "DstPort": 40000, "Length": 1234}  # fmt: skip
    store.add("packet", there, back, {**there, "SrcPort": 40001, "Length": 555})
    terminal.type("view\n")
    shows(terminal, "10.9.9.1:40000")
    terminal.type("p")
    shows(terminal, "packets of 10.9.9.1:40000 and 10.0.0.2:443")
    shows(terminal, "1,234")
    assert "555" not in "\n".join(terminal.screen())
    store.add("packet", {**back, "Length": 4321})
    shows(terminal, "4,321")
    terminal.type("\n")
    shows(terminal, "CapLen")
    terminal.press("escape")
    hides(terminal, "CapLen")
    terminal.type("p")
    shows(terminal, "flows  endpoints")
    terminal.type("q")
    back_at_the_prompt(terminal)


def test_a_feature_is_enabled_from_its_columns(terminal: Terminal, store: Store) -> None:
    store.flows({"SrcAddr": "10.9.9.1"})
    terminal.type("view\n")
    shows(terminal, "10.9.9.1:40000")
    terminal.press("right", "right")
    shows(terminal, "these columns stay empty without the feature dns: `enable dns`")
    terminal.type("e")
    shows(terminal, "dns on applied 1/1")
    terminal.type("q")
    back_at_the_prompt(terminal)


def test_the_chart_shows_who_sends(terminal: Terminal, store: Store) -> None:
    now = time.time_ns() // 1_000_000
    store.flows(*({"TimeFlowEndMs": now - 1000 * ago, "Bytes": 50_000} for ago in range(4, 30)))
    terminal.type("view\n")
    shows(terminal, "10.0.0.1:40000")
    terminal.type("s")
    shows(terminal, "bytes/s by sender, last 00:01:00")
    shows(terminal, "█ 10.0.0.1")
    shows(terminal, "50.0 kB/s peak")
    terminal.press("right")
    shows(terminal, "last 00:05:00")
    shows(terminal, "█ 10.0.0.1")
    terminal.type("s")
    shows(terminal, "10.0.0.1:40000")
    terminal.type("q")
    back_at_the_prompt(terminal)


def test_the_chart_counts_for_what_sampling_left_out(terminal: Terminal, store: Store) -> None:
    now = time.time_ns() // 1_000_000
    some = [{"TimeFlowEndMs": now - 1000 * ago, "Bytes": 5_000} for ago in range(4, 30)]
    store.flows(*({**each, "Sampling": 10} for each in some))
    terminal.type("view\n")
    shows(terminal, "5.0 kB")
    terminal.type("s")
    shows(terminal, "by sender, times 10 for sampling, last 00:01:00")
    shows(terminal, "50.0 kB/s peak")
    store.flows(*({**each, "Sampling": 1, "SrcAddr": "10.9.9.9"} for each in some))
    shows(terminal, "by sender, scaled by sampling, last 00:01:00")
    terminal.type("q")
    back_at_the_prompt(terminal)


def test_what_happens_meanwhile_is_told_and_the_session_goes_on(
    terminal: Terminal, store: Store
) -> None:
    store.flows({})
    terminal.type("view\n")
    shows(terminal, "10.0.0.1:40000")
    os.kill(child(terminal.pid, "fake_agent"), signal.SIGKILL)
    shows(terminal, "ended (signal 9): started again")
    terminal.press("escape")
    terminal.type(" ")
    shows(terminal, "PAUSED")
    terminal.press("escape")
    shows(terminal, "Esc again leaves")
    terminal.press("escape")
    back_at_the_prompt(terminal)
    terminal.type("SELECT count(*) AS still_here FROM flow\n")
    shows(terminal, "still_here")


def test_pasted_text_is_a_keyword_and_presses_no_keys(terminal: Terminal, store: Store) -> None:
    store.flows({"SrcAddr": "10.9.9.1"}, {"Interface": "quiet0"})
    terminal.type("view\n")
    shows(terminal, "10.9.9.1:40000")
    terminal.type("\x1b[200~quiet0\n\x1b[201~")
    shows(terminal, "rows with: quiet0")
    hides(terminal, "10.9.9.1:40000")
    terminal.interrupt()
    back_at_the_prompt(terminal)


def test_other_tables_have_views_too(terminal: Terminal, store: Store) -> None:
    store.add("dns", {"TimeNs": time.time_ns(), "Name": "\x1b]0;owned\x07.example.", "Type": "A",
                      "ClientAddr": "10.0.0.1", "ServerAddr": "10.0.0.53"})  # fmt: skip
    store.add("packet_drop", {"TimeNs": time.time_ns(), "Reason": "NETFILTER_DROP", "Proto": 6,
                              "SrcAddr": "10.0.0.1", "DstAddr": "10.0.0.2"})  # fmt: skip
    terminal.type("view dns\n")
    shows(terminal, "\\x1b]0;owned\\x07.example.")
    assert b"\x1b]0;owned" not in terminal.raw
    terminal.type("q")
    back_at_the_prompt(terminal)
    terminal.type("view drops\n")
    shows(terminal, "NETFILTER_DROP")
    terminal.type("q")
    back_at_the_prompt(terminal)
    terminal.type("view drpos\n")
    shows(terminal, "view: unknown word 'drpos': did you mean 'drops'?")


def test_a_burst_is_told_to_be_too_fast_and_leaves_keys_alive(
    terminal: Terminal, store: Store
) -> None:
    store.flows({})
    terminal.type("view\n")
    shows(terminal, "1 row")
    store.flows(*[{"SrcAddr": "10.9.9.9"}] * 7000)
    shows(terminal, "last 5,000 rows, 2,000 skipped: too fast")
    terminal.type("10.9.9.9")
    shows(terminal, "5,000 of the last 5,000 rows")
    terminal.interrupt()
    back_at_the_prompt(terminal)


def test_a_narrow_terminal_without_colour(env: dict[str, str], store: Store) -> None:
    store.flows({})
    with shell_over(store, env, "--no-color", columns=40, rows=12) as terminal:
        terminal.type("view\n")
        shows(terminal, "10.0.0.1:40000")
        terminal.press("right", "s")
        shows(terminal, "bytes/s by sender")
        terminal.type("s?")
        shows(terminal, "keys of a view")
        terminal.type("?f")
        shows(terminal, ">1 peer_ip 10.0.0.1")
        terminal.type("f\t")
        shows(terminal, ">10.0.0.1:40000")
        terminal.interrupt()
        back_at_the_prompt(terminal)
        assert b";38;5;" not in terminal.raw
        assert b"\x1b[0;3" not in terminal.raw
        quit_shell(terminal)


def test_a_terminal_that_knows_ascii_alone_gets_nothing_else(
    env: dict[str, str], store: Store
) -> None:
    now = time.time_ns() // 1_000_000
    store.flows(*({"TimeFlowEndMs": now - 1000 * ago} for ago in range(4, 30)))
    with shell_over(store, {**env, "PYTHONIOENCODING": "ascii"}) as terminal:
        terminal.type("view\n")
        shows(terminal, "by time down")
        terminal.type("s")
        shows(terminal, "# 10.0.0.1")
        terminal.interrupt()
        back_at_the_prompt(terminal)
        quit_shell(terminal)
        assert terminal.raw.isascii()


def test_a_terminal_is_as_it_was_when_a_signal_ends_the_shell(
    own_terminal: Terminal, store: Store
) -> None:
    store.flows({})
    own_terminal.type("view\n")
    shows(own_terminal, "10.0.0.1:40000")
    own_terminal.signal(signal.SIGTERM)
    shows(own_terminal, "session ended:")
    assert own_terminal.wait_end() == Exit.INTERRUPTED
    assert left_alone(own_terminal)


def test_a_terminal_is_as_it_was_when_the_session_is_lost(
    own_terminal: Terminal, store: Store
) -> None:
    store.flows({})
    own_terminal.type("view\n")
    shows(own_terminal, "10.0.0.1:40000")
    os.kill(child(own_terminal.pid, "fake_collector"), signal.SIGKILL)
    shows(own_terminal, "netobserv: the collector ended (signal 9)")
    assert own_terminal.wait_end() == Exit.NO_AGENT
    assert left_alone(own_terminal)


def test_an_interrupt_from_outside_ends_the_view_and_not_the_session(
    terminal: Terminal, store: Store
) -> None:
    store.flows({})
    terminal.type("view\n")
    shows(terminal, "10.0.0.1:40000")
    terminal.signal(signal.SIGINT)
    back_at_the_prompt(terminal)
    terminal.type("SELECT 'alive' AS word\n")
    shows(terminal, "1 row in")


@pytest.mark.parametrize("words", ["view", "view drops"])
def test_without_a_terminal_it_says_what_to_do(env: dict[str, str], words: str) -> None:
    with Terminal(FAKE, env={**env, "TERM": "dumb"}, cwd=ROOT) as terminal:
        terminal.wait_for("netobserv>")
        terminal.type(f"{words}\n")
        terminal.wait_for("view: a view needs a terminal: `SELECT ...` asks once")
        terminal.end_of_input()
        terminal.wait_end()
