"""Where a reader of a view is: the table, its order, keywords, the row that is selected.

Plain data; what keys do to it stands in `presses`, how it looks in `draw`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nshell.shell.view.columns import IP_AND_PORT
from nshell.shell.view.rows import Row, Rows, order, select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.proto import session_pb2 as pb
    from nshell.shell.values import Cell
    from nshell.shell.view.chart import Chart
    from nshell.shell.view.choices import Menu
    from nshell.shell.view.columns import Column
    from nshell.shell.view.kinds import Lack, ViewKind


@dataclass(slots=True)
class Page:
    """One table on the screen."""

    kind: ViewKind
    title: str = ""
    """Of which rows, where not of all."""
    columns: tuple[str, ...] = ()
    """Of the table, once there are rows."""
    rows: Rows = field(default_factory=Rows)
    set_number: int = 0
    level: int = IP_AND_PORT
    sort: int = 0
    descending: bool = True
    limit: int | None = None
    """Rows shown; None: as many as there is room for."""
    keywords: list[str] = field(default_factory=list)
    typed: str = ""
    """The keyword being typed: it holds already."""
    typing: bool = False
    """Letters are a keyword's, whatever they mean as keys."""
    frozen: list[Row] | None = None
    """What is looked at while paused; new rows go on arriving behind it."""
    froze_at: int = 0
    selected: int | None = None
    """Rowid."""
    top: int = 0
    """Rows above the first shown."""
    widths: dict[str, int] = field(default_factory=dict)
    """Columns do not get narrower while one looks at them."""
    _shown: list[Row] | None = None
    _ordered: list[Row] = field(default_factory=list)
    _ordered_at: tuple[int, int, int, bool] | None = None

    def visible(self) -> tuple[Column, ...]:
        """The columns on the screen."""
        return self.kind.columns(self.set_number, self.level)

    @property
    def paused(self) -> bool:
        return self.frozen is not None

    @property
    def in_field(self) -> bool:
        """Whether letters go to a keyword."""
        return self.typing or bool(self.typed)

    def all_keywords(self) -> list[str]:
        return [*self.keywords, self.typed] if self.typed else self.keywords

    def shown(self) -> list[Row]:
        """Rows that the keywords let through, in order."""
        if self._shown is None:
            self._shown = select(self._in_order(), self.all_keywords(), self.columns)
        return self._shown

    def _in_order(self) -> list[Row]:
        """All rows; sorted again when there are others, not at every letter of a keyword."""
        now = (self.rows.arrived, id(self.frozen), self.sort, self.descending)
        if self._ordered_at != now:
            rows = self.rows.kept if self.frozen is None else self.frozen
            column = self.kind.sorts[self.sort].column
            self._ordered = order(list(rows), column, descending=self.descending)
            self._ordered_at = now
        return self._ordered

    def changed(self) -> None:
        """Rows, keywords or the order are others now."""
        self._shown = None

    def arrive(self, rows: Sequence[Row], columns: tuple[str, ...], *, skipped: int) -> None:
        """Rows from the store, oldest first."""
        self.columns = self.columns or columns
        self.rows.add(rows, skipped=skipped)
        if rows and self.frozen is None:
            self.changed()

    def pause(self) -> None:
        if self.frozen is None:
            self.frozen = list(self.rows.kept)
            self.froze_at = self.rows.arrived

    def resume(self) -> None:
        """What has arrived meanwhile is there."""
        self.frozen, self.selected, self.top = None, None, 0
        self.changed()

    @property
    def waiting(self) -> int:
        """Rows that arrived while paused."""
        return self.rows.arrived - self.froze_at if self.paused else 0

    def under_cursor(self) -> Row | None:
        """The selected row, else the top one."""
        rows = self.shown()
        at = self.position()
        if at is not None:
            return rows[at]
        return rows[0] if rows else None

    def position(self) -> int | None:
        """Of the selected row among those shown."""
        if self.selected is None:
            return None
        return next((n for n, row in enumerate(self.shown()) if row.id == self.selected), None)

    def move(self, by: int) -> None:
        """The selection; a table with a row selected holds still."""
        self.pause()
        rows = self.shown()
        if not rows:
            return
        at = self.position()
        target = max(by - 1, 0) if at is None else at + by
        self.selected = rows[max(0, min(target, len(rows) - 1))].id

    def window(self, height: int) -> list[Row]:
        """The rows on the screen, the selected one among them."""
        height = height if self.limit is None else min(height, self.limit)
        rows = self.shown()
        at = self.position()
        if at is None:
            self.top = 0
        elif at < self.top or at >= self.top + height:
            self.top = at if at < self.top else at - height + 1
        return rows[self.top : self.top + height]


@dataclass(slots=True)
class Details:
    """A row with every column of it."""

    row: Row
    at: int = 0
    """The column under the cursor."""
    top: int = 0
    """Lines above the first shown."""

    @property
    def cells(self) -> list[tuple[str, Cell]]:
        """What has a value."""
        return [(name, cell) for name, cell in self.row.items() if cell is not None]


@dataclass(slots=True)
class Help:
    """What the keys do."""

    top: int = 0


@dataclass(slots=True)
class State:
    """All that is drawn."""

    pages: list[Page]
    names: dict[str, str] = field(default_factory=dict)
    over: Help | Details | Menu | Chart | None = None
    """What lies over the table."""
    message: str = ""
    """The latest thing to be said; escaped when it is drawn."""
    wrong: bool = False
    """It is about something that failed."""
    lasting: bool = False
    """It stays when a key is pressed."""
    status: pb.Status | None = None
    lack: Lack | None = None
    made_filter: int | None = None
    """The number of the filter made here last."""
    note: str = ""
    """Beside the title."""
    leaving: str = "q leaves"
    room: int = 20
    """Rows that there is room for, as last drawn."""
    unicode: bool = True
    human: bool = True
    """Numbers are written as people read them."""
    escaped: bool = False
    """Esc was the last key, and had nothing to close."""

    @property
    def page(self) -> Page:
        return self.pages[-1]

    def say(self, text: str, *, wrong: bool = False, lasting: bool = False) -> None:
        self.message, self.wrong, self.lasting = " ".join(text.split()), wrong, lasting
