"""The toolbar: what it says, and what it leaves out where there is little room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from nshell.shell.prompt.toolbar import of_the_shell, toolbar
from tests.shell.fake_session import FakeSession


def text_of(width: int, *, lost: int = 0, hint: str = "", **shell: int | str) -> list[str]:
    service = FakeSession()
    status = service.status()
    service.close()
    status.lost = lost
    also = of_the_shell(vi=str(shell.get("vi", "")), alerts=int(shell.get("alerts", 0)))
    parts = toolbar(status, width=width, hint=hint, also=also)
    return "".join(text for _, text in parts).split("\n")


def test_everything_is_there_where_there_is_room() -> None:
    (line,) = text_of(120, vi="normal", alerts=2)
    assert line.startswith(" REC  vi normal  2 alerts  2 rows 1.2k/s  3 packets 0/s  lost 0")
    assert text_of(120)[0].startswith(" REC  2 rows")


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (40, " REC  2 rows 1.2k/s  lost 1,204"),
        (20, " REC  lost 1,204"),
        (12, " REC"),
    ],
)
def test_alarms_are_left_out_last(width: int, line: str) -> None:
    assert text_of(width, lost=1204) == [line]


def test_a_hint_that_is_too_long_is_cut_and_says_so() -> None:
    assert text_of(20, hint="filter PRED VALUE")[0] == " filter PRED VALUE"
    assert text_of(16, hint="filter PRED VALUE")[0] == " filter PRED V…"


@given(st.integers(2, 200), st.text("a日\u0301 ", max_size=100))
def test_no_line_is_wider_than_the_terminal(width: int, hint: str) -> None:
    for line in text_of(width, hint=hint, vi="insert", alerts=3, lost=1):
        assert wcswidth(line) <= width


def test_before_there_is_a_session_it_says_so() -> None:
    assert toolbar(None, width=80) == [("", " "), ("", "connecting...")]
