"""Says what became of a change on the nodes; one that not all took is a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.shell.errors import CommandError
from nshell.shell.escape import escape
from nshell.shell.units import human_ms, plural
from nshell.shell.values import Notice

if TYPE_CHECKING:
    from nshell.proto import session_pb2 as pb


def applied(what: str, reply: pb.ChangeReply) -> Notice:
    """The line for a change that holds everywhere; CommandError where it does not."""
    done = sum(node.applied for node in reply.nodes)
    count = f"applied {done}/{len(reply.nodes)}"
    generation = f"(generation {reply.generation})"
    if done == len(reply.nodes):
        took = f" in {human_ms(reply.elapsed_ms)}" if reply.nodes else "; no agent is connected"
        return Notice(f"{what}  {count}{took} {generation}")
    missing = [node for node in reply.nodes if not node.applied]
    why = "; ".join(
        f"{escape(node.node)}: {escape(node.error) or 'no answer in time'}" for node in missing[:3]
    )
    more = f"; and {plural(len(missing) - 3, 'node')} more" if len(missing) > 3 else ""
    raise CommandError(f"{what}  {count} {generation}: {why}{more}")
