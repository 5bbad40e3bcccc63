"""`view`: the newest rows full screen, live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.shell.view.screen import View

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nshell.shell.context import Context

VIEWS = ("flows", "packets", "dns", "drops")


def view(
    what: str,
    ctx: Context,
    *,
    keywords: Sequence[str] = (),
    leaving: str = "q leaves",
    note: Callable[[], str] = str,
) -> View:
    """A view to be drawn.

    `keywords` are there from the start, as if typed. `leaving` says what leaving does, in
    the footer; `note` stands in the title and is asked at every drawing. Afterwards the
    view's `ended_by` is the key that ended it.
    """
    return View(what, ctx, keywords=keywords, leaving=leaving, note=note)
