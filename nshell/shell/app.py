"""One run of `netobserv shell`: session up, front end, session down, exit status.

Whatever ends a run, the session is closed before this returns.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nshell.local import LocalOptions, LocalSession, Programs
from nshell.shell import batch
from nshell.shell.client import Client
from nshell.shell.commands import build_registry
from nshell.shell.commands.session import totals
from nshell.shell.context import Context, Settings
from nshell.shell.errors import CommandError, Failure, Interrupted, Refused, SessionLost
from nshell.shell.exits import Exit
from nshell.shell.interrupts import Interrupts
from nshell.shell.live import Ending, Session, connect
from nshell.shell.monitor import Monitor
from nshell.shell.runner import Runner
from nshell.tasks import Tasks, first_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.proto import session_pb2 as pb

_READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ShellOptions:
    """What the command line asks for."""

    local: LocalOptions
    scripts: tuple[batch.Script, ...] = ()
    """Empty: a reader types the commands."""
    format: str = "table"
    fail_on_loss: int | None = None
    """More than this lost in the whole session is a failure."""
    color: bool = True
    prompt: bool = True
    """With a reader: on a terminal that can draw one."""


class BatchFront:
    """Scripts, with nobody there."""

    def __init__(self, options: ShellOptions) -> None:
        self._options = options
        self.output = batch.BatchOutput()

    def notify(self, text: str) -> None:
        batch.complain(text)

    def narrate(self, text: str) -> None:
        self.output.narrate(text)

    async def run(self, session: Session) -> None:
        session.tasks.start(connect(session), name="connect")
        await first_of(_ready(session), name="ready", unless=[session.ending.future])
        runner = Runner(session.context, self.output)
        words = session.context.registry.first_words()
        work = batch.run_scripts(runner, self._options.scripts, words=words)
        await first_of(work, name="scripts", unless=[session.ending.future])


async def _ready(session: Session) -> None:
    try:
        async with asyncio.timeout(_READY_SECONDS):
            await session.monitor.applied()
    except TimeoutError:
        raise SessionLost(f"no agent was ready within {_READY_SECONDS:g} s") from None


async def run_shell(options: ShellOptions, *, programs: Programs | None = None) -> Exit:
    """The whole of it."""
    batch.use_plain_streams()
    ending = Ending()
    front = _front(options)
    interrupts = Interrupts()
    with _signals(ending, interrupts) as hurry:
        async with Tasks("shell", on_error=ending.fail) as tasks:
            local = LocalSession(
                options.local, notify=front.notify, on_failure=ending.fail, programs=programs
            )
            hurry.append(local)
            session = _session(
                options, front, local, ending=ending, tasks=tasks, interrupts=interrupts
            )
            code, reply = await _run_and_close(session, front)
    code = _judge(options, code, reply)
    if isinstance(front, BatchFront) and code is Exit.INTERRUPTED and front.output.stuck:
        os._exit(code)  # a thread still waits for a reader of stdout
    return code


class Front(Protocol):
    """The side that faces the user."""

    def notify(self, text: str) -> None:
        """Something happened in the background."""

    def narrate(self, text: str) -> None:
        """What goes on, one line."""

    async def run(self, session: Session) -> None:
        """Until there is nothing more to do."""


def _front(options: ShellOptions) -> Front:
    if options.scripts:
        return BatchFront(options)
    if not options.prompt:
        from nshell.shell.plain import PlainFront  # noqa: PLC0415 - seldom needed

        return PlainFront()
    from nshell.shell.prompt import PromptFront  # noqa: PLC0415 - scripts do without

    return PromptFront(color=options.color)


def _session(
    options: ShellOptions,
    front: Front,
    local: LocalSession,
    *,
    ending: Ending,
    tasks: Tasks,
    interrupts: Interrupts,
) -> Session:
    client = Client()
    monitor = Monitor(client, notify=front.notify)
    context = Context(
        client=client,
        monitor=monitor,
        registry=build_registry(),
        interactive=not options.scripts,
        settings=Settings(format=options.format),
        interrupts=interrupts,
        narrate=front.narrate,
        history=getattr(front, "history", tuple),
    )
    return Session(local, client, monitor, context, ending, tasks)


async def _run_and_close(session: Session, front: Front) -> tuple[Exit, pb.StopReply | None]:
    code, reply = Exit.NO_AGENT, None
    try:
        code = await _run(session, front)
    finally:
        reply = await _close(session, lost_already=code in (Exit.NO_AGENT, Exit.USAGE))
    return code, reply


async def _run(session: Session, front: Front) -> Exit:
    try:
        await session.local.start()
        await front.run(session)
    except Failure as failure:
        batch.complain(batch.failure_line(failure))
        return Exit.FAILED
    except SessionLost as error:
        why = await _why(session, error)
        batch.complain(str(why))
        return Exit.USAGE if isinstance(why, Refused) else Exit.NO_AGENT
    except Interrupted:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        batch.silence_stdout()
    return Exit.OK


async def _why(session: Session, error: SessionLost) -> SessionLost:
    """The launcher knows better than a broken call why the collector is gone."""
    future = session.ending.future
    await asyncio.wait({future}, timeout=1.0)
    known = future.exception() if future.done() else None
    return known if isinstance(known, SessionLost) else error


async def _close(session: Session, *, lost_already: bool) -> pb.StopReply | None:
    """Stop the capture, end the children; the totals, if there were any."""
    session.local.expect_end()
    session.monitor.quiet = True
    reply = None
    if session.client.connected and not lost_already:
        try:
            reply = await session.client.stop()
        except (CommandError, SessionLost) as error:
            batch.complain(f"the session did not end in order: {error}")
    await session.tasks.close()
    await session.client.close()
    await session.local.stop(orderly=reply is not None)
    return reply


def _judge(options: ShellOptions, code: Exit, reply: pb.StopReply | None) -> Exit:
    if reply is None:
        return code
    batch.say(
        totals(flow_rows=reply.flow_rows, packet_rows=reply.packet_rows, lost=reply.lost).text
    )
    limit = options.fail_on_loss
    if code is Exit.OK and limit is not None and reply.lost > limit:
        batch.complain(f"lost {reply.lost:,}, more than --fail-on-loss {limit}")
        return Exit.LOSS
    return code


@contextmanager
def _signals(ending: Ending, interrupts: Interrupts) -> Iterator[list[LocalSession]]:
    """SIGINT, SIGTERM and SIGHUP end the run in order; a second one kills its children.

    A command may take a SIGINT for itself.
    """
    loop = asyncio.get_running_loop()
    hurry: list[LocalSession] = []

    def on_signal(number: int) -> None:
        if number == signal.SIGINT and interrupts.offer():
            return
        if ending.future.done():
            for session in hurry:
                session.kill()
        ending.fail(Interrupted(signal.Signals(number).name))

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield hurry
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
