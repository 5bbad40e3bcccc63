"""How things look on a terminal: styles by name, and the colours it can show.

A theme is a palette: what a name looks like is said once, in terms of its colours.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style

if TYPE_CHECKING:
    from prompt_toolkit.styles import BaseStyle


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a theme; empty: the terminal's own, and other means tell things apart."""

    blue: str = ""
    cyan: str = ""
    green: str = ""
    magenta: str = ""
    red: str = ""
    yellow: str = ""
    grey: str = ""
    """Of what matters less."""
    bar: str = "reverse"
    """The toolbar."""
    bar_grey: str = "reverse"
    """The line above it."""
    menu: str = "reverse"
    meta: str = "reverse"
    chosen: str = "noreverse bold underline"
    """An item of a menu, a row of a view."""


# Of the 256 colours of xterm; a test computes the contrasts.
PALETTES = {
    "dark": Palette(
        blue="#87afff", cyan="#5fd7d7", green="#87d787", magenta="#d7afff", red="#ff8787",
        yellow="#ffd75f", grey="#9e9e9e",
        bar="#e4e4e4 bg:#444444", bar_grey="#d0d0d0 bg:#303030",
        menu="#e4e4e4 bg:#444444", meta="#c6c6c6 bg:#303030", chosen="#000000 bg:#87afff",
    ),
    "light": Palette(
        blue="#005faf", cyan="#005f5f", green="#005f00", magenta="#87005f", red="#af0000",
        yellow="#875f00", grey="#5f5f5f",
        bar="#262626 bg:#d0d0d0", bar_grey="#3a3a3a bg:#e4e4e4",
        menu="#262626 bg:#d0d0d0", meta="#3a3a3a bg:#e4e4e4", chosen="#ffffff bg:#005faf",
    ),
    # Neither is known: colours that can be read on black and on white alike.
    "auto": Palette(
        blue="#5f5fff", cyan="#008787", green="#008700", magenta="#af5faf", red="#d7005f",
        yellow="#af5f00", grey="#767676",
        bar="#e4e4e4 bg:#444444", bar_grey="#e4e4e4 bg:#585858",
        menu="#e4e4e4 bg:#444444", meta="#e4e4e4 bg:#585858", chosen="#000000 bg:#87afff",
    ),
    "mono": Palette(),
}  # fmt: skip


_BARE = "default bg:default"
"""prompt_toolkit's own colours taken off."""


@dataclass(frozen=True, slots=True)
class Look:
    """Of one terminal."""

    style: BaseStyle
    depth: ColorDepth | None
    """None: as prompt_toolkit finds it."""


def look(*, theme: str = "auto", color: bool = True) -> Look:
    """The look of a theme; `color` off: none whatever the theme."""
    if theme == "auto":
        theme = background(os.environ.get("COLORFGBG", "")) or theme
    return Look(_style(theme), None if color else ColorDepth.DEPTH_1_BIT)


def background(colorfgbg: str) -> str:
    """dark or light, as some terminals tell it; empty where this one does not."""
    number = colorfgbg.rpartition(";")[2]
    if not number.isdecimal():
        return ""
    return "light" if int(number) in (7, 15) else "dark"


@cache
def _style(theme: str) -> Style:
    return Style.from_dict(styles(PALETTES[theme]))


def styles(of: Palette) -> dict[str, str]:
    """Every name that something is drawn by."""
    return {**_line(of), **_around(of), **_screens(of)}


def _line(of: Palette) -> dict[str, str]:
    """The line being typed."""
    return {
        "prompt": "bold",
        "command": f"bold {of.blue}",
        "keyword": of.cyan,
        "wrong": f"underline {of.red}",
        "auto-suggestion": f"{_BARE} {of.grey or 'italic'}",
        "matching-bracket.cursor": f"{_BARE} bold underline",
        "matching-bracket.other": f"{_BARE} bold underline",
        "search": f"{_BARE} underline",
        "search.current": "reverse",
        "incsearch": f"{_BARE} underline",
        "incsearch.current": "reverse",
        "control-character": f"{_BARE} {of.magenta}",
        "nbsp": f"{_BARE} underline",
        "aborting": f"{_BARE} noreverse nounderline {of.grey}",
        "exiting": f"{_BARE} noreverse nounderline {of.grey}",
        "pygments.keyword": f"bold {of.blue}",
        "pygments.name.builtin": of.cyan,
        "pygments.name.function": of.cyan,
        "pygments.literal.string": of.green,
        "pygments.literal.number": of.magenta,
        "pygments.comment": f"italic {of.grey}",
        "pygments.operator": "",
        "pygments.error": f"underline {of.red}",
    }


def _around(of: Palette) -> dict[str, str]:
    """What stands above it and below."""
    return {
        "narration": of.grey,
        "notice": of.yellow or "bold",
        "alert": f"bold {of.yellow}",
        "error": of.red or "bold",
        "bottom-toolbar": f"noreverse {of.bar}",
        "hint": f"italic {of.bar_grey}",
        "rec": "bold",
        "paused": "bold reverse",
        "alarm": "bold underline",
        "completion-menu": f"{_BARE} noreverse {of.menu}",
        "completion-menu.completion": f"{_BARE} {of.menu}",
        "completion-menu.completion.current": f"{_BARE} noreverse {of.chosen}",
        "completion-menu.meta.completion": f"{_BARE} {of.meta}",
        "completion-menu.meta.completion.current": f"{_BARE} noreverse {of.chosen}",
        "scrollbar.background": f"{_BARE} {of.meta}",
        "scrollbar.button": f"{_BARE} reverse",
    }


def _screens(of: Palette) -> dict[str, str]:
    """What watches and views draw."""
    return {
        "title": f"bold {of.blue}",
        "header": "bold underline",
        "changed": f"bold {of.yellow or 'reverse'}",
        "new": f"bold {of.green}",
        "dim": of.grey,
        "null": of.grey or "italic",
        "number": of.magenta,
        "spark": of.cyan,
        "bar": of.blue,
        "selected": of.chosen if of.blue else "reverse",
        "key": "bold",
    }
