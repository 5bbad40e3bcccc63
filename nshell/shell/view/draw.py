"""The screen of a view as lines of styled text: state in, lines out.

Only what is seen is formatted, and everything captured is escaped here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.shell.escape import escape
from nshell.shell.prompt.toolbar import toolbar
from nshell.shell.units import plural
from nshell.shell.view.chart import Chart, draw_chart
from nshell.shell.view.choices import Menu
from nshell.shell.view.layout import cut, fit, padded
from nshell.shell.view.overlays import draw_details, draw_help, draw_menu
from nshell.shell.view.state import Details, Help
from nshell.shell.view.waiting import waiting
from nshell.shell.widths import width_of

if TYPE_CHECKING:
    from nshell.shell.view.columns import Column
    from nshell.shell.view.layout import Line
    from nshell.shell.view.state import Page, State

_NARROW = 80
"""Columns stand closer together below that."""
_MATTER = 3
"""The first columns of a set: there is room for them before names are whole."""
_TINY = 66
"""Below that who talks to whom matters more than when."""


def draw(state: State, *, width: int, height: int) -> list[Line]:
    """As many lines as there are on the terminal; the least important go first."""
    # Title, keywords, message, keys, session: the table keeps three lines to itself.
    spare = height - 3
    tops = [_title(state, width), _keywords(state, width)][: max(0, min(2, spare - 1))]
    below = [_session(state, width), _message(state, width), _footer(state, width)]
    bottoms = below[: max(0, spare - len(tops))]
    room = max(1, height - len(tops) - len(bottoms))
    state.room = max(1, room - 1)
    middle = _middle(state, width, room)[:room]
    middle += [[("", "")] for _ in range(room - len(middle))]
    order = (1, 2, 0)  # message, keys, session
    lines = [*tops, *middle, *(bottoms[n] for n in order if n < len(bottoms))][:height]
    return [_clipped(line, width) for line in lines]


def _middle(state: State, width: int, room: int) -> list[Line]:
    over = state.over
    if isinstance(over, Chart):
        return draw_chart(
            over, state.names, width=width, height=room, unicode=state.unicode, human=state.human
        )
    if isinstance(over, Help):
        return draw_help(over, state, width, room)
    if isinstance(over, Details):
        return draw_details(over, width, room, human=state.human)
    if isinstance(over, Menu):
        menu = draw_menu(over, width)[: max(1, room - 2)]
        table = _table(state, width, room - len(menu))
        table += [[("", "")] for _ in range(room - len(menu) - len(table))]
        return [*table, *menu]
    return _table(state, width, room)


def _title(state: State, width: int) -> Line:
    page = state.page
    shown, kept = len(page.shown()), len(page.rows.kept)
    sets, sort = page.kind.sets, page.kind.sorts[page.sort]
    arrow = (
        ("▼" if page.descending else "▲")
        if state.unicode
        else ("down" if page.descending else "up")
    )
    parts = [
        ("class:title", f" {page.title or page.kind.name}"),
        ("", f"{sets[page.set_number].title} ({page.set_number + 1}/{len(sets)})"),
        ("", f"ends: {page.kind.levels[page.level].title}"),
        ("", f"by {sort.title} {arrow}"),
        ("", _how_many(page, shown, kept)),
    ]
    if page.paused:
        waits = f", {page.waiting:,} new rows wait" if page.waiting else ""
        parts.insert(1, ("class:paused", f" PAUSED{waits} "))
    if state.note:
        parts.insert(1, ("", escape(state.note)))
    while len(parts) > 2 and _width_joined(parts) > width:
        parts.pop(-2)  # that rows were skipped matters more than what the table shows itself
    return _joined(parts, width)


def _width_joined(parts: list[tuple[str, str]]) -> int:
    return sum(width_of(text) for _, text in parts) + 2 * (len(parts) - 1)


def _how_many(page: Page, shown: int, kept: int) -> str:
    skipped = f", {page.rows.skipped:,} skipped: too fast" if page.rows.skipped else ""
    limit = f", {page.limit} at a time" if page.limit is not None else ""
    last = "last " if kept == page.rows.kept.maxlen else ""
    if page.all_keywords():
        of = f"{shown:,} of {'the ' if last else ''}"
        return f"{of}{last}{plural(kept, 'row')}{limit}{skipped}"
    return f"{last}{plural(kept, 'row')}{limit}{skipped}" if kept else "no rows yet"


def _joined(parts: list[tuple[str, str]], width: int) -> Line:
    """As many of the parts as fit, whole."""
    line: Line = []
    used = 0
    for style, text in parts:
        gap = "  " if line else ""
        if line and used + len(gap) + width_of(text) > width:
            break
        shown = cut(text, width)
        used += len(gap) + width_of(shown)
        line += [("", gap), (style, shown)] if gap else [(style, shown)]
    return line


def _keywords(state: State, width: int) -> Line:
    """Keywords that hold, and the one being typed; its end is always seen."""
    page = state.page
    kept = [("class:keyword", f"[{escape(word)}]") for word in page.keywords]
    typed = escape(page.typed)
    if page.in_field:
        room = width - 12
        while width_of(typed) > max(8, room):
            typed = typed[1:]
        field: Line = [("bold", f"rows with: {typed}"), ("reverse", " ")]
    elif kept:
        field = [("class:dim", "Backspace removes the last, letters add one")]
    else:
        field = [("class:dim", "type to see only rows with these words; ? explains the keys")]
    line: Line = [("", " ")]
    used = 1 + sum(width_of(text) for _, text in field)
    while kept and used + sum(width_of(text) + 1 for _, text in kept) > width:
        kept = kept[1:]
    for style, text in kept:
        line += [(style, text), ("", " ")]
    return _clipped([*line, *field], width)


def _clipped(line: Line, width: int) -> Line:
    clipped: Line = []
    for style, text in line:
        room = width - sum(width_of(done) for _, done in clipped)
        if room <= 0:
            break
        clipped.append((style, cut(text, room)))
    return clipped


def _table(state: State, width: int, room: int) -> list[Line]:
    page = state.page
    rows = page.window(max(1, room - 1))
    if not rows:
        columns = _columns(state)
        head = _heads(columns, [width_of(c.title) for c in columns], width)
        return [head, *waiting(state, width)]
    columns = _columns(state)[width < _TINY :]
    cells = [[escape(column.show(row, state.names)) for column in columns] for row in rows]
    natural = _grown(page, columns, cells)
    gap = 2 if width >= _NARROW else 1
    keep = len(columns) - len(page.kind.sets[page.set_number].columns) + _MATTER
    widths, left_out = fit(columns, natural, width - 1, gap=gap, keep=keep)
    lines = [_heads(columns[: len(widths)], widths, width, gap=gap, left_out=left_out)]
    for row, texts in zip(rows, cells, strict=True):
        selected = row.id == page.selected
        lines.append(_row(columns, texts, widths, gap=gap, selected=selected, width=width))
    return lines


def _columns(state: State) -> tuple[Column, ...]:
    """Those of the page, as the setting `human` has them."""
    columns = state.page.visible()
    return columns if state.human else tuple(column.exact or column for column in columns)


def _grown(page: Page, columns: tuple[Column, ...], cells: list[list[str]]) -> list[int]:
    """How wide each column wants to be: it never shrinks while rows come and go."""
    natural = []
    for number, column in enumerate(columns):
        widest = max(width_of(texts[number]) for texts in cells)
        key = f"{number} {column.title}"
        page.widths[key] = max(widest, width_of(column.title), page.widths.get(key, 0))
        natural.append(page.widths[key])
    return natural


def _heads(
    columns: tuple[Column, ...], widths: list[int], width: int, *, gap: int = 2, left_out: int = 0
) -> Line:
    titles = (
        padded(column.title, wide, right=column.right)
        for column, wide in zip(columns, widths, strict=False)
    )
    text = " " + (" " * gap).join(titles)
    more = f" +{left_out}" if left_out else ""
    if more and width_of(text) + len(more) <= width:
        text += " " * (width - width_of(text) - len(more)) + more
    return [("class:header", cut(text, width).ljust(width))]


def _row(
    columns: tuple[Column, ...],
    texts: list[str],
    widths: list[int],
    *,
    gap: int,
    selected: bool,
    width: int,
) -> Line:
    """One piece where nothing in it stands out: pieces cost time."""
    line: Line = []
    text = ">" if selected else " "
    for number, wide in enumerate(widths):
        column = columns[number]
        cell = padded(texts[number], wide, right=column.right)
        space = " " * gap if number else ""
        if column.alarm and not selected and texts[number] not in ("", "0"):
            line += [("", text + space), ("class:alarm", cell)]
            text = ""
        else:
            text += space + cell
    if selected:
        return [("class:selected", cut(text, width).ljust(width))]
    return [*line, ("", text)]


def _message(state: State, width: int) -> Line:
    """What was last said, else what this screen lacks."""
    if state.message:
        style = "class:error" if state.wrong else "class:notice"
        return [(style, cut(f" {escape(state.message)}", width))]
    if state.lack is not None and state.over is None and state.page.rows.kept:
        text = f" {state.lack.why}: `{state.lack.command}`, or e does it now"
        return [("class:notice", cut(text, width))]
    return [("", "")]


_KEYS = {
    "table": ("left/right columns", "pgup/pgdn ends", "up/down rows", "space pause", "tab select",
              "f filter", "p packets", "s chart", "o sort"),
    "field": ("Enter keeps it", "Esc drops it", "!word without", "Field=value exactly",
              "Tab completes"),
    "menu": ("1-9 or Enter adds it", "r keep/reject", "Esc back"),
    "chart": ("left/right window", "s back"),
    "details": ("up/down", "Enter keeps rows with this", "Esc back"),
    "help": ("up/down", "Esc back"),
}  # fmt: skip


def _footer(state: State, width: int) -> Line:
    over = state.over
    if isinstance(over, Menu):
        keys = _KEYS["menu"]
    elif isinstance(over, Chart):
        keys = _KEYS["chart"]
    elif over is not None:
        keys = _KEYS["details" if isinstance(over, Details) else "help"]
    elif state.page.in_field:
        keys = _KEYS["field"]
    elif len(state.pages) > 1:
        keys = ("p or Esc back", *(key for key in _KEYS["table"] if not key.startswith("p ")))
    else:
        keys = _KEYS["table"]
    if keys[-1] == _KEYS["table"][-1] and state.made_filter is not None:
        keys = (f"F deletes filter {state.made_filter}", *keys)
    leaving = () if state.page.in_field else (state.leaving, "? help")
    return _joined([("class:dim", f" {key}" if not n else key)
                    for n, key in enumerate((*leaving, *keys))], width)  # fmt: skip


def _session(state: State, width: int) -> Line:
    line = toolbar(state.status, width=width)
    used = sum(width_of(text) for _, text in line)
    filled = [*line, ("", " " * max(0, width - used))]
    return [(f"class:bottom-toolbar {style}", text) for style, text in filled]
