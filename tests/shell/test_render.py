"""Formats, pinned byte for byte."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nshell import arguments
from nshell.shell.output.cells import Cells, faint, unmarked
from nshell.shell.output.render import FORMATS, format_named, render, unique, width

if TYPE_CHECKING:
    from collections.abc import Iterator

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


READ_COLUMNS = ("SrcAddr", "sum(Bytes)", "TimeFlowRttNs", "TimeNs", "DstPort", "Name")
READ_ROWS: list[tuple[Cell, ...]] = [
    ("10.0.0.1", 1_234_567, 850, 1_764_000_000_123_456_789, 8080, "NULL"),
    ("10.0.0.2", 90, 12_300_000, None, None, None),
    ("日本 \x1b[31m", None, None, 1_764_000_000_000_000_000, 53, "\x00NULL\x00"),
]


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize("name", ["table", "markdown", "vertical"])
def test_what_people_read_is_what_its_golden_file_says(name: str) -> None:
    text = render(name, READ_COLUMNS, READ_ROWS, Cells(human=True, marked=True))
    assert faint(text).encode() == (GOLDEN / f"{name}.human.txt").read_bytes()
    plain = render(name, READ_COLUMNS, READ_ROWS, Cells(human=True))
    assert unmarked(text) == plain


@pytest.mark.parametrize("name", ["json", "csv"])
def test_what_programs_read_is_exact_whatever_is_set(name: str) -> None:
    human = Cells(human=True, marked=True)
    assert render(name, READ_COLUMNS, READ_ROWS, human) == render(name, READ_COLUMNS, READ_ROWS)


def test_the_command_line_has_the_same_formats() -> None:
    assert arguments.FORMATS == FORMATS


def test_a_wide_character_takes_two_columns() -> None:
    assert width("ab\n日本語\n\x00NULL\x00\n") == 6


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
    for name, lines in (
        ("table", len(rows) + 2),
        ("markdown", len(rows) + 2),
        ("vertical", 3 * len(rows)),
    ):
        text = render(name, ("a", "b"), rows)
        assert not any(ord(c) < 0x20 and c != "\n" for c in text)
        assert text.count("\n") == lines


def test_columns_of_one_name_are_told_apart() -> None:
    assert unique(["a", "a", "a_2", "a"]) == ["a", "a_2", "a_2_2", "a_3"]
    assert json.loads(render("json", ("a", "a"), [(1, 2)])) == [{"a": 1, "a_2": 2}]
