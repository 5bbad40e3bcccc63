"""Commands that switch what is observed beside flows and packets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nshell.shell.commands.acks import applied
from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.features import FeatureNames
from nshell.shell.values import Result  # noqa: TC001 - the same

if TYPE_CHECKING:
    from nshell.shell.registry import Registry


def register(registry: Registry) -> None:
    """Add this group."""
    registry.add("enable", enable)
    registry.add("disable", disable)


async def enable(ctx: Context, names: Annotated[tuple[str, ...], FeatureNames()]) -> Result:
    """Observe more than flows and packets, from now on.

    dns fills the table `dns` and the Dns columns of `flow`; drops fills
    `packet_drop` and the PktDrop columns; rtt fills TimeFlowRttNs and the times
    of handshakes; tcp fills `tcp_event` and TcpRetransmits. What is off costs
    nothing. Filters for flows hold for all of it. `set dns_port` says which
    ports are taken for DNS.

    Examples:
        enable dns
        enable dns drops rtt tcp
    """
    reply = await ctx.client.switch_features(names, on=True)
    return applied(f"{', '.join(names)} on", reply, needed=names)


async def disable(ctx: Context, names: Annotated[tuple[str, ...], FeatureNames()]) -> Result:
    """Observe less again; rows so far stay.

    Examples:
        disable drops
        disable rtt tcp
    """
    reply = await ctx.client.switch_features(names, on=False)
    return applied(f"{', '.join(names)} off", reply)
