"""How things look on a terminal: styles by name, and the colours it can show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style

if TYPE_CHECKING:
    from prompt_toolkit.styles import BaseStyle

_STYLES = {
    "prompt": "bold",
    "command": "ansiblue bold",
    "keyword": "ansicyan",
    "narration": "ansibrightblack",
    "notice": "ansiyellow",
    "error": "ansired",
    "bottom-toolbar": "noreverse bg:ansibrightblack ansiwhite",
    "hint": "italic",
    "rec": "bold",
    "paused": "bold reverse",
    "alarm": "bold ansiyellow",
}


@dataclass(frozen=True, slots=True)
class Look:
    """Of one terminal."""

    style: BaseStyle
    depth: ColorDepth | None
    """None: as prompt_toolkit finds it."""


def look(*, color: bool) -> Look:
    """The look of this run's terminal."""
    return Look(Style.from_dict(_STYLES), None if color else ColorDepth.DEPTH_1_BIT)
