"""The collector's process: server, signals, files, and an end that leaves nothing.

Invariant: files that are not the session's own are never touched.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc.aio

from agent.proto.agentlink_pb2_grpc import add_AgentLinkServicer_to_server
from nshell.collector.agents import AgentLink
from nshell.collector.capture import Capture
from nshell.collector.fleet import Fleet
from nshell.collector.lease import Lease
from nshell.collector.options import Options, StartError
from nshell.collector.query.functions import Functions
from nshell.collector.roles import RoleGuard
from nshell.collector.service import SessionService
from nshell.collector.status import StatusBoard
from nshell.collector.storage.segments import segment_files
from nshell.collector.storage.store import DATABASE_NAME, DEFAULT_QUEUE_BYTES, Store
from nshell.proto.session_pb2_grpc import add_SessionServicer_to_server
from nshell.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from nshell.collector.session import Session
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


async def serve(options: Options, session: Session) -> int:
    """Run a capture to its end; the exit status."""
    async with (
        opened(options, session) as capture,
        served(capture, options.listen, tls=options.tls),
    ):
        await _until_the_end(capture)
    return FAILED_STATUS if capture.store.ended.exception() else 0


@asynccontextmanager
async def opened(
    options: Options, session: Session, *, queue_bytes: int = DEFAULT_QUEUE_BYTES
) -> AsyncIterator[Capture]:
    """A capture whose store is open; closed with everything committed."""
    try:
        store = Store(
            options.directory, limit_bytes=options.store_limit_bytes, queue_bytes=queue_bytes
        )
    except OSError as error:
        raise StartError(f"{options.directory}: {error.strerror or error}") from error
    fleet = Fleet(session, store)
    board = StatusBoard(options.name, fleet, store, options.store_limit_bytes)
    try:
        async with Tasks("collector", on_error=_log_task_error) as tasks:
            yield Capture(session, store, fleet, board, Lease(options.lease_seconds), tasks)
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
    sessions = SessionService(capture, executor=executor, functions=Functions())
    add_SessionServicer_to_server(sessions, server)
    return server


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


async def _until_the_end(capture: Capture) -> None:
    """Return when the capture has ended: asked to, by a signal, or for lack of a shell."""
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled.set)
    reasons: dict[asyncio.Future[Any], str] = {
        capture.tasks.start(signalled.wait(), name="signals"): "a signal",
        capture.tasks.start(capture.lease.run_out(), name="lease"): "no shell for the lease",
        capture.tasks.start(capture.stopping.wait(), name="stop asked"): "asked",
        capture.store.ended: "the store failed",
    }
    # The handlers go with the loop.
    done, _ = await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
    if not capture.store.ended.done():
        await capture.stop(reasons[done.pop()])


def _log_task_error(error: BaseException) -> None:
    _LOG.error("task failed", exc_info=error)


def _remove_socket(listen: str) -> None:
    if listen.startswith("unix:"):
        Path(listen.removeprefix("unix:")).unlink(missing_ok=True)


def prepare_directory(directory: Path) -> None:
    """Make it, for us alone; StartError if it is taken."""
    try:
        directory.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if not directory.is_dir():
            raise StartError(f"{directory} is not a directory") from None
        if (directory / DATABASE_NAME).exists():
            raise StartError(f"{directory} already holds a session: choose another") from None
    except OSError as error:
        raise StartError(f"{directory}: {error.strerror}") from error


def remove_files(directory: Path) -> None:
    """Delete what a session made; the directory too when nothing else is in it."""
    names = [DATABASE_NAME + suffix for suffix in ("", "-wal", "-shm", "-journal")]
    paths = [directory / name for name in (*names, "collector.log")]
    for path in (*paths, *(path for _, path in segment_files(directory))):
        path.unlink(missing_ok=True)
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
    prepare_directory(options.directory)
    handler = _log_to(options.directory / "collector.log")
    try:
        return asyncio.run(serve(options, session))
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
        if not options.keep:
            remove_files(options.directory)
