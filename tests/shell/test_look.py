"""Themes: every name is there in each, and what has a colour can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prompt_toolkit.output import ColorDepth

from nshell.shell.prompt.look import PALETTES, background, look, styles

ROOT = Path(__file__).parents[2]
ONES = {"dark": ["#000000", "#1e1e1e", "#282c34"], "light": ["#ffffff", "#fdf6e3"],
        "auto": ["#000000", "#ffffff"]}  # fmt: skip
"""Backgrounds that a theme is for."""
LEAST = 4.0
"""Contrast; 4.5 is what accessibility guidelines want, which no colour has on black and white."""


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ONES)
def test_colours_can_be_read_on_the_backgrounds_that_they_are_for(theme: str) -> None:
    for name, style in styles(PALETTES[theme]).items():
        found = dict(reversed(re.findall(r"(?:^| )(bg:)?(#[0-9a-f]{6})", style)))
        for under in [found["bg:"]] if "bg:" in found else ONES[theme]:
            if "" in found:
                assert contrast(found[""], under) >= LEAST, (theme, name, under)


def test_mono_has_no_colour_and_still_tells_things_apart() -> None:
    plain = styles(PALETTES["mono"])
    assert not [style for style in plain.values() if "#" in style or "ansi" in style]
    for name in ("wrong", "error", "notice", "selected", "completion-menu.completion.current"):
        assert plain[name].strip(), name


def test_every_name_that_is_drawn_by_has_a_style() -> None:
    known = set(styles(PALETTES["auto"]))
    used = set()
    for file in (ROOT / "nshell" / "shell").rglob("*.py"):
        used |= set(re.findall(r"class:([a-z][a-z.-]*)", file.read_text()))
    used.remove("pygments.")  # and the name of a token
    assert "command" in used
    assert used <= known


def test_wrong_words_are_underlined_in_every_theme() -> None:
    assert all("underline" in styles(palette)["wrong"] for palette in PALETTES.values())


@pytest.mark.parametrize(
    ("variable", "theme"),
    [("15;0", "dark"), ("0;15", "light"), ("0;default;7", "light"), ("12;8", "dark"), ("", ""),
     ("15;default", "")],
)  # fmt: skip
def test_some_terminals_tell_their_background(variable: str, theme: str) -> None:
    assert background(variable) == theme


def test_without_colour_there_is_one_bit_whatever_the_theme(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLORFGBG", "0;15")
    assert look(theme="auto").style is look(theme="light").style
    assert look(theme="dark", color=False).depth is ColorDepth.DEPTH_1_BIT
    assert look(theme="dark").depth is None
