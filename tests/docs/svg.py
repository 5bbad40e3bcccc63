"""A terminal's screen as an SVG image: text runs in a window frame, no fonts of its own.

Pure: cells in, XML out. Each run of text is given the width of its columns, so
that columns stand below each other whatever font the reader has.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyte
    from pyte.screens import Char

_COLUMN, _ROW, _SIZE = 8.4, 18, 14
"""A cell and its font, in pixels."""
_MARGIN, _BAR = 14, 34
"""Around the cells; the height of the window's title bar."""
_PAPER, _INK, _FRAME = "#1b1e24", "#d6dae0", "#2a2e36"
_NAMED = {
    "black": "#22262d", "red": "#e06c75", "green": "#98c379", "brown": "#e5c07b",
    "blue": "#61afef", "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#c8ccd4",
    "brightblack": "#7f8794", "brightred": "#ff7b86", "brightgreen": "#b5e890",
    "brightbrown": "#ffd68a", "brightblue": "#82c4ff", "brightmagenta": "#dd9bf0",
    "bfightmagenta": "#dd9bf0", "brightcyan": "#7fdbe6", "brightwhite": "#ffffff",
}  # fmt: skip
"""Colours by pyte's names, its slip in one of them included."""
_BLOCKS = {
    **{chr(0x2580 + n): (n / 8, 1.0) for n in range(1, 9)},  # lower one eighth to full block
    "\u2591": (1, 0.25), "\u2592": (1, 0.5), "\u2593": (1, 0.75),
}  # fmt: skip
"""Height and opacity: a terminal fills its cells with these, a font does not."""
_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


@dataclass(frozen=True, slots=True)
class Style:
    """How a run of cells looks."""

    ink: str
    paper: str
    bold: bool
    italic: bool
    underlined: bool


@dataclass(slots=True)
class Sheet:
    """The looks that occur, each with a class of its own."""

    names: dict[str, str] = field(default_factory=dict)

    def name(self, style: Style) -> str:
        rules = [f"fill:{style.ink}"] if style.ink != _INK else []
        rules += ["font-weight:bold"] if style.bold else []
        rules += ["font-style:italic"] if style.italic else []
        rules += ["text-decoration:underline"] if style.underlined else []
        return self.names.setdefault(";".join(rules), f"s{len(self.names)}") if rules else ""

    def rules(self) -> str:
        return "".join(f".{name}{{{rules}}}" for rules, name in self.names.items())


def svg(screen: pyte.Screen, *, title: str, rows: int | None = None) -> str:
    """The whole image; of the screen's first rows only, if told so."""
    rows = rows or screen.lines
    sheet = Sheet()
    cells = "".join(piece for y in range(rows) for piece in _row(list(_cells(screen, y)), y, sheet))
    width, height = _number(screen.columns * _COLUMN + 2 * _MARGIN), rows * _ROW + _BAR + _MARGIN
    dots = "".join(
        f'<circle cx="{20 + 18 * n}" cy="17" r="5.5" fill="{color}"/>'
        for n, color in enumerate(("#e06c75", "#e5c07b", "#98c379"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}" role="img">'
        f"<title>{escape(title)}</title>"
        f"<style>text{{font:{_SIZE}px {_FONT};fill:{_INK};white-space:pre}}{sheet.rules()}</style>"
        f'<rect width="{width}" height="{height}" rx="8" fill="{_PAPER}"/>'
        f'<path d="M0 {_BAR - 6}V8a8 8 0 0 1 8-8H{_number(float(width) - 8)}'
        f'a8 8 0 0 1 8 8V{_BAR - 6}z" fill="{_FRAME}"/>{dots}'
        f'<text x="{_number(float(width) / 2)}" y="19" text-anchor="middle"'
        f' style="font-size:12px;fill:#9aa2ae">{escape(title)}</text>'
        f'<g transform="translate({_MARGIN} {_BAR})" xml:space="preserve">{cells}</g></svg>\n'
    )


def _cells(screen: pyte.Screen, y: int) -> Iterator[Char]:
    """Of one row, the one under the cursor turned over."""
    cursor = screen.cursor
    for x in range(screen.columns):
        cell = screen.buffer[y][x]
        at_cursor = not cursor.hidden and (x, y) == (cursor.x, cursor.y)
        yield cell._replace(reverse=not cell.reverse) if at_cursor else cell


def _row(cells: list[Char], y: int, sheet: Sheet) -> Iterator[str]:
    """Backgrounds, then text, of each run of cells that look alike."""
    x, text = 0, []
    for style, run in itertools.groupby(cells, key=_style):
        found = list(run)
        if style.paper != _PAPER:
            yield (
                f'<rect x="{_number(x * _COLUMN)}" y="{y * _ROW}" fill="{style.paper}"'
                f' width="{_number(len(found) * _COLUMN)}" height="{_ROW}"/>'
            )
        text += list(_runs(found, x, y, sheet, style))
        x += len(found)
    yield from text


def _runs(cells: list[Char], x: int, y: int, sheet: Sheet, style: Style) -> Iterator[str]:
    """Text of one look, taken apart where a font could be wider than its columns."""
    css = _class(sheet, style)
    for kind, run in itertools.groupby(cells, key=_kind):
        found = list(run)
        if kind in _BLOCKS:
            yield _blocks(kind, x, y, len(found), ink=style.ink)
        elif kind != " ":
            length = "" if len(found) == 1 and kind == "plain" else _length(len(found))
            text = "".join(cell.data for cell in found)
            yield (
                f'<text x="{_number(x * _COLUMN)}" y="{y * _ROW + _SIZE - 1}"{css}{length}>'
                f"{escape(text)}</text>"
            )
        x += len(found)


def _blocks(character: str, x: int, y: int, columns: int, *, ink: str) -> str:
    """A run of the same one."""
    high, opacity = _BLOCKS[character]
    faint = f' fill-opacity="{opacity}"' if opacity < 1 else ""
    return (
        f'<rect x="{_number(x * _COLUMN)}" y="{_number((y + 1 - high) * _ROW)}" fill="{ink}"{faint}'
        f' width="{_number(columns * _COLUMN)}" height="{_number(high * _ROW)}"/>'
    )


def _kind(cell: Char) -> str:
    """What is drawn alike: the block character, a blank, what every monospaced font has, others.

    The second cell of a wide character is empty, and belongs to it.
    """
    if cell.data in _BLOCKS:
        return cell.data
    if cell.data in {" ", "\u00a0"} and not cell.underscore:
        return " "
    return "plain" if cell.data.isascii() and cell.data else "other"


def _length(columns: int) -> str:
    return f' textLength="{_number(columns * _COLUMN)}" lengthAdjust="spacingAndGlyphs"'


def _class(sheet: Sheet, style: Style) -> str:
    name = sheet.name(style)
    return f' class="{name}"' if name else ""


def _style(cell: Char) -> Style:
    ink, paper = _color(cell.fg, _INK), _color(cell.bg, _PAPER)
    if cell.reverse:
        ink, paper = paper, ink
    return Style(ink, paper, cell.bold, cell.italics, cell.underscore)


def _color(name: str, default: str) -> str:
    if name == "default":
        return default
    return _NAMED.get(name) or f"#{name}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
