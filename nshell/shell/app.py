"""One run of `netobserv shell`: session up, front end, session down, exit status.

Whatever ends a run, the session is closed before this returns.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from nshell.shell import batch
from nshell.shell.client import Client
from nshell.shell.commands import build_registry
from nshell.shell.commands.session import totals
from nshell.shell.context import Context, Settings
from nshell.shell.errors import CommandError, Failure, Interrupted, Refused, SessionLost
from nshell.shell.exits import Exit
from nshell.shell.interrupts import Interrupts
from nshell.shell.live import Ending, Host, Session
from nshell.shell.monitor import Monitor
from nshell.shell.runner import Runner
from nshell.tasks import Tasks, first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nshell.proto import session_pb2 as pb


class MakeHost(Protocol):
    """How the session of a run is made."""

    def __call__(
        self, *, notify: Callable[[str], None], on_failure: Callable[[BaseException], None]
    ) -> Host:
        """It has not been started; these are told what happens to it."""


@dataclass(frozen=True, slots=True)
class ShellOptions:
    """What the command line asks for."""

    host: MakeHost
    scripts: tuple[batch.Script, ...] = ()
    """Empty: a reader types the commands."""
    settings: Settings = field(default_factory=Settings)
    """To begin with; `set` changes them."""
    startup: tuple[str, ...] = ()
    """Commands to run first, where a reader sits."""
    fail_on_loss: int | None = None
    """More than this lost in the whole session is a failure."""
    prompt: bool = True
    """With a reader: on a terminal that can draw one."""
    front: Callable[[], Front] | None = None
    """Another side than these, which waits for nobody."""


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
        runner = Runner(session.context, self.output)
        words = session.context.registry.first_words()
        work = batch.run_scripts(runner, self._options.scripts, words=words)
        await first_of(work, name="scripts", unless=[session.ending.future])


async def run_shell(options: ShellOptions) -> Exit:
    """The whole of it."""
    batch.use_plain_streams()
    ending = Ending()
    interrupts = Interrupts()
    with _signals(ending, interrupts) as signals:
        front = _front(options)  # it may say already what Ctrl-C does
        async with Tasks("shell", on_error=ending.fail) as tasks:
            host = options.host(notify=front.notify, on_failure=ending.fail)
            signals.hurry = host.kill
            session = _session(
                options, front, host, ending=ending, tasks=tasks, interrupts=interrupts
            )
            alone = bool(options.scripts) or options.front is not None
            code, reply = await _run_and_close(session, front, signals, alone=alone)
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
    if options.front is not None:
        return options.front()
    if options.scripts:
        return BatchFront(options)
    if not options.prompt:
        from nshell.shell.plain import PlainFront  # noqa: PLC0415 - seldom needed

        return PlainFront(options.startup)
    from nshell.shell.prompt.front import PromptFront  # noqa: PLC0415 - scripts do without

    return PromptFront(options.settings, options.startup)


def _session(
    options: ShellOptions,
    front: Front,
    host: Host,
    *,
    ending: Ending,
    tasks: Tasks,
    interrupts: Interrupts,
) -> Session:
    client = Client(patient=bool(host.return_by))
    monitor = Monitor(client, notify=front.notify, host=host)
    context = Context(
        client=client,
        monitor=monitor,
        registry=build_registry(),
        interactive=not options.scripts,
        settings=options.settings,
        interrupts=interrupts,
        narrate=front.narrate,
        notify=front.notify,
        tasks=tasks,
        history=getattr(front, "history", tuple),
        host=host,
    )
    return Session(host, client, monitor, context, ending, tasks)


async def _run_and_close(
    session: Session, front: Front, signals: _Signals, *, alone: bool
) -> tuple[Exit, pb.StopReply | None]:
    code, reply = Exit.NO_AGENT, None
    try:
        code = await _run(session, front, alone=alone)
    finally:
        signals.closing()
        reply = await _close(session, lost_already=code in (Exit.NO_AGENT, Exit.USAGE))
    return code, reply


async def _run(session: Session, front: Front, *, alone: bool) -> Exit:
    try:
        await session.host.start()
        ready = session.host.ready(session, alone=alone)
        await first_of(ready, name="ready", unless=[session.ending.future])
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
    session.host.expect_end()
    session.monitor.quiet = True
    reply = None
    if session.client.detached is not None:
        session.host.leave()
    elif session.client.connected and not lost_already:
        try:
            reply = await session.client.stop()
        except (CommandError, SessionLost) as error:
            batch.complain(f"the session did not end in order: {error}")
    await session.tasks.close()
    await session.client.close()
    await session.host.stop(orderly=reply is not None)
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


class _Signals:
    """SIGINT, SIGTERM and SIGHUP end the run in order; one more hurries.

    A command may take a SIGINT for itself.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, ending: Ending, interrupts: Interrupts) -> None:
        self._ending = ending
        self._interrupts = interrupts
        self._closing = False
        self.hurry: Callable[[], None] = lambda: None
        """Leave what is under way no time."""

    def listen(self) -> None:
        """From now on; a front end may take SIGINT away meanwhile."""
        loop = asyncio.get_running_loop()
        for number in self.NUMBERS:
            loop.add_signal_handler(number, self._on_signal, number)

    def closing(self) -> None:
        """The end has begun: no command takes a SIGINT any more, no front end keeps it away."""
        self._closing = True
        self.listen()

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGINT and not self._closing and self._interrupts.offer():
            return
        if self._ending.future.done():
            self.hurry()
        self._ending.fail(Interrupted(signal.Signals(number).name))


@contextmanager
def _signals(ending: Ending, interrupts: Interrupts) -> Iterator[_Signals]:
    signals = _Signals(ending, interrupts)
    signals.listen()
    try:
        yield signals
    finally:
        loop = asyncio.get_running_loop()
        for number in signals.NUMBERS:
            loop.remove_signal_handler(number)
