"""The rows of the last query, kept to be shown once more in another way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.shell.values import Row

KEPT_ROWS = 1000


@dataclass(slots=True)
class Recall:
    """Of one shell."""

    columns: tuple[str, ...] = ()
    """Empty: there has been no query."""
    rows: list[Row] = field(default_factory=list)
    more: bool = False
    """There were more rows than are kept."""
    statement: str = ""
    """What was asked last."""

    def begin(self, columns: Sequence[str]) -> None:
        """Another query answers."""
        self.columns, self.rows, self.more = tuple(columns), [], False

    def keep(self, rows: Sequence[Row]) -> None:
        """Some of its rows."""
        room = KEPT_ROWS - len(self.rows)
        self.rows.extend(rows[:room])
        self.more = self.more or len(rows) > room
