"""A whole session as a user has it: the real shell, collector and agent, commands on its stdin."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.network import Host

NETOBSERV = str(Path(sys.executable).parent / "netobserv")

Row = dict[str, Any]


class Session:
    """`netobserv shell --format json`, driven line by line; --local in a host unless told else."""

    def __init__(
        self, where: Host | None, *options: str, place: Sequence[str] = ("--local",)
    ) -> None:
        words = [NETOBSERV, "shell", *place, "--format", "json", *options]
        self._process = subprocess.Popen(
            where.words(*words) if where else words,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._marks = itertools.count()
        self.narration: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.narration.append(line.rstrip("\n"))

    def tell(self, line: str) -> None:
        """Send a command and go on. SQL ends with a semicolon: it could have more lines."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def do(self, *lines: str) -> list[Any]:
        """Run commands to their end; the JSON documents that they printed."""
        mark = f"mark-{next(self._marks)}"
        for line in (*lines, f"sql SELECT '{mark}' AS mark;"):
            self.tell(line)
        assert self._process.stdout is not None
        decoder, text = json.JSONDecoder(), ""
        found: list[Any] = []
        while True:
            line = self._process.stdout.readline()
            if not line:
                raise AssertionError(f"the session ended: {self.narration[-3:]}")
            text += line
            with contextlib.suppress(json.JSONDecodeError):
                document, _ = decoder.raw_decode(text.lstrip())
                text = ""
                if document == [{"mark": mark}]:
                    return found
                found.append(document)

    def narrate(self, line: str) -> str:
        """Run one command that prints text; the text."""
        mark = f"mark-{next(self._marks)}"
        for each in (line, f"sql SELECT '{mark}' AS mark;"):
            self.tell(each)
        assert self._process.stdout is not None
        text = ""
        while f'[\n {{"mark": "{mark}"}}\n]\n' not in text:
            more = self._process.stdout.readline()
            assert more, self.narration[-3:]
            text += more
        return text.split('[\n {"mark"')[0]

    def end_input(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def sql(self, query: str) -> list[Row]:
        (rows,) = self.do(f"sql {' '.join(query.split())};")
        assert isinstance(rows, list)
        return rows

    def value(self, query: str) -> Any:
        """The first cell of the first row."""
        (first, *_) = self.sql(query)[0].values()
        return first

    def settle(self, query: str, *, least: int = 1, seconds: float = 15) -> Any:
        """Ask again until the first cell is at least so much and no longer grows.

        Flows and statistics come once a second; events within moments, and nothing
        that is asked after them may hang on statistics.
        """
        still = 0.4 if re.search(r"\b(packet_drop|dns|tcp_event)\b", query) else 1.2
        changed = time.monotonic()
        end, last = changed + seconds, None
        while time.monotonic() < end:
            now = self.value(query)
            if now != last:
                last, changed = now, time.monotonic()
            elif now is not None and now >= least and time.monotonic() - changed > still:
                return now
            time.sleep(0.1)
        raise AssertionError(f"{query}: still {last} after {seconds} s: {self.narration[-5:]}")

    def processes(self) -> dict[str, int]:
        """Pids of the children by program."""
        found: dict[str, int] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                words = (stat.parent / "cmdline").read_bytes().split(b"\0")
                parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
                for name in ("nshell.collector.main", "agent.main"):
                    if name.encode() in words and self._is_ours(parent):
                        found[name.split(".")[-2]] = int(stat.parent.name)
        return found

    def _is_ours(self, pid: int) -> bool:
        while pid > 1:
            if pid == self._process.pid:
                return True
            try:
                pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                return False
        return False

    def quit(self, timeout: float = 20) -> int:
        """Exit status."""
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.tell("quit")
        return self.wait(timeout)

    def wait(self, timeout: float = 20) -> int:
        status = self._process.wait(timeout)
        self._listener.join(5)
        return status

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def close(self) -> None:
        if self._process.poll() is None:
            try:
                self.quit()
            except subprocess.TimeoutExpired:
                self.kill()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


@contextlib.contextmanager
def session(where: Host | None, *options: str) -> Iterator[Session]:
    """Returns once the capture runs; ends it on exit."""
    opened = Session(where, *options)
    try:
        opened.do()
        yield opened
    finally:
        opened.close()


def once(where: Host | None, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """One run of `netobserv WORDS`."""
    command = [NETOBSERV, *words]
    return subprocess.run(
        where.words(*command) if where else command,
        capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False,
        env=os.environ,
    )  # fmt: skip
