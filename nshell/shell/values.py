"""What commands return. They never print; a front end shows these in its own way.

One that takes a while may say so meanwhile, through its context.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from nshell.shell.takeover import Takeover

Cell: TypeAlias = "str | int | float | bytes | None"
Row: TypeAlias = Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Table:
    """A small answer, there as a whole."""

    columns: tuple[str, ...]
    rows: Sequence[Row]
    empty: str = ""
    """What to tell a reader instead of a table without rows."""
    format: str = ""
    """The one it is to be shown in, whatever is set."""


@dataclass(slots=True)
class Answer:
    """The rows of a query as they arrive; close() it whatever happens."""

    columns: tuple[str, ...]
    chunks: AsyncGenerator[Sequence[Row], None] = field(init=False)
    cancel: Callable[[], object] = field(default=lambda: None)
    truncated: bool = False
    """After the last chunk: there were more rows than asked for."""
    elapsed_ms: float = 0.0
    """After the last chunk: as the collector measured it."""

    async def close(self) -> None:
        """Ask for no more of it."""
        self.cancel()
        await self.chunks.aclose()


@dataclass(frozen=True, slots=True)
class Text:
    """An answer in words: data, it goes to stdout."""

    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """A finding and the rows that it rests on."""

    facts: Mapping[str, Cell | Sequence[str]]
    """For programs."""
    lines: Sequence[str]
    """The same for people."""
    tables: Mapping[str, Table]
    most_rows: int | None = 8
    """Of each table for people; json has them all."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What was done: narration, it goes to stderr."""

    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """Commands of a file, to be run in this one's place."""

    path: str


@dataclass(frozen=True, slots=True)
class Quit:
    """Close the session."""


Result: TypeAlias = Table | Answer | Text | Report | Notice | Source | Takeover | Quit | None
