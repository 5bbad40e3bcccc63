"""Says what became of a change on the nodes; one that not all took is a failure."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from nshell.shell.errors import CommandError
from nshell.shell.escape import escape
from nshell.shell.units import human_ms, plural
from nshell.shell.values import Notice

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from nshell.proto import session_pb2 as pb


SHOWN_NODES = 3
"""Of those that something is wrong with; the rest is counted."""


def applied(what: str, reply: pb.ChangeReply, *, needed: Collection[str] = ()) -> Notice:
    """The line for a change that holds everywhere; CommandError where it does not.

    Nor does it where a feature that is needed does not work.
    """
    done = sum(node.applied for node in reply.nodes)
    count = f"applied {done}/{len(reply.nodes)}"
    generation = f"(generation {reply.generation})"
    lacking = [node for node in reply.nodes if _problems(node, needed)]
    if lacking and done == len(reply.nodes):
        why = (f"{escape(n.node)}: {', '.join(_problems(n, needed))}" for n in lacking)
        raise CommandError(f"{what}  {count} {generation}, but {_first_few(why, len(lacking))}")
    if done == len(reply.nodes):
        took = f" in {human_ms(reply.elapsed_ms)}" if reply.nodes else "; no agent is connected"
        notes = (f"\nnote: {escape(warning)}" for warning in reply.warnings)
        return Notice(f"{what}  {count}{took} {generation}" + "".join(notes))
    missing = [node for node in reply.nodes if not node.applied]
    why = (f"{escape(n.node)}: {escape(n.error) or 'no answer in time'}" for n in missing)
    unhappy = (f"{escape(n.node)}: {', '.join(_problems(n, needed))}" for n in lacking)
    wrong = _first_few(chain(why, unhappy), len(missing) + len(lacking))
    raise CommandError(f"{what}  {count} {generation}: {wrong}")


def _problems(node: pb.NodeAck, features: Collection[str]) -> list[str]:
    return [escape(text) for text in node.problems if text.partition(":")[0] in features]


def _first_few(nodes: Iterable[str], count: int) -> str:
    shown = [text for _, text in zip(range(SHOWN_NODES), nodes, strict=False)]
    more = count - len(shown)
    return "; ".join(shown) + (f"; and {plural(more, 'node')} more" if more else "")
