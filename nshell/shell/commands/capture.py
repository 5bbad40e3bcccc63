"""Commands that change what is kept of the packets that the filters let through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nshell.shell.commands.acks import applied
from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.kinds import Choice, Number, OnOff
from nshell.shell.values import Result  # noqa: TC001 - the same

if TYPE_CHECKING:
    from nshell.shell.registry import Registry

MAX_SNAPLEN = 262_144
MAX_SAMPLING = 1_000_000


def register(registry: Registry) -> None:
    """Add this group."""
    registry.add("capture", capture)
    registry.add("snaplen", snaplen)
    registry.add("sample", sample)
    registry.add("pause", pause)
    registry.add("resume", resume)


async def capture(
    ctx: Context,
    what: Annotated[str, Choice("flows", "packets")],
    state: Annotated[bool, OnOff()],
) -> Result:
    """Capture flows or packets, or stop doing so.

    Rows captured so far stay.

    Examples:
        capture packets on
        capture flows off
    """
    setter = ctx.client.set_flows if what == "flows" else ctx.client.set_packets
    return applied(f"{what} {'on' if state else 'off'}", await setter(state))


async def snaplen(ctx: Context, size: Annotated[int, Number(0, MAX_SNAPLEN)]) -> Result:
    """Set how many bytes of each packet are kept; 0 keeps all of it.

    Examples:
        snaplen 96
        snaplen 0
    """
    kept = f"{size:,} bytes of each packet" if size else "whole packets"
    return applied(f"keeping {kept}", await ctx.client.set_snaplen(size))


async def sample(ctx: Context, n: Annotated[int, Number(1, MAX_SAMPLING)]) -> Result:
    """Capture one of N packets; 1 captures all.

    Rows count what was looked at: `Sampling` of a flow is what to multiply its bytes
    and packets by. The chart of a view does so, and says it; queries leave it to you.

    Examples:
        sample 100
        sample 1
    """
    what = "every packet" if n == 1 else f"one of {n:,} packets"
    return applied(f"capturing {what}", await ctx.client.set_sampling(n))


async def pause(ctx: Context) -> Result:
    """Stop capturing for now; filters and rows stay.

    Examples:
        pause
    """
    return applied("paused", await ctx.client.set_paused(True))


async def resume(ctx: Context) -> Result:
    """Go on capturing after `pause`.

    Examples:
        resume
    """
    return applied("resumed", await ctx.client.set_paused(False))
