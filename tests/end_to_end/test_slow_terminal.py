"""A terminal that does not take what is written holds up nobody but itself."""

from __future__ import annotations

import platform
import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nshell.local import LEASE_SECONDS
from tests.network import SINK, UDP_SEND, until
from tests.session import NETOBSERV
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.network import Pair

pytestmark = pytest.mark.kernel

PORTS = ",".join(str(port) for port in range(7001, 7021))
WRITE = {"x86_64": "1", "aarch64": "64"}
"""The number of the system call."""
PROMPT = "netobserv>"
SECONDS, ROUNDS_PER_SECOND = 60, 5


@contextmanager
def shell(pair: Pair, folder: Path) -> Iterator[Terminal]:
    """A shell over a capture of twenty flows that go on."""
    pair.ours.start_python(SINK, pair.ours4, PORTS)
    rounds, rate = SECONDS * ROUNDS_PER_SECOND, ROUNDS_PER_SECOND * 20
    pair.peer.start_python(UDP_SEND, pair.ours4, PORTS, rounds, 100, rate)
    command = pair.ours.words(
        NETOBSERV, "shell", "--local", "-i", "eth0", "--dir", str(folder / "kept"), "--no-color"
    )
    env = {"XDG_STATE_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "PAGER": "cat"}
    with Terminal(command, cwd=str(folder), columns=300, rows=90, env=env) as opened:
        opened.wait_for("agents 1/1")
        opened.type("wait until SELECT count(*) > 60 FROM flow\n")
        opened.wait_until(lambda: opened.line() == PROMPT, "rows to be there")
        yield opened
        opened.type("quit\n")
        assert opened.wait_end() == 0


def rows(folder: Path) -> int:
    """Committed by the collector, asked behind the shell's back."""
    (file,) = (folder / "kept").rglob("*.db")
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT count(*) FROM flow").fetchone()[0])


def held(pid: int) -> bool:
    """The program is in write(2) and does not get out of it."""
    number = Path(f"/proc/{pid}/syscall").read_text().split()[0]
    return number == WRITE[platform.machine()]


def look_away(shell: Terminal, folder: Path, *, seconds: float, key: str | None = None) -> int:
    """Read nothing until the shell has been held for so long; rows that came while it was.

    The key is one that makes it draw.
    """

    def kept_waiting() -> bool:
        if key:
            shell.press(key)
        return held(shell.pid)

    until(kept_waiting, 20)
    before, end = rows(folder), time.monotonic() + seconds
    while time.monotonic() < end:
        assert held(shell.pid)
        time.sleep(0.2)
    return rows(folder) - before


def test_a_capture_goes_on_while_the_terminal_takes_nothing(pair: Pair, tmp_path: Path) -> None:
    with shell(pair, tmp_path) as opened:
        opened.type("SELECT * FROM flow LIMIT 60\n")
        # Longer than the collector waits for a shell that is gone.
        came = look_away(opened, tmp_path, seconds=LEASE_SECONDS + 1)
        assert came >= 20 * LEASE_SECONDS
        opened.wait_for("rows in")

        opened.type(f"watch 250ms SELECT {', '.join(['random()'] * 12)} FROM flow\n")
        opened.wait_for("any key stops")
        assert look_away(opened, tmp_path, seconds=1.5) >= 20
        leave(opened)

        opened.type("view flows\n")
        opened.wait_for("q leaves")
        assert look_away(opened, tmp_path, seconds=1.5, key="right") >= 20
        leave(opened)

        opened.type("losses\n")
        opened.wait_for("no loss")
        assert "no connection" not in opened.text()
        assert "started again" not in opened.text()


def leave(opened: Terminal) -> None:
    """What is drawn in place; the prompt is back."""
    opened.rest(0.5)
    opened.press("q")
    opened.wait_until(lambda: opened.line() == PROMPT, "the prompt to be back")
