"""What became of each row from one result of a query to the next.

Pure: a result and the one before in, rows with what is new in them out. Rows
are told apart by what names them: the texts they begin with and as many
columns more as it takes, or their place where nothing names them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from nshell.shell.output.cells import is_numeric

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nshell.shell.values import Cell, Row

HISTORY = 20
"""Values remembered of each number."""
_MORE = 3
"""Columns that may be needed beside the texts to tell rows apart."""

Past: TypeAlias = "tuple[float | None, ...]"


@dataclass(frozen=True, slots=True)
class Followed:
    """A row of the latest result."""

    row: Row
    new: bool = False
    """It was not in the result before."""
    changed: frozenset[int] = frozenset()
    """Columns with another value than before."""
    past: Mapping[int, Past] = field(default_factory=dict)
    """Of each column of numbers: what it was, the latest last."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One result, compared with the one before."""

    columns: tuple[str, ...]
    rows: tuple[Followed, ...]
    numeric: frozenset[int]
    varied: frozenset[int] = frozenset()
    """Columns of numbers in which some row has changed so far."""


def compare(before: Frame | None, columns: Sequence[str], rows: Sequence[Row]) -> Frame:
    """The rows in their order, each with what became of it."""
    columns = tuple(columns)
    numeric = frozenset(i for i in range(len(columns)) if is_numeric(rows, i))
    if before is None or before.columns != columns:
        return Frame(columns, tuple(_followed(row, None, numeric) for row in rows), numeric)
    old = _partners([f.row for f in before.rows], rows, len(columns))
    followed = tuple(
        Followed(row, new=True, past=_past(row, {}, numeric))
        if at is None
        else _followed(row, before.rows[at], numeric)
        for row, at in zip(rows, old, strict=True)
    )
    changed = frozenset[int]().union(*(f.changed for f in followed))
    return Frame(columns, followed, numeric, before.varied | (changed & numeric))


def _followed(row: Row, old: Followed | None, numeric: frozenset[int]) -> Followed:
    if old is None:
        return Followed(row, past=_past(row, {}, numeric))
    pairs = enumerate(zip(old.row, row, strict=True))
    changed = frozenset(i for i, (was, now) in pairs if was != now)
    return Followed(row, changed=changed, past=_past(row, old.past, numeric))


def _past(row: Row, past: Mapping[int, Past], numeric: frozenset[int]) -> dict[int, Past]:
    return {i: (*past.get(i, ()), _number(row[i]))[-HISTORY:] for i in numeric}


def _number(cell: Cell) -> float | None:
    return cell if isinstance(cell, int | float) else None


def _partners(before: Sequence[Row], rows: Sequence[Row], width: int) -> list[int | None]:
    """For each row the place of the same one before, None for a new one."""
    texts = [i for i in range(width) if not (is_numeric(rows, i) or is_numeric(before, i))]
    best: list[int | None] | None = None
    most, possible = -1, min(len(before), len(rows))
    for names in _names(texts, width):
        known = _unique(before, names)
        now = _unique(rows, names)
        if known is None or now is None:
            continue
        found = [known.get(key) for key in now]
        count = len(found) - found.count(None)
        if count > most:
            best, most = found, count
        if most == possible:
            break
    if best is None or (most == 0 and not texts):
        return [at if at < len(before) else None for at in range(len(rows))]
    return best


def _names(texts: Sequence[int], width: int) -> Iterator[tuple[int, ...]]:
    """Columns that may name a row, the likeliest first, each set once."""
    leading = 0
    while leading in texts:
        leading += 1
    sets = [tuple(range(end)) for end in range(leading, min(width, leading + _MORE) + 1)]
    others = [i for i in range(width) if i not in texts][:_MORE]
    sets += [(*texts, *others[:count]) for count in range(len(others) + 1)]
    yield from dict.fromkeys(sets)


def _unique(rows: Sequence[Row], names: Sequence[int]) -> dict[tuple[Cell, ...], int] | None:
    """Where each row is, by its name; None where two have the same."""
    found = {tuple([row[i] for i in names]): at for at, row in enumerate(rows)}
    return found if len(found) == len(rows) else None
