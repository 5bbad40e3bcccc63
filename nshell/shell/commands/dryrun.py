"""Commands that tell what filters do without changing them: counted, or thought through."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from nshell.filters import parse_rule
from nshell.shell.commands.overlays import of_nodes, watch
from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.errors import CommandError
from nshell.shell.kinds.ends import End, ProtocolName
from nshell.shell.kinds.filters import Trial, TrialWords
from nshell.shell.units import brief, human_bytes, plural
from nshell.shell.values import Result, Table
from nshell.shell.why.naming import ClusterName, addressed
from nshell.shell.why.question import Address, Target  # noqa: TC001 - read by the registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.shell.registry import Registry
    from nshell.shell.values import Row

TRIAL_SECONDS = 5.0
_HITS = (
    "SELECT Node, sum(FlowHits), sum(FlowHitBytes) FROM filter_log WHERE FilterId = {} GROUP BY 1"
)


def register(registry: Registry) -> None:
    """Add this group."""
    registry.add("filter try", try_)
    registry.add("filter explain", explain)


async def try_(ctx: Context, trial: Annotated[Trial, TrialWords()]) -> Result:
    """Count what a filter would match, without capturing any of it.

    For 5 s or as long as is said; Ctrl-C ends it early. What is captured meanwhile,
    and by which filter, stays as it is, also where the capture is paused. Packets
    are counted on each interface that they pass, as the hits of `filter list` are.

    Examples:
        filter try port 443
        filter try cidr 10.0.0.0/8 protocol udp 30s
        filter try namespace shop for 1m
    """
    wanted = TRIAL_SECONDS if trial.seconds is None else trial.seconds
    text = brief(parse_rule(trial.words).text)
    sampling = (await ctx.client.status()).sampling
    async with ctx.client.overlay("try", rules=[trial.words], counts=True) as overlay:
        made = overlay.made
        caveats = [*of_nodes(made), *made.warnings]
        ctx.narrate(f"counting what {text!r} matches for {wanted:g} s; Ctrl-C ends it early")
        started = time.monotonic()
        await watch(ctx.interrupts, wanted)
        seconds = max(time.monotonic() - started, 1e-3)
        await overlay.lift()
    if sampling > 1:
        caveats.append(f"one of {sampling:,} packets is looked at")
    hits = await _hits(ctx, made.filter_ids[0])
    rows = [
        (node.node, *counted, round(counted[0] / seconds, 1))
        for node in made.nodes
        if node.applied
        for counted in [hits.get(node.node, (0, 0))]
    ]
    for caveat in caveats:
        ctx.narrate(f"but: {caveat}")
    ctx.narrate(_summary(text, rows, seconds))
    return Table(("node", "packets", "bytes", "packets/s"), rows)


async def _hits(ctx: Context, number: int) -> dict[str, tuple[int, int]]:
    """Packets and bytes by node."""
    answer = await ctx.client.query(_HITS.format(int(number)))
    try:
        rows = [row async for chunk in answer.chunks for row in chunk]
    finally:
        await answer.close()
    return {str(node): (int(packets or 0), int(size or 0)) for node, packets, size in rows}


def _summary(text: str, rows: Sequence[Row], seconds: float) -> str:
    packets, size = (sum(int(row[at] or 0) for row in rows) for at in (1, 2))
    nodes = plural(len(rows), "node")
    rate = packets / seconds
    return (
        f"{text!r} matches {plural(packets, 'packet')}, {human_bytes(size)}, in {seconds:.1f} s "
        f"on {nodes}: {rate:,.0f} packets/s"
    )


async def explain(
    ctx: Context,
    source: Annotated[Target, End("SRC[:PORT]")],
    target: Annotated[Target, End("DST[:PORT]")],
    protocol: Annotated[int | None, ProtocolName()] = None,
) -> Result:
    """Say which filter decides packets from SRC to DST, and what answers them.

    Both are addresses; on a cluster also pods and services, as NAMESPACE/NAME. Where
    one of them has a port, the other's is taken from 32768 to 60999, as clients have
    it. What filters ask for beyond that, such as TCP flags, is named.

    Examples:
        filter explain 10.129.0.48 10.129.0.49:443 tcp
        filter explain 10.0.0.1 10.0.0.2 icmp
        filter explain shop/web-1 shop/db:5432
    """
    for end in (source, target):
        if end.name:
            raise CommandError(f"{end.name!r} is a DNS name: filters know addresses")
    from nshell.shell.explain import asked, explained  # noqa: PLC0415 - protobuf, not for the start

    near, target = await addressed(ctx.client, _end(source), target)
    request = asked(near, source.port, target, protocol)
    return explained(near, source.port, target, await ctx.client.explain(request))


def _end(end: Target) -> Address | ClusterName:
    found = end.cluster_name or end.address
    assert found is not None, "it is no DNS name"
    return found
