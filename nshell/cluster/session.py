"""A session on a cluster, as the shell sees it: brought up or found, reached, ended.

Invariant: a session that this shell made is either at work, left on purpose, or
removed; one that it only came to is not touched unless it was reached.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from nshell.cluster import deploy
from nshell.cluster.api import WRONG, Api, ApiError
from nshell.cluster.deploy import Deployer
from nshell.cluster.display import Display
from nshell.cluster.manifests import COLLECTOR_PORT, Deployment
from nshell.cluster.portforward import PortForward
from nshell.cluster.progress import Progress
from nshell.cluster.removal import Removal
from nshell.cluster.tracker import Tracker
from nshell.cluster.websocket import PortStream, open_port
from nshell.shell import batch, workdir
from nshell.shell.errors import Refused, SessionLost
from nshell.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nshell.cluster.deploy import Request
    from nshell.cluster.progress import Changes
    from nshell.shell.live import Session
    from nshell.shell.monitor import Monitor
    from nshell.tls import Credentials

T = TypeVar("T")

_LOOK_SECONDS = 0.3
_LOOK_AFTERWARDS_SECONDS = 2.0
_ALONE_SECONDS = 120.0
"""For every agent to come, with nobody there to see who is late."""
_PROMPT_SECONDS = 20.0
"""Then the prompt comes where some agent is at work, and the others are told of."""
_NOTHING_SECONDS = 300.0
"""For the collector and a first agent."""
_FORBIDDEN = 403
_DOCTOR = "`netobserv doctor` says what is needed"
_LOCAL = "with --local it captures on this host alone"


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What the command line says of a session on a cluster."""

    namespace: str
    """Of agents and collector."""
    kubeconfig: str | None = None
    context: str | None = None
    request: Request | None = None
    """A session to make; None: there is one, to come back to."""
    session: str | None = None
    """Its name; None: the only one."""


