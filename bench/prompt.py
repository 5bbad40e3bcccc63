"""Typing while rows pour in: from a key to its echo on the terminal, idle and under load.

5,000 new flows a second are really captured, while somebody types at the real
prompt on a pty, with the completion menu open, in a watch and in a view. What the
shell's process itself needs of a processor meanwhile says the same with less noise.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests import network
from tests.session import NETOBSERV
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RATE = 5_000
KEYS_PER_SECOND = 12
"""A fast typist."""
LINE = "SELECT SrcAddr, DstAddr, sum(Bytes) AS Bytes FROM flow WHERE DstPort = 7001 GROUP BY 1, 2"
MENUS = 12
PROMPT = "netobserv> "
WATCH = "watch 1s SELECT DstPort, count(*) AS Rows FROM flow WHERE rowid > " \
    "(SELECT max(rowid) FROM flow) - 5000 GROUP BY 1"  # fmt: skip
KEYWORD = "10.77.1.2"
WATCHES, KEYWORDS = 6, 5
ROUNDS = 1

NEW_FLOWS = """
import socket, struct, sys, time
# One datagram each of ever new flows: raw IP, the source port and address count up.
rate, seconds, target = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
dst = socket.inet_aton(target)
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
begun = time.monotonic(); i = 0
print("ready")
while (now := time.monotonic() - begun) < seconds:
    while i < now * rate:
        src = bytes((10, 78, i // 50000 % 250, 1))
        head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 32, i & 0xffff, 0, 64, 17, 0, src, dst)
        s.sendto(head + struct.pack(">HHHHI", 1024 + i % 50000, 7001, 12, 0, i), (target, 0))
        i += 1
    time.sleep(0.005)
"""
"""rate seconds target"""


@dataclass(slots=True)
class Typist:
    """Types at one shell and takes the time of each key."""

    shell: Terminal
    seconds: list[float] = field(default_factory=list)

    def type(self, text: str) -> None:
        """Key by key; each must stand on the line of the cursor before the next."""
        for key in text:
            before = self.shell.line()
            self.shell.type(key)
            self.seconds.append(self.shell.seconds_until(self._echo(before, key)))
            self.rest()

    def press(self, key: str, seen: Callable[[], bool]) -> None:
        """One key that has another effect."""
        self.shell.press(key)
        self.seconds.append(self.shell.seconds_until(seen))

    def figures(self, name: str) -> dict[str, float]:
        """Of what was typed since the last time."""
        times = [each * 1000 for each in self.seconds]
        self.seconds.clear()
        return {
            f"{name}, p50 ms": median(times),
            f"{name}, p95 ms": sorted(times)[math.ceil(len(times) * 0.95) - 1],
            f"{name}, max ms": max(times),
        }

    def _echo(self, before: str, key: str) -> Callable[[], bool]:
        # A blank at the end of a line is seen by where the cursor stands.
        column = self.shell.cells.cursor.x
        expected = before.ljust(column)[:column] + key
        return lambda: (
            self.shell.cells.cursor.x == column + 1
            and self.shell.line().ljust(column + 1).startswith(expected)
        )

    def rest(self) -> None:
        """Until the next key."""
        self.shell.rest(1 / KEYS_PER_SECOND)


def run() -> dict[str, float]:
    """Milliseconds, and processor time of the shell in percent of a core."""
    results: dict[str, float] = {}
    with network.pair() as pair, shell(pair.ours) as opened:
        for load in ("idle", f"{RATE:,} rows/s"):
            with pouring(pair, opened) if load != "idle" else contextlib.nullcontext():
                for part in (_typing, _menu, _watching, _viewing):
                    results |= part(opened, load)
    return results


@contextlib.contextmanager
def shell(where: network.Host) -> Iterator[Terminal]:
    """A prompt, connected, with a state directory of its own."""
    command = where.words(NETOBSERV, "shell", "--local", "-i", "eth0")
    with (
        tempfile.TemporaryDirectory() as folder,
        Terminal(
            command, cwd=folder, env={"XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder}
        ) as opened,
    ):
        opened.wait_for("agents 1/1")
        yield opened
        opened.press("ctrl-c")
        opened.type("quit\n")
        opened.wait_end()


@contextlib.contextmanager
def pouring(pair: network.Pair, shell: Terminal) -> Iterator[None]:
    """RATE new flows a second, for as long as the block runs, and 100 s at most."""
    sender = pair.peer.start_python(NEW_FLOWS, RATE, 100, pair.ours4)
    shell.wait_until(lambda: _rate(shell) > 0.8 * RATE, "the rows to arrive")
    try:
        yield
        assert _rate(shell) > 0.8 * RATE, "\n".join(shell.screen())
    finally:
        sender.terminate()
        sender.wait()


def _rate(shell: Terminal) -> float:
    found = re.search(r"rows ([\d.]+)(k?)/s", "\n".join(shell.screen()[-2:]))
    return float(found[1]) * (1000 if found[2] else 1) if found else 0.0


def _typing(shell: Terminal, load: str) -> dict[str, float]:
    typist, cpu, begun = Typist(shell), cpu_seconds(shell.pid), time.monotonic()
    for _ in range(ROUNDS):
        typist.type(LINE)
        clear(shell)
    share = (cpu_seconds(shell.pid) - cpu) / (time.monotonic() - begun)
    return {**typist.figures(f"key to echo, {load}"),
            f"shell's CPU while typing, {load}, %": share * 100}  # fmt: skip


def _menu(shell: Terminal, load: str) -> dict[str, float]:
    """From the last key of a word to the menu of what it could become."""
    typist, opening = Typist(shell), Typist(shell)
    for _ in range(MENUS):
        typist.type("SELECT Src")
        opening.press("A", lambda: "SrcAddr" in (seen := _below(shell)) and "SrcPort" not in seen)
        clear(shell)
    return opening.figures(f"key to menu, {load}")


def _watching(shell: Terminal, load: str) -> dict[str, float]:
    """From the key that ends a watch to the prompt."""
    typist = Typist(shell)
    for number in range(WATCHES):
        shell.type(f"{WATCH}\n")
        shell.wait_for("any key stops")
        shell.rest(1 + number / WATCHES)  # at another moment of its second each time
        typist.press("q", lambda: shell.line() == PROMPT.rstrip())
        clear(shell)
    return typist.figures(f"key that ends a watch to prompt, {load}")


def _viewing(shell: Terminal, load: str) -> dict[str, float]:
    """From a key of a keyword to its echo, over the rows that it chooses."""
    typist, cpu, begun = Typist(shell), cpu_seconds(shell.pid), time.monotonic()
    shell.type("view flows\n")
    shell.wait_for("? explains the keys")
    for _ in range(KEYWORDS):
        for length in range(1, len(KEYWORD) + 1):
            field = f"rows with: {KEYWORD[:length]}"
            typist.press(KEYWORD[length - 1], partial(_shown, shell, field))
            typist.rest()
        shell.press("escape")
        shell.wait_until(lambda: "rows with:" not in shell.cells.display[1], "no keyword")
    share = (cpu_seconds(shell.pid) - cpu) / (time.monotonic() - begun)
    shell.press("q")
    clear(shell)
    return {**typist.figures(f"key to echo in a view, {load}"),
            f"shell's CPU in a view, {load}, %": share * 100}  # fmt: skip


def _shown(shell: Terminal, field: str) -> bool:
    return bool(shell.cells.display[1].strip() == field)


def _below(shell: Terminal) -> str:
    return "\n".join(shell.cells.display[shell.cells.cursor.y + 1 :])


def clear(shell: Terminal) -> None:
    """Nothing typed any more, and nothing of it to be seen."""
    row = shell.cells.cursor.y
    shell.press("ctrl-c")
    shell.wait_until(lambda: cursor_at(shell, PROMPT) and shell.cells.cursor.y > row, "a prompt")
    shell.press("ctrl-l")
    shell.wait_until(lambda: cursor_at(shell, PROMPT) and shell.cells.cursor.y == 0, "the top")


def cursor_at(shell: Terminal, text: str) -> bool:
    """It stands behind this, and this is all of its line."""
    return shell.cells.cursor.x == len(text) and shell.line() == text.rstrip()


def cpu_seconds(pid: int) -> float:
    """Used by a process so far, in it and in the kernel for it."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    for what, value in run().items():
        print(f"{what:50} {value:10,.2f}")
