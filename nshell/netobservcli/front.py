"""What `flows` and `packets` show while they capture, and what they leave.

A view on a terminal, else a line on stderr from time to time; however the capture
ends, its files are written then, unless somebody is in a hurry.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nshell.lifetime import duration_text, size_text
from nshell.netobservcli.files import Place, write
from nshell.netobservcli.values import LEVELS
from nshell.shell import batch
from nshell.shell.errors import CommandError, Failure, Interrupted, SessionLost
from nshell.shell.errors import why as reason
from nshell.shell.units import clock, human_bytes, human_elapsed, plural
from nshell.tasks import Tasks, first_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nshell.proto import session_pb2 as pb
    from nshell.shell.context import Settings
    from nshell.shell.live import Session
    from nshell.shell.takeover import Takeover

REPORT_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_LEAVING = "q ends the capture"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for."""

    what: str
    """flows or packets."""
    place: Place
    settings: Settings
    max_seconds: float
    max_bytes: int
    rules: tuple[str, ...] = ()
    """As the filter language has them."""
    features: tuple[str, ...] = ()
    only_drops: bool = False
    draw: bool = False
    """Show the view: somebody sits at a terminal."""
    detach: bool = False
    """Leave the session on the cluster once it captures."""
    copy: str = "true"
    """true, false, or prompt: ask at the end."""
    level: str = "info"


@dataclass(slots=True)
class CaptureFront:
    """Follows one plan."""

    plan: Plan
    _view: Takeover | None = field(default=None, init=False)
    _began: float = field(default=0.0, init=False)
    """When it captured, by the monotonic clock: coming up takes none of --max-time."""

    def __post_init__(self) -> None:
        for line in beginning(self.plan):
            self.narrate(line)

    def notify(self, text: str) -> None:
        if self._view is not None:
            self._view.notify(text)
        else:
            batch.complain(text)

    def narrate(self, text: str) -> None:
        if LEVELS.index(self.plan.level) <= LEVELS.index("info"):
            batch.say(text)

    async def run(self, session: Session) -> None:
        """Until the files are written."""
        if self.plan.detach:
            await self._leave(session)
            return
        self._began = time.monotonic()
        if not self.plan.draw:
            self.narrate("capturing: Ctrl-C ends it and writes the files")
        why = await self._capture(session)
        if self.plan.draw or not _has_ended(session):
            # Of a limit the session has told already, where that could be seen.
            self.narrate(f"capture ended: {why}")
        if await self._wanted(session):
            await self._write(session)

    async def _leave(self, session: Session) -> None:
        reply = await session.client.detach()
        back = session.host.return_by
        until = f" until {clock(reply.ends_ns / 1e9)} at the latest" if reply.ends_ns else ""
        self.narrate(f"capturing in the background{until}")
        self.narrate(f"  look at it         {back}")
        self.narrate(f"  fetch the files    {_fetching(back)}")
        self.narrate(f"  end it             {back.replace('attach ', 'stop ', 1)}")

    async def _capture(self, session: Session) -> str:
        """Return why it ends."""
        over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def end(why: str) -> None:
            if not over.done():
                over.set_result(why)

        def fail(error: BaseException) -> None:
            if not over.done():
                over.set_exception(error)

        with session.context.interrupts.first_one() as pressed:
            async with Tasks("capture", on_error=fail) as tasks:
                show = self._draw(session, end) if self.plan.draw else self._report(session)
                tasks.start(show, name="show")
                tasks.start(self._limit(session, end), name="limit")
                tasks.start(_interrupted(pressed, end), name="interrupt")
                try:
                    return await first_of(_of(over), name="over", unless=[session.ending.future])
                except Interrupted as error:
                    return f"{error}"

    async def _draw(self, session: Session, end: Callable[[str], None]) -> None:
        from nshell.shell.prompt.look import look  # noqa: PLC0415 - scripts do without
        from nshell.shell.stderr import stderr_aside  # noqa: PLC0415
        from nshell.shell.view import view  # noqa: PLC0415

        plan, settings = self.plan, self.plan.settings
        what = "drops" if plan.only_drops else plan.what
        self._view = shown = view(
            what,
            session.context,
            # What else the kernel discards is no loss, and in no file.
            keywords=["Loss=1"] if plan.only_drops else (),
            leaving=_LEAVING,
            note=lambda: progress(session.monitor.status, plan, self._elapsed),
        )
        try:
            with stderr_aside(session.host.open_log("view.err")):
                await shown.draw(look(theme=settings.theme, color=settings.color != "never"))
        finally:
            self._view = None
        end({"c-c": "Ctrl-C"}.get(shown.ended_by, shown.ended_by) or "the view was left")

    async def _report(self, session: Session) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            if session.monitor.status is not None:
                self.narrate(counted(session.monitor.status, self.plan, self._elapsed))

    async def _limit(self, session: Session, end: Callable[[str], None]) -> None:
        while True:
            status = session.monitor.status
            if status is not None and status.ended:
                end(status.ended)
            if self._elapsed >= self.plan.max_seconds:
                end(f"max-time of {duration_text(self.plan.max_seconds)} reached")
            await asyncio.sleep(_LOOK_SECONDS)

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    async def _wanted(self, session: Session) -> bool:
        """Whether files are to be written."""
        if self.plan.copy != "prompt" or not self.plan.draw:
            return self.plan.copy != "false"
        await _settle(session)  # it takes its time to answer
        return await _yes(f"Write the files to ./{self.plan.place.root}?")

    async def _write(self, session: Session) -> None:
        paths = self.plan.place.paths()
        while True:
            # Asked to end by a signal: it does not interrupt what it asked for.
            unless = [] if session.ending.future.done() else [session.ending.future]
            try:
                await first_of(self._written(session, paths), name="files", unless=unless)
            except Interrupted:
                batch.complain("interrupted: what was not written yet is gone")
                raise
            except CommandError as error:
                if not await self._again(session, error):
                    raise Failure(self.plan.what, str(error)) from error
            else:
                return

    async def _again(self, session: Session, error: CommandError) -> bool:
        """Whether to try once more what could not be written: to make room may help."""
        if session.host.return_by:
            await self._keep(session)
            return False
        if not self.plan.draw:
            return False
        batch.complain(str(error))
        return await _yes("Try again? What was captured is gone otherwise.", at_end=False)

    async def _keep(self, session: Session) -> None:
        """On a cluster what could not be written here need not be lost."""
        with suppress(CommandError, SessionLost):
            await session.client.detach()
            fetching = _fetching(session.host.return_by)
            batch.complain(f"the session keeps what it has: `{fetching}` fetches it")

    async def _written(self, session: Session, paths: dict[str, Path]) -> None:
        """Those of `paths`, which loses what has been written."""
        await _settle(session)
        plan = self.plan
        files = write(session.client, plan.place, paths=paths, only_drops=plan.only_drops)
        untold: OSError | None = None
        async with aclosing(files):
            async for path, holds in files:
                del paths[path.suffix.removeprefix(".")]
                line = f"./{path}: {holds}"
                try:
                    await asyncio.to_thread(print_line, line)
                except OSError as error:
                    untold = error  # Ctrl-C ends what reads our pipe too
                    batch.say(line)
        if untold is not None:
            batch.silence_stdout()
            if not isinstance(untold, BrokenPipeError):
                raise Failure(self.plan.what, f"cannot write standard output: {reason(untold)}")


