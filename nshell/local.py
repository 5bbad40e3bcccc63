"""Starts a collector and an agent on this host and answers for both.

However a session ends, this module leaves no process and no directory behind:
each child is known by its pid and waited for.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nshell.capturing import CaptureOptions
from nshell.shell import workdir
from nshell.shell.errors import Refused, SessionLost
from nshell.shell.escape import escape
from nshell.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nshell.shell.live import Session

LEASE_SECONDS = 5
_RESTARTS = 5
_REFUSED = 2
"""Exit status of a collector that cannot do what its arguments say."""
_CANNOT_WORK = 3
"""Exit status of an agent that says this host is not for it."""
_ORDERLY_SECONDS = 10.0
"""For a collector that was asked to stop over its RPC."""
_LEFT_ALONE_SECONDS = 1.0
"""For an agent whose collector has ended: nobody takes its rows any more."""
_READY_SECONDS = 60.0
"""For the agent, with nobody there to see that it is late."""
_TERM_SECONDS = 3.0
"""Between SIGTERM and SIGKILL."""


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """What the command line says of a session on this host."""

    node: str
    capture: CaptureOptions = field(default_factory=CaptureOptions)
    directory: Path | None = None
    """Where the session's files are kept; None: removed with the session."""

    def collector_arguments(self, work: workdir.WorkDir) -> list[str]:
        """Of nshell.collector.main."""
        keep = self.directory is not None
        return [
            f"--listen=unix:{work.socket}",
            f"--directory={self.directory if keep else work.path}",
            f"--session={work.name}",
            f"--lease={LEASE_SECONDS}",
            *(["--keep"] if keep else []),
            *self.capture.collector_arguments(),
        ]

    def agent_arguments(self, work: workdir.WorkDir) -> list[str]:
        """Of agent.main."""
        return [
            f"--connect=unix:{work.socket}",
            f"--node={self.node}",
            f"--lease={LEASE_SECONDS}",
            *self.capture.agent_arguments(),
        ]


@dataclass(frozen=True, slots=True)
class Programs:
    """How the children are started."""

    collector: tuple[str, ...] = field(
        default_factory=lambda: (sys.executable, "-m", "nshell.collector.main")
    )
    agent: tuple[str, ...] = field(default_factory=lambda: (sys.executable, "-m", "agent.main"))