class ClusterSession:
    """From start() to stop()."""

    def __init__(
        self,
        options: ClusterOptions,
        *,
        notify: Callable[[str], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._options = options
        self._notify = notify
        self._api: Api | None = None
        self._deployer: Deployer | None = None
        self._deployment: Deployment | None = None
        self._tracker: Tracker | None = None
        self._forward: PortForward | None = None
        self._work: workdir.WorkDir | None = None
        self._tasks = Tasks("cluster session", on_error=on_failure)
        self._waiting: set[asyncio.Future[Any]] = set()
        """Calls to the API server that are under way."""
        self._hurry = threading.Event()
        self._reached = self._left = self._lost = False

    @property
    def address(self) -> str:
        """Our end of the port-forward."""
        return f"unix:{self._directory / 's'}"

    @property
    def tls(self) -> Path | None:
        return self._directory / "tls"

    @property
    def _directory(self) -> Path:
        if self._work is None:
            raise ValueError("not started")
        return self._work.path

    @property
    def return_by(self) -> str:
        """The command that leads back, with what this one was told of the cluster."""
        given = {"--kubeconfig": self._options.kubeconfig, "--context": self._options.context}
        words = ["netobserv attach", self._name or "NAME"]
        words += [f"{option} {value}" for option, value in given.items() if value]
        return " ".join(words) + deploy.elsewhere(self._options.namespace)

    @property
    def _name(self) -> str:
        return self._deployment.session if self._deployment else self._options.session or ""

    async def start(self) -> None:
        """A directory of our own."""
        try:
            base = workdir.base_directory()
            workdir.sweep(base)
            self._work = workdir.create(base)
        except OSError as error:
            raise SessionLost(f"cannot start: {error}") from error

    def open_log(self, name: str) -> int:
        """Descriptor of a file without a name: it vanishes with the last who has it open."""
        path = self._directory / name
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        path.unlink()
        return fd

    async def ready(self, session: Session, *, alone: bool) -> None:
        """Bring it up, or find it, and show how far it is until commands may be given."""
        display = Display()
        try:
            await self._reach(display)
            session.begin()
            await self._come_up(session.monitor, display, alone=alone)
        except ApiError as error:
            raise _as_lost(error, new=self._options.request is not None) from error
        finally:
            display.clear()
        self._reached = True
        self._summary(display)
        if self._tracker is not None and not self._tracker.progress.complete:
            self._tasks.start(self._follow(session.monitor, display.changes), name="late agents")

    def trouble(self) -> str:
        """What the port-forward says."""
        return self._forward.problem if self._forward is not None else ""

    async def ended(self) -> str:
        """Whether the session has been taken off the cluster."""
        if self._api is None or self._deployment is None:
            return ""
        path = f"{deploy.ROLES}/{self._deployment.owner}"
        try:
            there = await self._call(lambda api: deploy.found(api, path))
        except ApiError:
            return ""
        if there is not None:
            return ""
        self._lost = True
        return f"session {self._name} has ended: it was removed from the cluster"

    def expect_end(self) -> None:
        """Nothing runs here that could fail."""

    def leave(self) -> None:
        self._left = True

    def kill(self) -> None:
        """Ask for the removal, and do not wait for it; a call that hangs, hangs up."""
        self._hurry.set()
        if self._forward is not None:
            self._forward.hang_up()

    async def stop(self, *, orderly: bool) -> None:
        """Disconnect, and take the session off the cluster unless it is to stay there."""
        await self._tasks.close()
        if self._deployer is not None:
            self._deployer.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        if self._forward is not None:
            await asyncio.to_thread(self._forward.close)
        if self._api is not None:
            if self._is_to_go() and self._deployment is not None:
                removal = Removal(self._api, self._deployment, hurry=self._hurry, say=batch.say)
                line = await asyncio.to_thread(removal.run, orderly=orderly)
                if line:
                    batch.complain(line)
            self._api.close()
        if self._work is not None:
            self._work.remove()

    def _is_to_go(self) -> bool:
        if self._left or self._lost:
            return False
        return self._reached or bool(self._deployer and self._deployer.made)

    def lose(self) -> None:
        """The connection is given up: the session may still be there, and is to stay."""
        self._lost = True

    async def _reach(self, display: Display) -> None:
        options = self._options
        display.say("connecting to the cluster", lasting=False)
        self._api = await self._thread(lambda: Api.connect(options.kubeconfig, options.context))
        if options.request is not None:
            made, credentials = await self._deploy(self._api, options.request, display)
        else:
            made, credentials = await self._thread(self._found)
        self._deployment = made
        credentials.write(self._directory / "tls")
        self._tracker = Tracker(self._api, made, Progress(clock=time.monotonic))

    def _found(self) -> tuple[Deployment, Credentials]:
        """The session to come back to; of its objects only the names matter here."""
        options, api = self._options, self._connected()
        name = deploy.chosen(api, options.namespace, options.session)
        there = Deployment(image="none", session=name, namespace=options.namespace)
        return there, deploy.credentials(api, options.namespace, name)

    async def _deploy(
        self, api: Api, request: Request, display: Display
    ) -> tuple[Deployment, Credentials]:
        loop = asyncio.get_running_loop()

        def say(text: str) -> None:
            loop.call_soon_threadsafe(display.say, text)

        self._deployment = request.deployment
        self._deployer = deployer = Deployer(api, say=say)
        return await self._thread(lambda: deployer.deploy(request))

    async def _come_up(self, monitor: Monitor, display: Display, *, alone: bool) -> None:
        """Return when every agent is at work, or no more of them can be waited for."""
        tracker = self._tracker
        if tracker is None:
            raise ValueError("not reached")
        progress, began = tracker.progress, time.monotonic()
        while not progress.complete:
            await self._look(tracker, monitor)
            display.show(progress)
            waited = time.monotonic() - began
            if progress.collector_failed and not monitor.status:
                raise SessionLost(f"the collector does not start: {progress.collector}")
            if progress.final or waited > _NOTHING_SECONDS:
                break
            if progress.attached and waited > (_ALONE_SECONDS if alone else _PROMPT_SECONDS):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if not progress.attached:
            raise SessionLost(_no_agent(progress))

    async def _look(self, tracker: Tracker, monitor: Monitor) -> None:
        try:
            await self._call(lambda _: tracker.look(_linked(monitor)))
        except ApiError as error:
            if error.status:
                raise
            # Away for a moment; the deadlines run on.
        if tracker.collector_pod and self._forward is None:
            self._forward = PortForward(self._directory / "s", self._open)

    def _open(self) -> PortStream:
        """A stream to the collector of now; in a thread of the port-forward."""
        api, deployment = self._connected(), self._deployment
        if deployment is None:
            raise ValueError("not reached")
        pod = deploy.collector_pod(api, deployment)
        return open_port(api, deployment.namespace, pod, COLLECTOR_PORT)

    async def _follow(self, monitor: Monitor, changes: Changes) -> None:
        """Tell of agents that were late."""
        tracker = self._tracker
        while tracker is not None and not tracker.progress.complete:
            await asyncio.sleep(_LOOK_AFTERWARDS_SECONDS)
            with suppress(ApiError):
                await self._look(tracker, monitor)
                for line in changes.of(tracker.progress):
                    self._notify(line)

    def _summary(self, display: Display) -> None:
        if self._tracker is None:
            return
        progress = self._tracker.progress
        of = f" of {progress.expected}" if progress.expected else ""
        batch.say(
            f"session {self._name} in namespace {self._options.namespace}:"
            f" {progress.attached}{of} {_agents(progress.expected)} applied"
            f" in {display.elapsed:.1f} s"
        )
        if missing := progress.missing():
            batch.complain(f"not captured: {', '.join(missing)}")

    async def _call(self, work: Callable[[Api], T]) -> T:
        api = self._connected()
        return await self._thread(lambda: work(api))

    def _connected(self) -> Api:
        if self._api is None:
            raise ValueError("not connected")
        return self._api

    async def _thread(self, work: Callable[[], T]) -> T:
        """In a thread; it is waited for even where its caller is not there any more."""
        running = asyncio.get_running_loop().run_in_executor(None, work)
        self._waiting.add(running)
        running.add_done_callback(self._waiting.discard)
        return await asyncio.shield(running)


def _linked(monitor: Monitor) -> dict[str, str]:
    """Nodes whose agents are connected and have applied what they are to do, or cannot."""
    status = monitor.status
    if status is None:
        return {}
    return {
        agent.node: agent.error
        for agent in status.agents
        if agent.connected and (agent.error or agent.generation == status.generation)
    }


def _agents(count: int | None) -> str:
    return "agent" if count == 1 else "agents"


def _no_agent(progress: Progress) -> str:
    if progress.expected == 0:
        return "no node takes an agent"
    if progress.collector.word != "running":
        return f"the collector does not start: {progress.collector}"
    return f"no agent is at work: {', '.join(progress.missing()) or 'none was made'}"


def _as_lost(error: ApiError, *, new: bool) -> SessionLost:
    if error.reason == WRONG:
        return Refused(str(error))
    if not error.status and new:
        return SessionLost(f"{error}; {_LOCAL}")
    return SessionLost(f"{error}; {_DOCTOR}" if error.status == _FORBIDDEN else str(error))
