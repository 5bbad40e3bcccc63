"""What a key asks of the session, or of the screen around the state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from nshell.shell.view.chart import Chart
    from nshell.shell.view.rows import Row


@dataclass(frozen=True, slots=True)
class Leave:
    """End the view."""

    by: str
    """The key."""


@dataclass(frozen=True, slots=True)
class AddFilter:
    """Make a kernel filter of a row."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Delete the filter that was made last."""


@dataclass(frozen=True, slots=True)
class SwitchOn:
    """What the screen lacks."""

    command: str


@dataclass(frozen=True, slots=True)
class ShowPackets:
    """Of a row's connection."""

    row: Row


@dataclass(frozen=True, slots=True)
class DrawChart:
    """Bytes by talker."""

    chart: Chart


Action: TypeAlias = Leave | AddFilter | TakeBack | SwitchOn | ShowPackets | DrawChart | None
