"""What commands share that lay something over the session for a while."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from nshell.shell.errors import CommandError
from nshell.shell.escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.proto import session_pb2 as pb
    from nshell.shell.interrupts import Interrupts


async def watch(interrupts: Interrupts, seconds: float) -> None:
    """For so long, or until Ctrl-C says that it is enough."""
    with interrupts.first_one() as enough, suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await enough.wait()


def of_nodes(made: pb.OverlayReply) -> Iterator[str]:
    """What does not work there; CommandError where nothing watches at all."""
    if not made.nodes:
        raise CommandError("no agent is connected: nothing can be watched")
    behind = {
        node.node: node.error or "no answer in time" for node in made.nodes if not node.applied
    }
    if len(behind) == len(made.nodes):
        name, error = next(iter(behind.items()))
        raise CommandError(f"nothing can be watched: {escape(name)}: {escape(error)}")
    for name, error in behind.items():
        yield f"nothing was watched on {name}: {error}"
    for node in made.nodes:
        for problem in node.problems:
            yield f"not seen on {node.node}: {problem}"
