"""Tab while a keyword is typed: names of columns, then values that were seen in them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nshell.shell.view.rows import column_named
from nshell.shell.view.words import plain, protocol_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.shell.view.state import Page

_MOST = 12
"""Values that are offered, those that most rows have."""


def complete(page: Page) -> tuple[str, Sequence[str]]:
    """What is typed made longer, and what it could become."""
    typed = page.typed
    name, sign, begun = typed.removeprefix("!").partition("=")
    mark = "!" if typed.startswith("!") else ""
    column = column_named(name, page.columns)
    if sign and column is not None:
        found = _values(page, column, begun)
        return f"{mark}{name}={_longer(begun, found)}", found
    found = [each for each in page.columns[1:] if each.lower().startswith(name.lower())]
    if sign or not found:
        return typed, ()
    longer = _longer(name, found)
    if len(found) == 1:
        return f"{mark}{longer}=", found
    return mark + longer, found


def _values(page: Page, column: str, begun: str) -> list[str]:
    """Of the rows in memory, the commonest first."""
    seen = Counter(row[column] for row in page.rows.kept if row[column] is not None)
    spelled = (
        protocol_name(value) if column == "Proto" else plain(value)
        for value, _ in seen.most_common()
    )
    return [each for each in spelled if each.lower().startswith(begun.lower())][:_MOST]


def _longer(begun: str, found: Sequence[str]) -> str:
    """As far as they all agree."""
    if not found:
        return begun
    agreed = 0
    for letters in zip(*(each.lower() for each in found), strict=False):
        if len(set(letters)) > 1:
            break
        agreed += 1
    return found[0][:agreed] if agreed >= len(begun) else begun
