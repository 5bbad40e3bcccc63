"""Values that a column has had so far, written as SQL writes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nshell.shell.completion.matching import matching
from nshell.shell.completion.seen import ColumnValues, noted, numbered
from nshell.shell.completion.sql.offers import Offer
from nshell.shell.sqltext import text_literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nshell.shell.completion.sql.scopes import Scope
    from nshell.shell.completion.sql.wanted import Compared
    from nshell.shell.kinds import World

_MANY = 20
"""Values; of more than that only those that came up again are of use."""
_MOST = 50
_LONGEST = 200
_MEASURES = re.compile(r"^Time|(Bytes|Packets|Hits|Count|Offset|Ns|Ms|Seconds|Position)$")
"""Columns whose values one does not compare for being equal."""
_VIEWS = {"drop_summary": "packet_drop", "dns_slow": "dns"}
_COLUMNS = {
    ("conversation", "ClientAddr"): ("flow", "SrcAddr"),
    ("conversation", "ServerAddr"): ("flow", "DstAddr"),
    ("conversation", "ServerPort"): ("flow", "DstPort"),
    ("conversation", "Proto"): ("flow", "Proto"),
    ("top_talkers", "Address"): ("flow", "SrcAddr"),
}
"""Where the values of views come from: a view itself may have to read everything."""


def literals(compared: Compared, scope: Scope, world: World) -> list[Offer]:
    """The most frequent first."""
    found = _question(compared, scope, world)
    if found is None:
        return []
    taken = set(compared.taken)
    rows = [row for row in world.seen(found) if row[0] is not None]
    if len(rows) > _MANY:
        rows = [row for row in rows if row[1] > 1]
    offers = []
    for value, count, *_ in rows[:_MOST]:
        text = written(value, as_text=compared.pattern)
        if text and text not in taken:
            offers.append(Offer(text, _meta(found.column, value, count), key=text.strip("'")))
    return offers


def _meta(column: str, value: object, count: int) -> str:
    return noted(numbered(column, value), f"{count:,} {'row' if count == 1 else 'rows'}")


def _question(compared: Compared, scope: Scope, world: World) -> ColumnValues | None:
    for table, column in _meant(compared, scope, world):
        if _MEASURES.search(column):
            return None
        if table in world.views:
            base = _COLUMNS.get((table, column), (_VIEWS.get(table, ""), column))
            if column not in world.tables.get(base[0], ()) and base[0] == _VIEWS.get(table):
                return None
            return ColumnValues(*base) if base[0] in world.tables else None
        return ColumnValues(table, column)
    return None


def _meant(compared: Compared, scope: Scope, world: World) -> Iterator[tuple[str, str]]:
    folded = compared.column.lower()
    wanted = compared.qualifier.lower()
    for source in scope.sources:
        if source.table and (not wanted or source.name.lower() == wanted):
            for column in source.columns or {}:
                if column.lower() == folded:
                    yield source.table, column
    if not scope.sources:
        for table, known in world.tables.items():
            for column in known:
                if column.lower() == folded and table not in world.views:
                    yield table, column


def written(value: object, *, as_text: bool = False) -> str:
    """A value as a literal; nothing where it cannot be typed."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float) and not as_text:
        return repr(value)
    if isinstance(value, int | float | str) and len(str(value)) <= _LONGEST:
        return text_literal(str(value))
    return ""


def within(typed: str, offers: Sequence[Offer]) -> list[Offer]:
    """Texts for a literal that is being typed."""
    texts = (offer for offer in offers if offer.text.startswith("'"))
    # Of a pattern: what stands behind its first %.
    return matching(typed.replace("''", "'").lstrip("%"), texts, key=bare)


def bare(offer: Offer) -> str:
    """The value, without the quotes of a text."""
    text = offer.text
    return text[1:-1].replace("''", "'") if text.startswith("'") else text
