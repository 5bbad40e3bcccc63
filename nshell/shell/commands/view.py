"""The command that shows rows full screen, as they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.kinds import Choice
from nshell.shell.values import Result  # noqa: TC001 - the same

if TYPE_CHECKING:
    from nshell.shell.registry import Registry


def register(registry: Registry) -> None:
    """Add this group."""
    registry.add("view", view)


async def view(
    ctx: Context,
    what: Annotated[str, Choice("flows", "packets", "dns", "drops")] = "flows",
) -> Result:
    """Show the newest rows full screen, live; q comes back, the capture goes on.

    Left and right change the columns, page up and page down who the ends are,
    up and down how many rows there are. Typing keeps only rows with that word;
    Enter keeps the word and begins another, Backspace removes the last. f makes a
    kernel filter of the selected row and F takes it back, p shows its packets, s draws
    a chart of bytes per second, space holds the table still. ? lists all keys. With
    `set human off` there are plain numbers.

    Examples:
        view
        view dns
        view drops
    """
    from nshell.shell.view import view as make  # noqa: PLC0415 - only when somebody looks

    return make(what, ctx)
