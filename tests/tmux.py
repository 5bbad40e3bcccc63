"""A program in tmux, which is a terminal of its own: keys in, screens out.

For what a pty and tests/terminal.py cannot show: how another terminal takes what
we write. The server is the test's own and goes with it.
"""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

_numbers = itertools.count()
_SECONDS = 20.0


class Tmux:
    """One window of one server, its server named after this process."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        columns: int = 120,
        rows: int = 40,
        cwd: str | None = None,
    ) -> None:
        self._name = f"netobserv-{os.getpid()}-{next(_numbers)}"
        settings = [f"{name}={value}" for name, value in (env or {}).items()]
        words = shlex.join(["env", *settings, *command])
        # No configuration of the user's; what has ended stays to be looked at.
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                   *(["-c", cwd] if cwd else []), words,
                   ";", "set", "-g", "status", "off", ";", "set", "-g", "remain-on-exit", "on",
                   ";", "set", "-g", "escape-time", "0")  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tmux("kill-server")

    def type(self, text: str) -> None:
        """These characters, as they are."""
        self._tmux("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: Enter, C-c, PageUp, F1."""
        self._tmux("send-keys", "--", *keys)

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self, *, styled: bool = False) -> str:
        """What it shows, with escape sequences if styled, without blank ends."""
        shown = self._tmux("capture-pane", "-p", *(["-e"] if styled else []))
        return "\n".join(line.rstrip() for line in shown.splitlines()).rstrip()

    def wait_for(self, text: str, *, seconds: float = _SECONDS) -> str:
        """The first screen on which this is to be seen."""
        deadline = time.monotonic() + seconds
        while text not in (shown := self.screen()):
            assert time.monotonic() < deadline, f"waited in vain for {text!r}:\n{shown}"
            time.sleep(0.05)
        return shown

    def ended(self) -> bool:
        """The program has."""
        return self._tmux("display", "-p", "#{pane_dead}").strip() == "1"

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._name, *words], capture_output=True, text=True, check=False
        )
        assert not done.returncode, f"tmux {words[0]}: {done.stderr}"
        return done.stdout
