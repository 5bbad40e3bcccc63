"""What a watch makes of results: who is who, histories, what fits on a screen, the words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from nshell.shell.commands import build_registry
from nshell.shell.errors import CommandError
from nshell.shell.kinds import World
from nshell.shell.output.cells import Cells
from nshell.shell.queries import Query
from nshell.shell.watch.asking import Ran, due
from nshell.shell.watch.follow import HISTORY, Frame, compare
from nshell.shell.watch.screen import Screen
from nshell.shell.watch.spark import ASCII, FULL, Marks, marks_for, sparkline
from nshell.shell.watch.words import Watching, next_interval, show_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.shell.values import Cell, Row

GOLDEN = Path(__file__).parent / "golden" / "watch"
TALKERS = ("SrcAddr", "DstAddr", "DstPort", "Packets", "Bytes")


def follow(columns: Sequence[str], *results: Sequence[Row]) -> Frame:
    """The last of these results, compared with those before."""
    frame = None
    for rows in results:
        frame = compare(frame, columns, rows)
    assert frame is not None
    return frame


def news(frame: Frame) -> list[tuple[bool, list[int]]]:
    """Of each row: whether it is new, and the columns that have changed."""
    return [(row.new, sorted(row.changed)) for row in frame.rows]


# Which rows are the same


def test_of_the_first_result_nothing_is_news() -> None:
    assert news(follow(("n",), [(1,), (2,)])) == [(False, []), (False, [])]


def test_a_row_is_known_by_its_texts_wherever_it_stands() -> None:
    frame = follow(("Name", "n"), [("a", 1), ("b", 2)], [("b", 2), ("a", 5)])
    assert news(frame) == [(False, []), (False, [1])]


def test_columns_behind_the_texts_tell_apart_what_these_do_not() -> None:
    before = [("x", "y", 80, 1, 10), ("x", "y", 443, 1, 10)]
    now = [("x", "y", 443, 1, 10), ("x", "y", 80, 2, 20), ("x", "y", 22, 1, 5)]
    assert news(follow(TALKERS, before, now)) == [(False, []), (False, [3, 4]), (True, [])]


def test_a_text_that_changes_behind_numbers_is_a_value_not_a_name() -> None:
    columns = ("SrcAddr", "DstPort", "Bytes", "Sent")
    before = [("x", 80, 1, "1 B"), ("x", 443, 7, "7 B")]
    now = [("x", 80, 2, "2 B"), ("x", 443, 7, "7 B")]
    assert news(follow(columns, before, now)) == [(False, [2, 3]), (False, [])]


def test_texts_behind_a_number_name_the_row_too() -> None:
    frame = follow(("n", "Name"), [(9, "a"), (5, "b")], [(20, "b"), (9, "a")])
    assert news(frame) == [(False, [0]), (False, [])]


def test_a_single_row_of_numbers_is_always_the_same_one() -> None:
    assert news(follow(("n", "m"), [(1, 1)], [(2, 1)])) == [(False, [0])]


def test_rows_of_numbers_are_known_by_the_first_ones() -> None:
    frame = follow(("Port", "n"), [(80, 1), (443, 2)], [(443, 3), (80, 1)])
    assert news(frame) == [(False, [1]), (False, [])]


def test_rows_that_nothing_names_are_known_by_their_place() -> None:
    frame = follow(("n",), [(1,), (1,), (2,)], [(1,), (3,), (2,), (2,)])
    assert news(frame) == [(False, []), (False, [0]), (False, []), (True, [])]


def test_a_row_that_is_gone_is_gone_and_new_when_it_comes_back() -> None:
    frame = follow(("Name", "n"), [("a", 1), ("b", 2)], [("a", 1)], [("a", 1), ("b", 2)])
    assert news(frame) == [(False, []), (True, [])]
    assert frame.rows[1].past == {1: (2,)}


def test_another_set_of_columns_begins_anew() -> None:
    frame = compare(follow(("a",), [(1,)]), ("b",), [(2,)])
    assert news(frame) == [(False, [])]


def test_null_that_becomes_a_number_has_changed() -> None:
    frame = follow(("Name", "n"), [("a", None)], [("a", 3)])
    assert news(frame) == [(False, [1])]
    assert frame.rows[0].past == {1: (3,)}


def test_numbers_have_a_history_of_their_row_as_long_as_is_shown() -> None:
    results = [[("a", n), ("b", -n)] for n in range(30)]
    frame = follow(("Name", "n"), *results)
    assert frame.rows[0].past[1] == tuple(range(30 - HISTORY, 30))
    assert frame.rows[1].past[1][-1] == -29
    assert frame.varied == {1}


CELL = st.none() | st.integers(-3, 3) | st.sampled_from(["a", "b", ""]) | st.binary(max_size=1)
ROWS = st.lists(st.tuples(CELL, CELL, CELL), max_size=6)


@given(ROWS, ROWS)
def test_whatever_comes_each_row_is_there_once_and_equal_ones_are_not_changed(
    before: list[tuple[Cell, ...]], now: list[tuple[Cell, ...]]
) -> None:
    frame = follow(("a", "b", "c"), before, now)
    assert [row.row for row in frame.rows] == now
    assert all(not (row.new and row.changed) for row in frame.rows)
    assert sum(not row.new for row in frame.rows) <= len(before)
    again = compare(frame, frame.columns, now)
    assert news(again) == [(False, [])] * len(now)


# Histories


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ((), "        "),
        ((5,), "       ▁"),
        ((0, 7), "      ▁█"),
        ((0, 1, 2, 3, 4, 5, 6, 7), "▁▂▃▄▅▆▇█"),
        ((9, 9, 9), "     ▁▁▁"),
        ((1, None, 2), "     ▁ █"),
        ((float("inf"), 1, 2), "      ▁█"),
        ((-1e308, 1e308), "      ▁▁"),
        (tuple(range(100)), "▁▂▃▄▅▆▇█"),
    ],
)
def test_a_history_is_scaled_to_itself_with_the_latest_at_the_right(
    values: tuple[float | None, ...], drawn: str
) -> None:
    assert sparkline(values, width=8) == drawn


@pytest.mark.parametrize(
    ("encoding", "environment", "marks"),
    [
        ("utf-8", {"TERM": "xterm-256color", "LANG": "en_GB.UTF-8"}, FULL),
        ("utf-8", {"TERM": "xterm-256color"}, FULL),
        ("utf-8", {"TERM": "linux"}, ASCII),
        ("utf-8", {"TERM": "xterm", "LANG": "C.UTF-8"}, FULL),
        ("utf-8", {"TERM": "xterm", "LC_ALL": "C", "LANG": "en_GB.UTF-8"}, ASCII),
        ("iso8859-1", {"TERM": "xterm"}, ASCII),
    ],
)
def test_blocks_are_drawn_where_the_terminal_has_them(
    encoding: str, environment: dict[str, str], marks: Marks
) -> None:
    assert marks_for(encoding, environment) is marks


# Screens


def talkers(*, runs: int = 12, count: int = 4) -> list[list[Row]]:
    """Rows of hosts that send, from run to run."""
    return [
        [
            (f"10.0.0.{host}", "192.168.1.1", 443, 10 + run * host, 1500 * (10 + run * host**2))
            for host in range(1, count + 1)
        ]
        for run in range(runs)
    ]


def screen(
    *results: Sequence[Row], columns: Sequence[str] = TALKERS, marks: Marks = FULL
) -> Screen:
    made = Screen("SELECT *\n  FROM top_talkers", 2.0, Cells(human=True), marks)
    for rows in results:
        frame = compare(made.frame, columns, rows)
        made.take(frame, result(columns, rows))
    return made


def result(columns: Sequence[str], rows: Sequence[Row], *, seconds: float = 0.003) -> Ran:
    return Ran(
        tuple(columns), list(rows), more=seconds > 1, elapsed_ms=seconds * 1000,
        began=10.0, ended=10.0 + seconds, at=0.0,
    )  # fmt: skip


def drawn(made: Screen, width: int, height: int) -> str:
    lines = ["".join(text for _, text in line) for line in made.lines(width, height, now=11.0)]
    assert all(wcswidth(line) <= width for line in lines)
    assert len(lines) <= height
    lines[0] = re.sub(r"\d\d:\d\d:\d\d", "HH:MM:SS", lines[0])
    return "".join(f"{line.rstrip()}\n" for line in lines)


def styled(made: Screen, style: str) -> list[str]:
    lines = made.lines(120, 20, now=11.0)
    return [text.strip() for line in lines for s, text in line if s == f"class:{style}"]


def narrow_result() -> Screen:
    return screen(*talkers())


def new_and_gone() -> Screen:
    first = talkers(runs=1, count=3)[0]
    return screen(first, [first[0], ("10.0.0.9", None, None, 1, 60)])


def too_many() -> Screen:
    made = screen(*talkers(runs=2, count=40))
    made.lines(80, 12, now=11.0)
    made.move(3)
    return made


def too_wide() -> Screen:
    columns = tuple(f"Column{number}" for number in range(12))
    rows: list[Row] = [tuple(f"value {n} of {row}" for n in range(12)) for row in range(3)]
    return screen(rows, columns=columns)


def hostile() -> Screen:
    return screen(
        [("\x1b[2J\x1b]0;x\x07", 1), ("日本語" * 8, 2), ("\u202egnp", 3)],
        columns=("Na\x1bme", "n"),
    )


def in_trouble() -> Screen:
    made = screen(*talkers(runs=2, count=2))
    made.fail("the collector does not answer: \x1b[1m gone")
    made.paused = True
    made.notify("alert 1: something")
    made.notices[0] = "HH:MM:SS alert 1: something"
    return made


def empty() -> Screen:
    return screen([])


def in_ascii() -> Screen:
    made = screen(*talkers(), marks=ASCII)
    made.statement = "SELECT " + "x, " * 60
    return made


SCENES = {
    "wide": (narrow_result, 120, 12), "narrow": (narrow_result, 60, 8),
    "new-and-gone": (new_and_gone, 80, 10), "too-many-rows": (too_many, 80, 12),
    "too-many-columns": (too_wide, 80, 10), "hostile": (hostile, 60, 10),
    "in-trouble": (in_trouble, 100, 12), "empty": (empty, 60, 6), "ascii": (in_ascii, 100, 10),
    "tiny": (narrow_result, 10, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_a_screen_is_what_its_golden_file_says(name: str) -> None:
    scene, width, height = SCENES[name]
    assert drawn(scene(), width, height) == (GOLDEN / f"{name}.txt").read_text()


def test_what_has_changed_is_styled_and_nothing_else() -> None:
    made = screen([("a", 1, 5), ("b", 2, 5)], [("a", 1, 6), ("b", 2, 5)], columns=("n", "x", "y"))
    assert styled(made, "changed") == ["6"]
    assert styled(made, "new") == []


def test_a_new_row_is_styled_and_marked() -> None:
    made = screen([("a", 1)], [("a", 1), ("b", None)], columns=("name", "x"))
    assert styled(made, "new") == ["+", "b"]
    assert styled(made, "null") == ["NULL"]


def test_columns_do_not_get_narrower_again() -> None:
    made = screen([("a long name", 1)], columns=("name", "x"))
    before = drawn(made, 80, 10).splitlines()[3]
    made.take(compare(made.frame, ("name", "x"), [("b", 1)]), result(("name", "x"), [("b", 1)]))
    assert drawn(made, 80, 10).splitlines()[3] == before


def test_moving_ends_where_the_rows_and_columns_do() -> None:
    made = too_many()
    made.move(1000)
    assert "10.0.0.40" in drawn(made, 80, 12)
    assert "more row" not in drawn(made, 80, 12)
    made.move(-1000)
    assert "10.0.0.1 " in drawn(made, 80, 12)
    made.shift(-1)
    assert made.left == 0
    made.shift(100)
    assert "Bytes" in drawn(made, 80, 12)


def test_what_is_left_behind_is_the_result_from_its_beginning() -> None:
    made = too_many()
    lines = ["".join(text for _, text in line) for line in made.last(80, 10)]
    assert "10.0.0.1 " in lines[1]
    assert lines[-2].strip() == "… 33 more rows"
    assert lines[-1].endswith("40 rows  every 2s, 2 runs")


def test_of_many_notices_the_last_stay_and_the_rest_are_counted() -> None:
    made = screen([(1,)], columns=("n",))
    for number in range(25):
        made.notify(f"12:00:00 news {number} \x1b")
    shown = drawn(made, 80, 10).splitlines()
    assert shown[-2:] == [f" 12:00:00 news {number} \\x1b" for number in (23, 24)]
    left = ["".join(text for _, text in line) for line in made.last(80, 10)]
    assert left[3] == "… 5 notices before these"
    assert left[4:] == [f"12:00:00 news {number} \\x1b" for number in range(5, 25)]


def test_a_query_that_is_slow_is_said_to_be() -> None:
    made = screen([(1,)], columns=("n",))
    made.asked = 5.0
    assert "asking for 6 s" in drawn(made, 120, 5)
    made.asked = None
    made.ran = result(("n",), [(1,)], seconds=2.5)
    assert "in 2500 ms  first 1 row  longer than the interval" in drawn(made, 120, 5)


def test_one_that_takes_long_gets_as_long_a_rest_and_never_more_than_the_interval() -> None:
    assert due(10.0, 10.1, 2.0) == 12.0
    assert due(10.0, 11.5, 2.0) == 13.0
    assert due(10.0, 70.0, 2.0) == 72.0


# Words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("watch SELECT 1;", Watching("SELECT 1")),
        ("watch 250ms SELECT 1", Watching("SELECT 1", every=0.25)),
        ("watch 1m30s count 3 WITH x AS (SELECT 1)\nSELECT * FROM x",
         Watching("WITH x AS (SELECT 1)\nSELECT * FROM x", every=90, times=3)),
        ("watch COUNT 2 2s select count", Watching("select count", times=2)),
        ("watch 5s run slow_dns ms=50", Watching("", run=("slow_dns", "ms=50"), every=5)),
        ("watch 5s", Watching("", every=5)),
        ("alert when SELECT 'when'", Watching("SELECT 'when'")),
        ("alert every 10s when SELECT 1", Watching("SELECT 1", every=10)),
        ("alert when run drops", Watching("", run=("drops",))),
    ],
)  # fmt: skip
def test_lines_are_read(line: str, words: Watching) -> None:
    assert build_registry().parse(line).arguments == (words,)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("watch 2 SELECT 1", "'2' is not a duration: did you mean 2s?"),
        ("watch 100ms SELECT 1", "100ms is not between 250ms and 1h"),
        ("watch 2h SELECT 1", "2h is not between 250ms and 1h"),
        ("watch cuont 2 SELECT 1", "unknown word 'cuont': did you mean 'count'?"),
        ("watch SELCT 1", "unknown word 'SELCT': did you mean 'SELECT'?"),
        ("watch status", "unknown word 'status': watch [2s] [count N] [SELECT ...|run NAME]"),
        ("watch count 0 SELECT 1", "count takes a number from 1 on, not '0'"),
        ("watch count", "count takes a number from 1 on, not ''"),
        ("watch 2s run", "run what? `queries` lists them"),
        ("alert wen SELECT 1", "unknown word 'wen' after 'alert': did you mean 'when'?"),
        ("alert when", "SELECT ...|run NAME is missing: alert when SELECT ...|run NAME"),
        ("alert when SELEC 1", "a query must follow `when`: did you mean 'SELECT'?"),
        ("alert every 5s SELECT 1", "unexpected 'SELECT': `when` and a query must follow:"
         " alert every 5s when SELECT ...|run NAME"),
        ("alert every 1ms when SELECT 1", "1ms is not between 250ms and 1h"),
        ("alert del one", "'one' is not the number of an alert: `alerts` shows them"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_named(line: str, error: str) -> None:
    with pytest.raises(CommandError) as raised:
        build_registry().parse(line)
    assert str(raised.value) == error


def offered(line: str) -> list[str]:
    query = Query("top_talkers", "SELECT 1", saved=False)
    world = World(
        tables={"flow": {"SrcAddr": "TEXT"}}, queries={"top_talkers": query}, alerts={7: "SELECT 1"}
    )
    return [candidate.text for candidate in build_registry().complete(line, world)]


def test_intervals_queries_and_numbers_are_completed() -> None:
    assert offered("watch ") == ["2s", "count", "SELECT", "WITH", "run"]
    assert offered("watch 2s count ") == []
    assert offered("watch run ") == ["top_talkers"]
    assert "flow" in offered("watch 2s count 3 SELECT * FROM ")
    assert "SrcAddr" in offered("alert every 5s when SELECT SrcAddr FROM flow WHERE S")
    assert offered("alert every 5s ") == ["when"]
    assert "flow" in offered("alert when SELECT * FROM ")
    assert offered("alert del ") == ["7"]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.25, "250ms"), (2, "2s"), (1.5, "1.5s"), (90, "1m30s"), (3600, "1h")]
)
def test_intervals_are_shown_as_they_are_typed(seconds: float, shown: str) -> None:
    assert show_interval(seconds) == shown


def test_keys_go_through_intervals_and_stop_at_the_ends() -> None:
    assert next_interval(2.0, longer=True) == 5.0
    assert next_interval(3.0, longer=False) == 2.0
    assert next_interval(0.25, longer=False) == 0.25
    assert next_interval(3600.0, longer=True) == 3600.0
