"""Runs commands without a reader: -c, -f and stdin that is no terminal.

stdout carries data and nothing else; stderr tells the story, one line a time;
the first command that fails ends it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.shell.errors import Failure
from nshell.shell.escape import escape
from nshell.shell.lines import LineReader
from nshell.shell.runner import unreadable
from nshell.shell.script import Splitter, split_script

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from nshell.shell.runner import Runner
    from nshell.shell.takeover import Takeover


@dataclass(frozen=True, slots=True)
class Script:
    """Commands to run, in the order given."""

    name: str
    """-c, or the file's name."""
    text: str | None
    """None: to be read from stdin as it is written."""


class BatchOutput:
    """stdout and stderr."""

    def __init__(self) -> None:
        self.stuck = False
        """A write waits for somebody who does not read."""

    async def data(self, text: str) -> None:
        self.stuck = True
        await asyncio.to_thread(_write_out, text)
        self.stuck = False

    def narrate(self, text: str) -> None:
        say(text)

    async def take_over(self, live: Takeover) -> None:
        await live.follow(self)


def _write_out(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def say(text: str) -> None:
    """One line for people, on stderr; nobody there is no error."""
    with suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def complain(text: str) -> None:
    """The same, in the program's name."""
    say(f"netobserv: {text}")


def silence_stdout() -> None:
    """After a broken pipe: keep the interpreter's last flush from failing too."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.close(devnull)


def use_plain_streams() -> None:
    """Captured text need not be encodable: write what is not as an escape."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


async def run_scripts(runner: Runner, scripts: Sequence[Script], *, words: Sequence[str]) -> None:
    """Every command up to `quit`; Failure from the first that fails.

    `words` begin commands.
    """
    for script in scripts:
        async with aclosing(_commands(script, words)) as lines:
            async for line in lines:
                if await runner.run_line(line):
                    return


async def _commands(script: Script, words: Sequence[str]) -> AsyncGenerator[str, None]:
    if script.text is not None:
        for command in split_script(script.text, commands=words):
            yield command
        return
    reader, splitter = LineReader(sys.stdin), Splitter(words)
    try:
        while (line := await reader.next()) is not None:
            for command in splitter.feed(line.rstrip("\n")):
                yield command
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(script.name, unreadable("stdin", error)) from error
    for command in splitter.end():
        yield command


def failure_line(failure: Failure) -> str:
    """ "COMMAND: why", on one line whatever is in it."""
    return escape(str(failure))
