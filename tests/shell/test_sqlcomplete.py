"""What is offered at the cursor of a statement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nshell.shell.kinds import World
from nshell.shell.sqlcomplete import complete_sql, named_tables

WORLD = World(
    tables={
        "flow": {"SrcAddr": "TEXT", "Bytes": "INTEGER"},
        "packet": {"Time": "INTEGER", "Length": "INTEGER"},
    },
    functions=("in_cidr", "ip_name"),
)


def offered(text: str) -> list[str]:
    return [candidate.text for candidate in complete_sql(text, WORLD)]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM ",
        "SELECT * FROM flow, ",
        "SELECT * FROM flow JOIN ",
        "SELECT (SELECT 1 FROM ",
    ],
)
def test_tables_follow_from_and_join(text: str) -> None:
    assert offered(text) == ["flow", "packet"]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT By",
        "SELECT * FROM flow WHERE By",
        "SELECT Bytes, By",
        "SELECT sum(By",
        "SELECT * FROM flow ORDER BY By",
        "SELECT * FROM flow AS f WHERE f.By",
        "SELECT * FROM packet p JOIN flow f ON f.By",
        "select * from flow f where F.by",
        "SELECT * FROM packet, flow WHERE Length > By",
    ],
)
def test_columns_are_offered_where_they_make_sense(text: str) -> None:
    assert "Bytes" in offered(text)


def test_only_columns_of_the_tables_named_are_offered() -> None:
    assert "Length" not in offered("SELECT * FROM flow WHERE ")
    assert offered("SELECT * FROM flow f, packet p WHERE p.") == ["Time", "Length"]
    assert offered("SELECT * FROM flow f WHERE x.") == []


def test_aliases_functions_and_keywords_are_offered() -> None:
    found = offered("SELECT * FROM flow f WHERE ")
    assert {"f", "in_cidr(", "count(", "ORDER BY"} <= set(found)
    assert offered("SEL") == ["SELECT"]


def test_a_column_shows_its_table_and_type() -> None:
    found = complete_sql("SELECT By", WORLD)
    assert (found[0].text, found[0].meta, found[0].replaces) == ("Bytes", "flow INTEGER", 2)


def test_nothing_is_offered_inside_a_string() -> None:
    assert offered("SELECT * FROM flow WHERE SrcAddr = 'fl") == []


def test_aliases_point_to_their_tables() -> None:
    sql = "SELECT * FROM node, flow AS a JOIN packet b ON a.x = b.x WHERE a.y"
    assert named_tables(sql) == {"a": "flow", "b": "packet", "node": "node"}


@given(st.text(alphabet="SELECT FROM flow,.'\"()* ab\n-/"))
def test_no_text_makes_it_fail(text: str) -> None:
    complete_sql(text, WORLD)