@dataclass(slots=True)
class _Child:
    name: str
    process: asyncio.subprocess.Process
    messages: int
    """Descriptor of the file that its stdout and stderr go to."""

    def last_line(self) -> str:
        """The last thing it said."""
        size = os.fstat(self.messages).st_size
        tail = os.pread(self.messages, 4096, max(0, size - 4096))
        lines = tail.decode(errors="backslashreplace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return escape(last.removeprefix(f"netobserv-{self.name}: "))

    def how_it_ended(self) -> str:
        """ "signal 9", "status 1: last line"."""
        code = self.process.returncode or 0
        how = f"signal {-code}" if code < 0 else f"status {code}"
        said = self.last_line()
        return f"{how}: {said}" if said and code > 0 else how


class LocalSession:
    """One collector and one agent, from start() to stop()."""

    def __init__(
        self,
        options: LocalOptions,
        *,
        notify: Callable[[str], None],
        on_failure: Callable[[BaseException], None],
        programs: Programs | None = None,
        backoff: float = 0.2,
    ) -> None:
        self._options = options
        self._notify = notify
        self._on_failure = on_failure
        self._programs = programs or Programs()
        self._backoff = backoff
        self._work: workdir.WorkDir | None = None
        self._children: list[_Child] = []
        self._ending = False
        self._tasks = Tasks("local session", on_error=self._fail)

    @property
    def directory(self) -> Path:
        """Sockets and messages of this session are here."""
        if self._work is None:
            raise ValueError("not started")
        return self._work.path

    @property
    def address(self) -> str:
        """Where the collector listens."""
        return f"unix:{self.directory / 's'}"

    @property
    def tls(self) -> None:
        """The directory's mode says who may connect."""
        return

    @property
    def return_by(self) -> str:
        """A local session ends with its shell."""
        return ""

    def open_log(self, name: str) -> int:
        """Descriptor of a file for what programs say besides their rows.

        It has its name only where the user keeps the session's files; otherwise
        it vanishes with the last who has it open, however that one ends.
        """
        kept = self._options.directory
        path = (kept or self.directory) / name
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        if kept is None:
            path.unlink()
        return fd

    async def start(self) -> None:
        """Start both; SessionLost where that cannot be done."""
        try:
            base = workdir.base_directory()
            workdir.sweep(base)
            self._work = workdir.create(base)
            if self._options.directory is not None:
                self._options.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            collector = await self._spawn("collector")
            agent = await self._spawn("agent")
        except OSError as error:
            await self.stop()
            raise SessionLost(f"cannot start: {error}") from error
        self._tasks.start(self._guard_collector(collector), name="collector")
        self._tasks.start(self._guard_agent(agent), name="agent")

    async def ready(self, session: Session, *, alone: bool) -> None:
        """Wait for the agent where nobody sits there; a reader is told as things come."""
        if not alone:
            return
        session.begin()
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await session.monitor.applied()
        except TimeoutError:
            raise SessionLost(f"no agent was ready within {_READY_SECONDS:g} s") from None

    def trouble(self) -> str:
        """A socket on this host has none."""
        return ""

    async def ended(self) -> str:
        """Told by on_failure as soon as it is so."""
        return ""

    def lose(self) -> None:
        """What still runs is ended all the same."""

    def leave(self) -> None:
        """It cannot be left."""

    def expect_end(self) -> None:
        """From now on an end of a child is no failure."""
        self._ending = True

    def kill(self) -> None:
        """Leave the children no time."""
        self._send(signal.SIGKILL)

    async def stop(self, *, orderly: bool = False) -> None:
        """End both and remove the directory; orderly: they were asked to stop already."""
        self.expect_end()
        await self._tasks.close()
        if orderly:
            await self._wait(_ORDERLY_SECONDS, only="collector")
            await self._wait(_LEFT_ALONE_SECONDS)
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._send(number)
            await self._wait(_TERM_SECONDS)
        for child in self._children:
            os.close(child.messages)
        if self._work is not None:
            self._work.remove()

    def _send(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.process.returncode is None:
                with suppress(ProcessLookupError):
                    child.process.send_signal(number)

    async def _wait(self, seconds: float, *, only: str = "") -> None:
        waits = [
            child.process.wait()
            for child in self._children
            if child.process.returncode is None and only in ("", child.name)
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*waits)

    async def _spawn(self, name: str) -> _Child:
        if self._work is None:
            raise ValueError("not started")
        is_agent = name == "agent"
        program = self._programs.agent if is_agent else self._programs.collector
        options = self._options
        arguments = (options.agent_arguments if is_agent else options.collector_arguments)(
            self._work
        )
        messages = self.open_log(f"{name}.err")
        process = await asyncio.create_subprocess_exec(
            *program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            # Ctrl-C at the terminal is for the shell alone.
            start_new_session=True,
            pass_fds=() if is_agent else (self._work.lock_fd,),
        )
        child = _Child(name, process, messages)
        self._children.append(child)
        return child

    async def _guard_collector(self, child: _Child) -> None:
        if await child.process.wait() == _REFUSED and (said := child.last_line()):
            raise Refused(said)
        raise SessionLost(f"the collector ended ({child.how_it_ended()})")

    async def _guard_agent(self, child: _Child) -> None:
        node = escape(self._options.node)
        for attempt in range(_RESTARTS + 1):
            code = await child.process.wait()
            if self._ending:
                return
            if code == _CANNOT_WORK and attempt == 0:
                raise SessionLost(child.last_line() or "the agent cannot work on this host")
            if attempt == _RESTARTS:
                break
            self._notify(f"agent on {node} ended ({child.how_it_ended()}): started again")
            await asyncio.sleep(self._backoff * 2**attempt)
            child = await self._respawn(child)
        raise SessionLost(f"the agent on {node} keeps ending ({child.how_it_ended()})")

    async def _respawn(self, ended: _Child) -> _Child:
        self._children.remove(ended)
        os.close(ended.messages)
        try:
            return await self._spawn("agent")
        except OSError as error:
            raise SessionLost(f"cannot start the agent again: {error}") from error

    def _fail(self, error: BaseException) -> None:
        if not self._ending:
            self._on_failure(error)
