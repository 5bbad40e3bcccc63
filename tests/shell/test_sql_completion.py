"""What is offered at the cursor of a statement, which each case marks with |."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nshell.shell.completion.seen import ColumnValues
from nshell.shell.completion.sql import complete_sql
from nshell.shell.kinds import World

if TYPE_CHECKING:
    from collections.abc import Sequence

SEEN: dict[tuple[str, str], list[tuple[object, int]]] = {
    ("flow", "SrcAddr"): [("10.0.0.1", 7), ("10.0.0.2", 3)],
    ("flow", "Proto"): [(6, 9), (17, 1)],
    ("drop", "Reason"): [("NO_SOCKET", 5), ("NETFILTER_DROP", 2), ("it's", 1)],
    ("flow", "Etype"): [(n, 1) for n in range(40)],
}
TABLES = {
    "flow": {"SrcAddr": "TEXT", "DstAddr": "TEXT", "Proto": "INTEGER", "Etype": "INTEGER",
             "Bytes": "INTEGER", "DnsLatencyMs": "REAL"},
    "packet": {"TimeNs": "INTEGER", "SrcAddr": "TEXT", "Length": "INTEGER"},
    "drop": {"Reason": "TEXT", "Node": "TEXT"},
    "drop_summary": {"Reason": "TEXT", "Drops": "INTEGER"},
    "odd": {"two words": "TEXT", "plain": "TEXT"},
}  # fmt: skip
FLOW = list(TABLES["flow"])
PACKET = list(TABLES["packet"])


def seen(question: object) -> Sequence[Sequence[object]]:
    assert isinstance(question, ColumnValues)
    return SEEN.get((question.table, question.column), [])


WORLD = World(
    tables=TABLES,
    views={"drop_summary"},
    notes={"flow": "one row per flow", "flow.SrcAddr": "source address; NULL when not IP"},
    functions=("in_cidr", "ip_name", "count", "sum", "soundex"),
    seen=seen,
)


def offered(marked: str) -> list[str]:
    before, _, after = marked.partition("|")
    return [candidate.text for candidate in complete_sql(before, WORLD, after=after)]


def columns(marked: str) -> list[str]:
    """What is offered and is a column, without what qualifies it."""
    names = {name for table in TABLES.values() for name in table}
    found = (text.rpartition(".")[2] for text in offered(marked))
    return [name for name in found if name in names]


@pytest.mark.parametrize(
    "marked",
    [
        "SELECT * FROM |",
        "SELECT * FROM flow, |",
        "SELECT * FROM flow f, |",
        "SELECT * FROM flow JOIN |",
        "SELECT * FROM flow LEFT JOIN |",
        "SELECT (SELECT 1 FROM |",
        "SELECT * FROM flow WHERE Bytes IN (SELECT 1 FROM |)",
        "SELECT 1 FROM flow UNION SELECT 1 FROM |",
        "SELECT Bytes FROM | WHERE Bytes > 1",
        "WITH a AS (SELECT 1 FROM |",
        "SELECT 1; SELECT * FROM |",
    ],
)
def test_tables_and_nothing_else_follow_from_and_join(marked: str) -> None:
    assert offered(marked) == list(TABLES)


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("SELECT | FROM packet", PACKET),
        ("SELECT Length, | FROM packet", PACKET),
        ("SELECT sum(| FROM packet", PACKET),
        ("SELECT sum(|) FROM packet", PACKET),
        ("SELECT max(Length, coalesce(|) FROM packet", PACKET),
        ("SELECT * FROM packet WHERE |", PACKET),
        ("SELECT * FROM packet WHERE Length > 1 AND |", PACKET),
        ("SELECT * FROM packet WHERE (Length > 1 OR |", PACKET),
        ("SELECT * FROM packet GROUP BY |", PACKET),
        ("SELECT * FROM packet GROUP BY 1 HAVING |", PACKET),
        ("SELECT * FROM packet ORDER BY Length, |", PACKET),
        ("SELECT CASE WHEN | FROM packet", PACKET),
        ("SELECT CASE WHEN 1 THEN | END FROM packet", PACKET),
        ("SELECT p.| FROM packet p", PACKET),
        ("SELECT p.| FROM packet AS p", PACKET),
        ("SELECT P.| FROM packet p", PACKET),
        ("SELECT packet.| FROM packet", PACKET),
        ("SELECT * FROM flow f JOIN packet p ON p.|", PACKET),
        ("SELECT * FROM flow f, packet p WHERE p.|", PACKET),
        ("SELECT x.| FROM flow f", []),
        # Subqueries have tables of their own, and what is around them behind those.
        ("SELECT * FROM (SELECT | FROM packet) WHERE 1", PACKET),
        ("SELECT * FROM flow WHERE Bytes IN (SELECT | FROM packet)", [*PACKET, *FLOW]),
        ("SELECT (SELECT | FROM packet) FROM flow", [*PACKET, *FLOW]),
        ("SELECT * FROM flow f WHERE EXISTS (SELECT 1 FROM packet WHERE f.|)", FLOW),
        ("SELECT (SELECT max(Length) FROM packet), | FROM flow", FLOW),
        ("SELECT * FROM flow WHERE Bytes > (SELECT 1 FROM packet) AND |", FLOW),
        # A query behind FROM is known by what it selects.
        ("SELECT | FROM (SELECT Length, TimeNs AS Time FROM packet)", ["Length"]),
        ("SELECT x.| FROM (SELECT * FROM packet) x", PACKET),
        ("SELECT x.| FROM (SELECT p.* FROM flow, packet p) AS x", PACKET),
        ("SELECT | FROM (SELECT Length FROM packet UNION SELECT 1)", ["Length"]),
        # So is what WITH names.
        ("WITH t AS (SELECT Length FROM packet) SELECT | FROM t", ["Length"]),
        ("WITH t AS (SELECT * FROM packet), u AS (SELECT | FROM t) SELECT 1", PACKET),
        ("WITH t(Bytes) AS (SELECT Length FROM packet) SELECT t.| FROM t", ["Bytes"]),
        ("WITH t AS (SELECT | FROM packet) SELECT 1 FROM flow", PACKET),
        ("WITH t AS NOT MATERIALIZED (SELECT Length FROM packet) SELECT | FROM t", ["Length"]),
        # Each part of a UNION has its own.
        ("SELECT Bytes FROM flow UNION ALL SELECT | FROM packet", PACKET),
        ("SELECT | FROM packet UNION ALL SELECT Bytes FROM flow", PACKET),
        # As does each statement.
        ("SELECT 1 FROM flow; SELECT | FROM packet", PACKET),
        ("SELECT | FROM packet; SELECT 1 FROM flow", PACKET),
        # A joined table in brackets.
        ("SELECT | FROM (packet)", PACKET),
        ("EXPLAIN QUERY PLAN SELECT | FROM packet", PACKET),
        ('SELECT "p".| FROM packet AS "p"', PACKET),
    ],
)
def test_columns_are_those_of_the_tables_that_can_be_named(
    marked: str, expected: list[str]
) -> None:
    assert columns(marked) == expected


@pytest.mark.parametrize("clause", ["GROUP BY", "GROUP BY 1 HAVING", "ORDER BY", "ORDER BY 1,"])
def test_names_that_the_query_gives_come_first_where_it_groups_and_orders(clause: str) -> None:
    query = f"SELECT SrcAddr, sum(Bytes) AS total, count(*) n FROM flow {clause} |"
    assert offered(query)[:3] == ["total", "n", "SrcAddr"]
    assert "total" not in offered("SELECT sum(Bytes) AS total, | FROM flow")


def test_without_a_from_the_columns_of_every_table_are_offered_each_once() -> None:
    found = columns("SELECT |")
    assert {"Bytes", "Length", "Reason"} <= set(found)
    assert found.count("SrcAddr") == 1


def test_a_column_of_two_tables_is_qualified_and_found_by_its_name() -> None:
    assert offered("SELECT Src| FROM flow f, packet p") == ["f.SrcAddr", "p.SrcAddr"]
    assert offered("SELECT Byt| FROM flow f, packet p") == ["Bytes"]
    assert {"f", "p"} <= set(offered("SELECT | FROM flow f, packet p"))


def test_a_name_that_needs_quotes_gets_them() -> None:
    assert offered("SELECT | FROM odd")[:2] == ['"two words"', "plain"]
    assert offered("SELECT two| FROM odd")[0] == '"two words"'


@pytest.mark.parametrize(
    ("marked", "first"),
    [
        ("|", ["SELECT", "WITH", "VALUES"]),
        ("SELECT * |", ["FROM"]),
        ("SELECT count(*) |", ["FROM", "AS"]),
        ("SELECT * FROM flow |", ["WHERE", "JOIN", "LEFT JOIN", "GROUP BY", "ORDER BY", "LIMIT"]),
        ("SELECT * FROM flow f |", ["WHERE", "JOIN"]),
        ("SELECT * FROM flow f JOIN packet p |", ["ON", "USING"]),
        ("SELECT * FROM (SELECT 1) |", ["WHERE", "JOIN"]),
        ("SELECT * FROM flow WHERE Bytes |", ["IN", "LIKE", "BETWEEN"]),
        ("SELECT * FROM flow WHERE Bytes > 5 |", ["AND", "OR", "GROUP BY"]),
        ("SELECT * FROM flow WHERE f.Bytes = 5 |", ["AND", "OR", "GROUP BY"]),
        ("SELECT * FROM flow WHERE Bytes IN (5) |", ["AND", "OR"]),
        ("SELECT * FROM flow WHERE Bytes IS |", ["NULL", "NOT NULL"]),
        ("SELECT * FROM flow WHERE Bytes NOT |", ["IN", "LIKE"]),
        ("SELECT * FROM flow GROUP |", ["BY"]),
        ("SELECT * FROM flow GROUP BY 1 |", ["HAVING", "ORDER BY"]),
        ("SELECT * FROM flow ORDER BY 1 |", ["DESC", "ASC", "LIMIT"]),
        ("SELECT * FROM flow ORDER BY 1 DESC |", ["LIMIT"]),
        ("SELECT * FROM flow LIMIT 5 |", ["OFFSET"]),
        ("SELECT * FROM flow WHERE (Bytes > 5 |", ["AND", "OR"]),
        ("SELECT * FROM flow WHERE Bytes BETWEEN 1 |", ["AND"]),
        ("SELECT * FROM flow LEFT |", ["JOIN"]),
        ("SELECT 1 UNION |", ["ALL", "SELECT"]),
        ("SELECT 1 UNION ALL |", ["SELECT"]),
        ("SELECT CASE |", ["SrcAddr"]),
        ("SELECT CASE WHEN 1 |", ["THEN"]),
        ("SELECT CASE WHEN 1 THEN 2 |", ["WHEN", "ELSE", "END"]),
        ("SELECT CAST(Bytes |", ["AS"]),
        ("SELECT CAST(Bytes AS |", ["INTEGER", "REAL", "TEXT"]),
        ("SELECT sum(Bytes) OVER (|", ["PARTITION BY", "ORDER BY"]),
        ("SELECT sum(Bytes) OVER (ORDER |", ["BY"]),
        ("WITH t |", ["AS"]),
        ("WITH t AS (|", ["SELECT"]),
        ("WITH t AS (SELECT 1) |", ["SELECT"]),
        ("EXPLAIN |", ["QUERY PLAN", "SELECT"]),
    ],
)
def test_a_keyword_is_offered_where_it_may_stand(marked: str, first: list[str]) -> None:
    assert offered(marked)[: len(first)] == first


def test_a_keyword_has_the_letters_that_are_typed() -> None:
    assert offered("select * from flow |")[:2] == ["where", "join"]
    assert offered("select * from flow w|") == ["where"]
    assert offered("SELECT * FROM flow w|") == ["where"]
    assert offered("select * from flow W|") == ["WHERE"]


@pytest.mark.parametrize(
    ("marked", "absent"),
    [
        ("SELECT * FROM flow |", {"Bytes", "SELECT", "AND"}),
        ("SELECT * FROM flow WHERE |", {"FROM", "WHERE", "GROUP BY", "count("}),
        ("SELECT |", {"FROM", "WHERE"}),
        ("SELECT * FROM flow ORDER BY 1 |", {"IN", "AND", "FROM"}),
    ],
)
def test_a_keyword_is_not_offered_where_it_may_not(marked: str, absent: set[str]) -> None:
    assert not absent & set(offered(marked))


@pytest.mark.parametrize(
    "marked",
    [
        "SELECT 'flo|",
        "SELECT * FROM flow WHERE Bytes > 12|",
        "SELECT 1 -- flo|",
        "SELECT 1 /* flo|",
        "SELECT Bytes AS |",
        "SELECT Bytes AS | FROM flow",
        "SELECT * FROM flow LIMIT |",
        "WITH RECURSIVE |",
        "WITH t(|",
        'SELECT "flo|',
    ],
)
def test_nothing_is_offered_where_one_has_to_invent_it(marked: str) -> None:
    assert offered(marked) == []


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("SELECT * FROM flow WHERE Proto = |", ["6", "17"]),
        ("SELECT * FROM flow WHERE Proto != |", ["6", "17"]),
        ("SELECT * FROM flow WHERE Proto <> |", ["6", "17"]),
        ("SELECT * FROM flow WHERE Proto IN (|", ["6", "17"]),
        ("SELECT * FROM flow WHERE Proto IN (6, |", ["17"]),
        ("SELECT * FROM flow WHERE Proto NOT IN (6, |)", ["17"]),
        ("SELECT * FROM flow WHERE Proto LIKE |", ["'6'", "'17'"]),
        ("SELECT * FROM flow WHERE proto = |", ["6", "17"]),
        ("SELECT * FROM flow f JOIN drop d ON 1 WHERE f.Proto = |", ["6", "17"]),
        ("SELECT * FROM flow WHERE SrcAddr = |", ["'10.0.0.1'", "'10.0.0.2'"]),
        ("SELECT * FROM flow WHERE SrcAddr = | AND Proto = 6", ["'10.0.0.1'", "'10.0.0.2'"]),
        ("SELECT * FROM drop WHERE Reason = |", ["'NO_SOCKET'", "'NETFILTER_DROP'", "'it''s'"]),
        ("SELECT * FROM drop WHERE Reason = 'NO|", ["'NO_SOCKET'"]),
        ("SELECT * FROM drop WHERE Reason = 'drop|", ["'NETFILTER_DROP'"]),
        ("SELECT * FROM drop WHERE Reason = 'it''|", ["'it''s'"]),
        ("SELECT * FROM drop WHERE Reason LIKE 'NO|", ["'NO_SOCKET'"]),
        ("SELECT * FROM drop WHERE Reason LIKE '%sock|", ["'NO_SOCKET'"]),
        ("SELECT * FROM drop WHERE Reason IN ('NO_SOCKET', 'N|", ["'NETFILTER_DROP'"]),
        ("SELECT * FROM drop WHERE Reason = 'NO|' AND Node = 'a'", ["'NO_SOCKET'"]),
        # Of a view: where its values come from is not known here.
        ("SELECT * FROM drop_summary WHERE Reason = 'N|", []),
        # Each value once: of no use.
        ("SELECT * FROM flow WHERE Etype = |", []),
        # Nobody asks for so many bytes.
        ("SELECT * FROM flow WHERE Bytes = |", []),
    ],
)
def test_values_of_a_column_follow_a_comparison(marked: str, expected: list[str]) -> None:
    before, _, after = marked.partition("|")
    found = complete_sql(before, WORLD, after=after)
    values = [c.text for c in found if c.text[0] in "'0123456789"]
    assert values == expected


def test_a_value_takes_the_place_of_its_quote_too_and_shows_how_often_it_came() -> None:
    (found,) = complete_sql("SELECT * FROM drop WHERE Reason = 'NO_S", WORLD)
    assert (found.text, found.replaces, found.meta) == ("'NO_SOCKET'", 5, "5 rows")
    first = complete_sql("SELECT * FROM flow WHERE Proto = ", WORLD)[0]
    assert first.meta == "tcp · 9 rows"


def test_a_join_is_offered_by_columns_of_one_name() -> None:
    assert offered("SELECT * FROM flow f JOIN packet p ON |")[0] == "f.SrcAddr = p.SrcAddr"
    assert offered("SELECT * FROM flow JOIN packet USING (|") == ["SrcAddr"]


def test_beginnings_come_first_then_parts_of_names() -> None:
    assert offered("SELECT lat| FROM flow") == ["DnsLatencyMs"]
    assert offered("SELECT sa| FROM flow") == ["SrcAddr"]
    assert offered("SELECT addr| FROM flow") == ["SrcAddr", "DstAddr"]
    assert offered("SELECT s| FROM flow")[0] == "SrcAddr"
    assert "DstAddr" not in offered("SELECT d| FROM packet")


def test_functions_show_how_they_are_called_and_odd_ones_wait_to_be_typed() -> None:
    found = {c.text: c.meta for c in complete_sql("SELECT ", WORLD)}
    assert found["in_cidr("].startswith("(address, '10.0.0.0/8')")
    assert "soundex(" not in found
    assert offered("SELECT soun|") == ["soundex("]


def test_what_is_offered_says_what_it_is() -> None:
    tables = {c.text: c.meta for c in complete_sql("SELECT * FROM ", WORLD)}
    assert tables["flow"] == "table · one row per flow"
    assert tables["drop_summary"] == "view"
    (column,) = complete_sql("SELECT srca", WORLD, after=" FROM flow")
    assert (column.text, column.replaces) == ("SrcAddr", 4)
    assert column.meta == "flow TEXT · source address"


_WORDS = (
    "SELECT FROM WITH AS IN CASE WHEN END ON JOIN UNION LIMIT flow t1 , . ; ' \" ( ) [ * -- /* = 5"
)
_TEXT = st.lists(st.sampled_from(_WORDS.split()), max_size=12).map(" ".join)


@given(_TEXT, _TEXT)
def test_no_text_makes_it_fail(before: str, after: str) -> None:
    complete_sql(before, WORLD, after=after)


def test_brackets_within_brackets_without_end_do_not_make_it_fail() -> None:
    complete_sql("SELECT " + "(SELECT " * 500, WORLD, after=")" * 300)
