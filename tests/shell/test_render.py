"""Formats, pinned byte for byte."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nshell.shell.render import FORMATS, format_named, render, unique

if TYPE_CHECKING:
    from nshell.shell.values import Cell

GOLDEN = Path(__file__).parent / "golden"
COLUMNS = ("SrcAddr", "Bytes", "Ratio", "Name", "Mac", "Seen|n")
ROWS: list[tuple[Cell, ...]] = [
    ("10.0.0.1", 1500, 0.5, "plain", b"\x02\x42\xac", "1e5"),
    ("::1", None, 12.25, "esc \x1b[31m, \u202e and\nline", b"", 'quote " and | bar'),
    ("192.168.100.200", 7, None, "日本", None, ""),
]
CELLS: st.SearchStrategy[Cell] = st.none() | st.integers() | st.text() | st.binary() | st.floats()


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_what_its_golden_file_says(name: str) -> None:
    assert render(name, COLUMNS, ROWS).encode() == (GOLDEN / f"{name}.txt").read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_result_is_what_its_golden_file_says(name: str) -> None:
    assert render(name, COLUMNS, []).encode() == (GOLDEN / f"{name}.empty.txt").read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_chunks_give_the_same_text_as_the_whole(name: str) -> None:
    form = format_named(name, COLUMNS)
    parts = [form.head(), form.chunk(ROWS), form.chunk(ROWS[:1]), form.chunk([]), form.tail()]
    assert "".join(parts) == render(name, COLUMNS, [*ROWS, ROWS[0]])


def test_later_chunks_of_a_table_keep_its_columns() -> None:
    form = format_named("table", ("n", "name"))
    first = form.chunk([(1000, "abc")]).splitlines()
    later = form.chunk([(7, "日本")]).splitlines()
    assert first[-1] == "1000  abc"
    assert later == ["   7  日本"]


@given(st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_json_is_always_valid(rows: list[tuple[Cell, Cell]]) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    decoded = json.loads(render("json", ("a", "b"), rows), parse_constant=refuse)
    assert len(decoded) == len(rows)


@given(st.lists(st.tuples(st.text(), st.integers()), max_size=5))
def test_csv_reads_back_as_it_was(rows: list[tuple[str, int]]) -> None:
    text = render("csv", ("a", "b"), rows)
    assert list(csv.reader(io.StringIO(text, newline="")))[1:] == [[a, str(b)] for a, b in rows]


@given(st.lists(st.tuples(st.text(), st.text()), max_size=3))
def test_text_layouts_never_carry_a_control_character(rows: list[tuple[str, str]]) -> None:
    for name in ("table", "markdown"):
        text = render(name, ("a", "b"), rows)
        assert not any(ord(c) < 0x20 and c != "\n" for c in text)
        assert len(text.split("\n")) == len(rows) + 3


def test_columns_of_one_name_are_told_apart() -> None:
    assert unique(["a", "a", "a_2", "a"]) == ["a", "a_2", "a_2_2", "a_3"]
    assert json.loads(render("json", ("a", "a"), [(1, 2)])) == [{"a": 1, "a_2": 2}]
