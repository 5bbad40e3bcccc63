"""A screen as an image: what stands on it, where, and how it looks."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pyte
import pytest

from tests.docs.svg import svg

GOLDEN = Path(__file__).parent / "golden/screen.svg"
IMAGES = Path(__file__).resolve().parents[2] / "docs/images"
SVG = "{http://www.w3.org/2000/svg}"
SHOWN = (
    b"\x1b[1mnetobserv> \x1b[0m\x1b[34;1mfilter\x1b[0m \x1b[38;5;208mport\x1b[0m 80\r\n"
    b'a <b> & "c"  \xe2\x96\x81\xe2\x96\x88  \x1b[4m_\x1b[3m i\x1b[0m\r\n'
    b"\x1b[7mReversed\x1b[0m \x1b[48;5;24;97mon blue\x1b[0m \xe7\xb6\xb2x"
)


def screen() -> pyte.Screen:
    made = pyte.Screen(30, 4)
    pyte.ByteStream(made).feed(SHOWN)
    return made


def test_a_screen_becomes_this_image() -> None:
    assert svg(screen(), title="netobserv <shell>") == GOLDEN.read_text()


def test_every_run_of_text_stands_in_its_columns() -> None:
    root = ET.fromstring(svg(screen(), title="t"))
    texts = [each for each in root.iter(f"{SVG}text") if each.get("class") != "s3"]
    found = {each.text: round(float(each.attrib["x"]) / 8.4) for each in texts[1:]}
    assert found == {
        "netobserv>": 0, "filter": 11, "port": 18, "80": 23, "<b>": 2, '"c"': 8,
        "Reversed": 0, "on": 9, "blue": 12, "\u7db2": 17, "x": 19, " i": 18, "a": 0, "&": 6,
    }  # fmt: skip


def test_block_characters_fill_their_cells() -> None:
    rects = [each.attrib for each in ET.fromstring(svg(screen(), title="t")).iter(f"{SVG}rect")]
    found = [(each.get("x"), each.get("y"), each["width"], each["height"]) for each in rects]
    assert ("109.2", "33.8", "8.4", "2.2") in found
    assert ("117.6", "18", "8.4", "18") in found


def test_a_second_screen_of_fewer_rows_is_smaller() -> None:
    heights = [
        int(ET.fromstring(svg(screen(), title="t", rows=n)).attrib["height"]) for n in (2, 4)
    ]
    assert heights[1] - heights[0] == 2 * 18


@pytest.mark.parametrize("image", sorted(IMAGES.glob("*.svg")), ids=lambda path: path.stem)
def test_the_images_of_the_documents_are_whole_small_and_ask_for_nothing_else(image: Path) -> None:
    text = image.read_text()
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert len(text) < 60_000
    assert text.count("http") == 1, "the name of the format alone"
