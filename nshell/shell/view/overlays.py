"""What lies over a table: the help, all columns of a row, the filters to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.shell.escape import escape
from nshell.shell.view.layout import cut, padded
from nshell.shell.view.words import clock, flag_names, protocol_name, size
from nshell.shell.widths import width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.shell.values import Cell
    from nshell.shell.view.choices import Menu
    from nshell.shell.view.layout import Line
    from nshell.shell.view.state import Details, Help, State

HELP = (
    ("left right", "other columns"),
    ("page up, page down", "who the ends are: address, name, namespace, owner, node, zone"),
    ("up down", "more rows, fewer rows"),
    ("o O", "order by another column, the other way round"),
    ("space", "hold the table still, let it go on; nothing that arrives is lost"),
    ("letters", "show only rows with that word, in any column, shown or not, as one types"),
    ("/", "the same for a word that begins with one of the keys here"),
    ("Enter", "while typing: keep the word, several must all be there"),
    ("Backspace", "take the last letter away, then the last word"),
    ("!word", "rows without it"),
    ("Field=value", "exactly that, such as DstPort=443; Bytes>1000 and < for numbers"),
    ("Tab", "while typing: complete a field, then its values"),
    ("Tab Shift-Tab, j k", "select a row, holding the table; Home and End; Esc lets go"),
    ("Enter", "all columns of the selected row, else of the top one; there: only rows like it"),
    ("f", "make a kernel filter of that row: from then on nothing else is captured"),
    ("F", "delete the filter that was made last in this view"),
    ("p", "packets of its connection"),
    ("s", "chart: bytes per second by sender"),
    ("e", "enable what these columns need"),
    ("q, Ctrl-C, Esc Esc", "leave; the session goes on"),
)


def draw_help(over: Help, state: State, width: int, height: int) -> list[Line]:
    """Keys and what they do."""
    rows = [*HELP[:-1], (HELP[-1][0], state.leaving)] if state.leaving != "q leaves" else HELP
    wide = min(max(len(keys) for keys, _ in HELP), max(8, width // 3))
    lines: list[Line] = []
    for keys, text in rows:
        head = [("class:key", f" {padded(keys, wide, right=False)}  ")]
        for number, part in enumerate(_wrapped(text, max(10, width - wide - 4))):
            lines.append([*(head if not number else [("", " " * (wide + 3))]), ("", part)])
    return _scrolled("keys of a view", lines, over, width, height)


def draw_details(over: Details, width: int, height: int, *, human: bool = True) -> list[Line]:
    """Every column that has a value, one of them under the cursor."""
    cells = over.cells
    wide = max((len(name) for name, _ in cells), default=0)
    lines: list[Line] = []
    for place, (name, cell) in enumerate(cells):
        chosen = place == over.at
        if chosen:
            over.top = max(min(over.top, len(lines)), len(lines) - height + 2)
        head = f"{'>' if chosen else ' '}{name:<{wide}}  "
        text = _explained(name, cell, human=human)
        for number, part in enumerate(_wrapped(text, max(10, width - wide - 4))):
            label = " " * (wide + 3) if number else head
            style = "class:selected" if chosen else ""
            lines.append([(style or "class:key", label), (style, part)])
    empty = sum(1 for _ in over.row.items()) - len(cells)
    if empty:
        lines.append([("class:dim", cut(f" {empty} more columns are NULL", width))])
    return _scrolled("one row", lines, over, width, height)


def _explained(name: str, cell: Cell, *, human: bool) -> str:
    """The cell, and what it means where that is not plain; `human`: of times and sizes too."""
    raw = escape(cell.hex() if isinstance(cell, bytes) else str(cell))
    meaning = ""
    if name == "Proto":
        meaning = protocol_name(cell)
    elif name.endswith("Flags"):
        meaning = flag_names(cell)
    elif not human:
        pass
    elif name.startswith("Time") and isinstance(cell, int) and cell > 10**12:
        meaning = clock(cell if cell > 10**16 else cell * 1_000_000)
    elif name.endswith("Bytes") and isinstance(cell, int) and cell >= 1000:
        meaning = size(cell)
    return f"{raw}  ({meaning})" if meaning and meaning != raw else raw


def _wrapped(text: str, width: int) -> Sequence[str]:
    """Lines of it, broken at blanks where there are some."""
    lines = []
    while width_of(text) > width:
        end = len(text)
        while width_of(text[:end]) > width:
            end -= 1
        blank = text.rfind(" ", 1, end + 1)
        end = blank if blank > 0 else end
        lines.append(text[:end])
        text = text[end:].lstrip()
    return [*lines, text]


def _scrolled(
    title: str, lines: list[Line], over: Help | Details, width: int, height: int
) -> list[Line]:
    """The part of it that there is room for, under a title."""
    room = max(1, height - 1)
    over.top = max(0, min(over.top, len(lines) - room))
    last = min(over.top + room, len(lines))
    where = f" ({over.top + 1}-{last} of {len(lines)})" if len(lines) > room else ""
    head: Line = [("class:header", cut(f" {title}{where}", width).ljust(width))]
    return [head, *lines[over.top : over.top + room]]


def draw_menu(menu: Menu, width: int) -> list[Line]:
    """Filters that the row under the cursor would match."""
    verb = "leave out, in the kernel" if menu.reject else "capture only, from now on"
    head = f" filter: {verb} (r: the other)"
    lines: list[Line] = [[("class:header", cut(head, width).ljust(width))]]
    for number, words in enumerate(menu.choices):
        chosen = number == menu.at
        verb = "reject " if menu.reject else ""
        text = f"{'>' if chosen else ' '}{number + 1} {verb}{escape(' '.join(words))}"
        lines.append([("class:selected" if chosen else "", cut(text, width).ljust(width))])
    return lines
