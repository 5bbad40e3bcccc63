"""The collector's process: server, signals, files, and an end that leaves nothing.

Invariant: files that are not the session's own are never touched.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio

from agent.proto.agentlink_pb2_grpc import add_AgentLinkServicer_to_server
from nshell.collector.agents import AgentLink
from nshell.collector.capture import Capture
from nshell.collector.endings import Signals, held, until_the_end
from nshell.collector.fleet import Fleet
from nshell.collector.kube.follow import following, known
from nshell.collector.kube.inventory import Inventory
from nshell.collector.kube.owner import OwnerRole
from nshell.collector.kube.watches import watching
from nshell.collector.lease import Lease
from nshell.collector.lifetime import NS, Lifetime
from nshell.collector.memory import Memory, write_end
from nshell.collector.options import Options, StartError
from nshell.collector.query.functions import Functions
from nshell.collector.recovery import known_agents, resume_session
from nshell.collector.roles import RoleGuard
from nshell.collector.service import SessionService
from nshell.collector.statefile import STATE_NAME, StateFile
from nshell.collector.status import StatusBoard
from nshell.collector.storage.database import DATABASE_NAME
from nshell.collector.storage.resume import remove_store
from nshell.collector.storage.store import DEFAULT_QUEUE_BYTES, Store
from nshell.proto.session_pb2_grpc import add_SessionServicer_to_server
from nshell.tasks import Tasks
from nshell.tls import expires_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from nshell.collector.session import Session
    from nshell.collector.statefile import SavedState
    from nshell.tls import Credentials

_LOG = logging.getLogger(__name__)
FAILED_STATUS = 1
_MESSAGE_BYTES = 64 << 20
_SERVER_OPTIONS = (
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    # A peer that vanished without a word is noticed within these.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.so_reuseport", 0),
)
_READERS = 8
"""Queries and exports that run at one time."""
_CLOSE_SECONDS = 2.0
_TAKEN_AWAY_SECONDS = 60.0
"""For a pod whose session is deleted: it would be started again otherwise."""
LOG_NAME = "collector.log"


class HandedOver(Exception):  # noqa: N818  says what it is
    """A signal ended the process; the session goes on in the next one."""


async def finish(owner: str, reason: str) -> int:
    """See to the end of a session that an earlier process had ended."""
    _LOG.info("the session is over: %s", reason)
    if owner:
        signals = Signals()
        await OwnerRole(owner).delete()
        await signals.wait(timeout=_TAKEN_AWAY_SECONDS)
    return 0


async def serve(options: Options, session: Session) -> int:
    """Run a capture to its end; the exit status."""
    signals = Signals()
    owner = OwnerRole(options.owner) if options.owner else None
    async with (
        opened(options, session) as capture,
        served(capture, options.listen, tls=options.tls),
    ):
        ending = await until_the_end(capture, signals, hands_over=options.resume)
        if options.resume and not ending.handed_over:
            write_end(options.directory, capture, ending.reason)
        if owner is not None and not ending.handed_over and await owner.try_delete():
            owner = None
    if ending.handed_over:
        raise HandedOver
    if owner is not None:
        await owner.delete()
    if options.owner:
        await signals.wait(timeout=_TAKEN_AWAY_SECONDS)
    return FAILED_STATUS if capture.store.ended.exception() else 0


@asynccontextmanager
async def opened(
    options: Options, session: Session, *, queue_bytes: int = DEFAULT_QUEUE_BYTES
) -> AsyncIterator[Capture]:
    """A capture whose store is open; closed with everything committed."""
    saved = StateFile(options.directory).read() if options.resume else None
    try:
        store = Store(
            options.directory,
            limit_bytes=options.store_limit_bytes,
            queue_bytes=queue_bytes,
            resume=options.resume,
        )
    except OSError as error:
        raise StartError(f"{options.directory}: {error.strerror or error}") from error
    _resume(session, saved, store)
    lifetime = _lifetime(options, saved, store)
    fleet = Fleet(session, store, known_agents(saved, store.remains) if store.remains else None)
    inventory = Inventory(tell=store.owners) if options.kubernetes else None
    if inventory is not None:
        # Rows that come before anybody is known are named later.
        store.owners(())
    board = StatusBoard(options.name, fleet, store, options.store_limit_bytes, lifetime, inventory)
    if options.resume:
        Memory(options.directory, session, fleet, store, lifetime)
    try:
        async with (
            Tasks("collector", on_error=_log_task_error) as tasks,
            AsyncExitStack() as stack,
        ):
            if inventory is not None:
                stack.enter_context(following(session, fleet, inventory))
                await stack.enter_async_context(watching(inventory))
                await known(inventory, session)
            yield Capture(session, store, fleet, board, lifetime, tasks, inventory)
    finally:
        await store.close()


@asynccontextmanager
async def served(
    capture: Capture, listen: str, *, tls: Credentials | None = None
) -> AsyncIterator[None]:
    """Agents and shells may connect; StartError if there is no listening."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="reader") as executor:
        server = _server(capture, executor, interceptors=[RoleGuard()] if tls else [])
        _bind(server, listen, tls)
        await server.start()
        _LOG.info("serving %s on %s", capture.board.name, listen)
        try:
            yield
        finally:
            await server.stop(_CLOSE_SECONDS)
            _remove_socket(listen)