async def _yes(question: str, *, at_end: bool = True) -> bool:
    """What somebody at a terminal answers; at the end of input that one."""
    from prompt_toolkit import PromptSession  # noqa: PLC0415 - scripts do without

    session: PromptSession[str] = PromptSession()
    try:
        answer = await session.prompt_async(f"{question} [Y/n] ", handle_sigint=False)
    except KeyboardInterrupt:
        raise Interrupted("Ctrl-C") from None
    except EOFError:
        return at_end
    return not answer.strip().lower().startswith("n")


def _fetching(back: str) -> str:
    return back.replace("attach ", "copy --session ", 1)


def print_line(text: str) -> None:
    """On stdout."""
    print(text, flush=True)  # noqa: T201 - this is what it is for


async def _settle(session: Session) -> None:
    """What was on its way when the capture ended is in the store when this returns."""
    try:
        await session.client.set_paused(on=True)
    except CommandError as error:
        batch.complain(f"the last second may be missing: {error}")


def _has_ended(session: Session) -> bool:
    """By itself, at a limit."""
    return session.monitor.status is not None and bool(session.monitor.status.ended)


async def _interrupted(pressed: asyncio.Event, end: Callable[[str], None]) -> None:
    await pressed.wait()
    end("Ctrl-C")


async def _of(over: asyncio.Future[str]) -> str:
    return await over


def beginning(plan: Plan) -> list[str]:
    """What is captured, in lines."""
    also = f" with {', '.join(plan.features)}" if plan.features else ""
    limits = f"{duration_text(plan.max_seconds)} or {size_text(plan.max_bytes)} at most"
    lines = [f"starting to capture {plan.what}{also}, {limits}"]
    lines += [f"  filter {number}: {rule}" for number, rule in enumerate(plan.rules, 1)]
    if plan.what == "packets" and not plan.rules:
        lines.append("  every packet: a filter keeps what is not wanted in the kernel,"
                     " for instance tcp,80")  # fmt: skip
    return lines


def progress(status: pb.Status | None, plan: Plan, elapsed: float) -> str:
    """ "00:00:12 of 5m, 1.2 MB stored"."""
    if status is None:
        return ""
    stored = human_bytes(status.store_bytes)
    return f"{human_elapsed(elapsed)} of {duration_text(plan.max_seconds)}, {stored} stored"


def counted(status: pb.Status, plan: Plan, elapsed: float) -> str:
    """The same with what there is so far."""
    rows, noun = (
        (status.flow_rows, "flow row") if plan.what == "flows" else (status.packet_rows, "packet")
    )
    events = f", {plural(status.event_rows, 'event')}" if status.event_rows else ""
    lost = f", lost {status.lost:,}" if status.lost else ", no loss"
    return f"{progress(status, plan, elapsed)}: {plural(rows, noun)}{events}{lost}"
