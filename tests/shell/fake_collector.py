"""A collector program with a made-up capture, for the launcher to start."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

import grpc.aio

from nshell.filters import parse_rule, split_words
from nshell.proto.session_pb2_grpc import add_SessionServicer_to_server
from tests.shell.fake_session import Capture, FakeSession

DATABASE = "FAKE_COLLECTOR_DATABASE"
"""In the environment: a file to answer queries from."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--directory", required=True)
    parser.add_argument("--session", required=True)
    parser.add_argument("--lease", type=float, required=True)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--store-limit", type=int)
    parser.add_argument("--filter", action="append", default=[])
    parser.add_argument("--packets", action="store_true")
    parser.add_argument("--no-flows", action="store_true")
    parser.add_argument("--enable", action="append", default=[])
    parser.add_argument("--snaplen", type=int, default=0)
    parser.add_argument("--sampling", type=int, default=1)
    return parser.parse_args()


async def _serve(given: argparse.Namespace) -> None:
    capture = Capture(
        session=given.session,
        flows=not given.no_flows,
        packets=given.packets,
        features=given.enable,
        snaplen=given.snaplen,
        sampling=given.sampling,
    )
    for number, text in enumerate(given.filter, start=1):
        capture.rules[number] = parse_rule(split_words(text)).text
        capture.next_id = number + 1
    service = FakeSession(capture)
    if database := os.environ.get(DATABASE):
        service.serve(Path(database))
    server = grpc.aio.server()
    add_SessionServicer_to_server(service, server)
    server.add_insecure_port(given.listen)
    await server.start()
    await service.stopped.wait()
    await server.stop(grace=0.5)
    service.close()


def main() -> None:
    given = _arguments()
    if (Path(given.directory) / "session.db").exists():
        print(f"netobserv-collector: {given.directory} is taken: choose another", file=sys.stderr)
        sys.exit(2)
    asyncio.run(_serve(given))


if __name__ == "__main__":
    main()
