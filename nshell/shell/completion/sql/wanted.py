"""What may stand at a place, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Compared:
    """A column whose value is wanted, and those in the list already."""

    qualifier: str
    column: str
    taken: tuple[str, ...] = ()
    """As written."""
    pattern: bool = False
    """It is a text to compare with, whatever the column holds."""


@dataclass(frozen=True, slots=True)
class Place:
    """What may stand there."""

    tables: bool = False
    operand: bool = False
    """A column, a function, a value."""
    qualifier: str | None = None
    """A column of this source, which a dot follows."""
    compared: Compared | None = None
    joining: bool = False
    """Right behind ON."""
    common: bool = False
    """A column of both sides of a join."""
    keywords: Sequence[str] = ()
    more: Sequence[str] = ()
    """Keywords that are right there, and seldom meant: offered once one is typed."""
    aggregates: bool = True
    """Functions over rows may be called."""
    outputs: bool = False
    """A name that the query itself gives to what it selects."""


NOTHING: Final = Place()
