"""The command that finds out what becomes of packets between two ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from nshell.shell.commands.overlays import of_nodes, watch
from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.features import FEATURES
from nshell.shell.values import Result  # noqa: TC001 - the same
from nshell.shell.why.evidence import gather
from nshell.shell.why.naming import ClusterName, addressed
from nshell.shell.why.question import Address, Destination, ForDuration, Question, Source, Target
from nshell.shell.why.report import report
from nshell.shell.why.verdict import decide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.proto import session_pb2 as pb
    from nshell.shell.registry import Registry

WATCH_SECONDS = 10.0


def register(registry: Registry) -> None:
    """Add this group."""
    registry.add("why", why)


async def why(
    ctx: Context,
    source: Annotated[Address | ClusterName, Source()],
    target: Annotated[Target, Destination()],
    duration: Annotated[float, ForDuration()] = WATCH_SECONDS,
) -> Result:
    """Watch two ends, and say why one does not reach the other.

    Watches for 10 s or as long as is said, while the traffic goes on; Ctrl-C
    ends the watching early, a second one calls it off. Meanwhile filters of its
    own come before yours, and dns, drops, rtt and tcp are on; then all is as it
    was. SRC is an address, DST an address or a DNS name; on a cluster either may be
    a pod and DST a service, as NAMESPACE/NAME. The verdict is one of
    name-resolution-failed, dropped-here, refused, no-answer, reset-after-connect,
    connected-but-slow, healthy, nothing-sent; the rows that it rests on follow.

    Examples:
        why 10.129.0.48 10.129.0.49:443
        why 10.129.0.48 api.example.com for 30s
        why fd00::1 [fd00::2]:80
        why shop/web-1 shop/db:5432
    """
    question = Question(*await addressed(ctx.client, source, target))
    status = await ctx.client.status()
    async with ctx.client.overlay(
        "why", rules=question.rules(status.dns_ports), features=FEATURES
    ) as overlay:
        made = overlay.made
        caveats = (*of_nodes(made), *_of_session(status))
        ends = f"{_shown(source, question.source)} and {_shown(target.host, question.target.host)}"
        ctx.narrate(f"watching {ends} for {duration:g} s; Ctrl-C ends it early")
        started = time.monotonic()
        await watch(ctx.interrupts, duration)
        seconds = time.monotonic() - started
        await overlay.lift()
    evidence = await gather(
        ctx.client,
        question,
        generation=made.generation,
        since_ns=made.since_ns,
        seconds=seconds,
        dns_ports=status.dns_ports,
        caveats=caveats,
    )
    return report(evidence, decide(evidence))


def _shown(said: object, found: object) -> str:
    return str(said) if str(said) == str(found) else f"{said} ({found})"


def _of_session(status: pb.Status) -> Iterator[str]:
    if status.sampling > 1:
        yield f"one of {status.sampling:,} packets is looked at: what is not seen may be there"