def _server(
    capture: Capture,
    executor: ThreadPoolExecutor,
    *,
    interceptors: Sequence[grpc.aio.ServerInterceptor],
) -> grpc.aio.Server:
    server = grpc.aio.server(options=_SERVER_OPTIONS, interceptors=interceptors)
    links = AgentLink(capture.fleet, capture.store, tasks=capture.tasks)
    add_AgentLinkServicer_to_server(links, server)
    sessions = SessionService(capture, executor=executor, functions=_functions(capture))
    add_SessionServicer_to_server(sessions, server)
    return server


def _functions(capture: Capture) -> Functions:
    functions = Functions(filters=capture.session.filter_name)
    if capture.inventory is None:
        return functions
    return replace(functions, owners=capture.inventory.names.get)


def _bind(server: grpc.aio.Server, listen: str, tls: Credentials | None) -> None:
    try:
        if tls is None:
            bound = server.add_insecure_port(listen)
        else:
            bound = server.add_secure_port(listen, tls.of_server())
    except RuntimeError as error:
        raise StartError(f"cannot listen on {listen}") from error
    if not bound:
        raise StartError(f"cannot listen on {listen}")


def _resume(session: Session, saved: SavedState | None, store: Store) -> None:
    """As it was, as far as that can be told: a session that does not start is ended by nobody."""
    if saved is None and store.remains is None:
        return
    try:
        resume_session(session, saved, store.remains)
    except (ValueError, TypeError) as error:
        _LOG.error("cannot take over filters and settings: %s", error)
        resume_session(session, None, store.remains)


def _lifetime(options: Options, saved: SavedState | None, store: Store) -> Lifetime:
    """Of a session that begins, or on from where it was."""
    detached = options.detached if saved is None else saved.detached
    before = saved.grown_bytes if saved else 0
    lifetime = Lifetime(
        options.limits,
        Lease(options.lease_seconds, detached=detached),
        grown=lambda: before + store.totals.grown_bytes,
        started_ns=time.time_ns() if saved is None else saved.started_ns,
        certificate_ends_ns=int(expires_at(options.tls.certificate) * NS) if options.tls else 0,
    )
    if saved is not None:
        lifetime.ended, lifetime.waits_since_ns = saved.ended, saved.waits_since_ns
    return lifetime


def _log_task_error(error: BaseException) -> None:
    _LOG.error("task failed", exc_info=error)


def _remove_socket(listen: str) -> None:
    if listen.startswith("unix:"):
        Path(listen.removeprefix("unix:")).unlink(missing_ok=True)


def prepare_directory(directory: Path, *, resume: bool = False) -> None:
    """Make it, for us alone; StartError if it is taken."""
    try:
        directory.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if not directory.is_dir():
            raise StartError(f"{directory} is not a directory") from None
        if not resume and (directory / DATABASE_NAME).exists():
            raise StartError(f"{directory} already holds a session: choose another") from None
    except OSError as error:
        raise StartError(f"{directory}: {error.strerror}") from error


def remove_files(directory: Path, *, all_: bool = True) -> None:
    """Delete what a session made; the directory too when nothing else is in it.

    Not all: what tells the next collector that the session is over stays.
    """
    remove_store(directory)
    if all_:
        for name in (LOG_NAME, STATE_NAME):
            (directory / name).unlink(missing_ok=True)
    with suppress(OSError):
        directory.rmdir()


def _log_to(path: Path) -> logging.Handler:
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    return handler


def run(options: Options, session: Session) -> int:
    """Serve in a prepared directory, and leave it as the options say."""
    prepare_directory(options.directory, resume=options.resume)
    # Whoever starts a collector for itself may hold its directory already.
    with held(options.directory) if options.resume else nullcontext():
        handler = _log_to(options.directory / LOG_NAME)
        keep = options.keep
        try:
            saved = StateFile(options.directory).read() if options.resume else None
            if saved is not None and saved.over:
                return asyncio.run(finish(options.owner, saved.over))
            return asyncio.run(serve(options, session))
        except HandedOver:
            keep = True
            return 0
        finally:
            logging.getLogger().removeHandler(handler)
            handler.close()
            if not keep:
                # Its pod may start once more before it is taken away.
                remove_files(options.directory, all_=not options.owner)
