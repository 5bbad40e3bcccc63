"""Words, statements and scripts: how typed text is cut up."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nshell.shell import sqltext
from nshell.shell.errors import CommandError
from nshell.shell.escape import escape, escape_block
from nshell.shell.script import (
    Splitter,
    command_at,
    command_spans,
    is_finished,
    split_script,
)
from nshell.shell.words import Cursor, split

COMMANDS = ["filter", "status", "export", "sql", "wait", "quit", "tables"]


def test_quotes_group_words_and_vanish() -> None:
    words = split("""export csv "my file.csv" SELECT 'a b'""")
    assert [w.text for w in words] == ["export", "csv", "my file.csv", "SELECT", "a b"]


def test_the_raw_tail_is_the_text_as_typed() -> None:
    cursor = Cursor("sql  SELECT  'a  b' ")
    assert cursor.next() == "sql"
    assert cursor.rest_raw() == "SELECT  'a  b'"
    assert cursor.at_end


def test_an_open_quote_is_an_error_only_for_whom_reads_the_word() -> None:
    cursor = Cursor("export 'half")
    cursor.skip(1)
    with pytest.raises(CommandError, match="quote not closed: 'half"):
        cursor.next()
    assert cursor.rest_raw() == "'half"


@given(st.text())
def test_any_text_can_be_cut_into_words_in_order(text: str) -> None:
    words = split(text)
    assert all(a.end <= b.start for a, b in pairwise(words))
    assert "".join("".join(text.split())) == "".join(
        "".join(text[w.start : w.end].split()) for w in words
    )


@given(st.text())
def test_sql_tokens_joined_are_the_text_again(text: str) -> None:
    assert "".join(token.text for token in sqltext.tokens(text)) == text


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT",
        "SELECT *",
        "SELECT a,",
        "SELECT a FROM",
        "SELECT a FROM flow WHERE",
        "SELECT a FROM flow WHERE b =",
        "SELECT a FROM flow WHERE b = 'x",
        'SELECT "a',
        "SELECT count(",
        "SELECT (1",
        "SELECT 1 /* and",
        "WITH a AS (SELECT 1)",
        "SELECT 1 UNION ALL",
        "SELECT a FROM flow t WHERE t.",
        "SELECT a FROM flow ORDER BY",
    ],
)
def test_a_statement_that_cannot_be_finished_wants_more(sql: str) -> None:
    assert sqltext.wants_more(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT * FROM flow",
        "SELECT count(*)",
        "SELECT 'it''s'",
        "SELECT a FROM flow LIMIT 3",
        "SELECT a FROM flow -- and more",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "VALUES (1), (2)",
        "SELECT 'FROM'",
        "SELECT 1;",
    ],
)
def test_a_statement_that_may_be_finished_does_not(sql: str) -> None:
    assert not sqltext.wants_more(sql)


def test_a_semicolon_in_a_string_or_comment_ends_nothing() -> None:
    assert sqltext.statements("SELECT ';' -- ;\n; SELECT 2;") == ["SELECT ';' -- ;", "SELECT 2"]
    assert not sqltext.ends("SELECT ';'")
    assert sqltext.ends("SELECT ';' ; -- done")
    assert not sqltext.ends("SELECT '; ")


@pytest.mark.parametrize("mark", ["\\G", "\\gx"])
def test_a_mark_for_blocks_ends_a_statement_and_stays_with_it(mark: str) -> None:
    sql = f"SELECT a -- c\n{mark} SELECT 2; SELECT 3{mark}"
    assert sqltext.statements(sql) == ["SELECT a -- c\n\\G", "SELECT 2", "SELECT 3\n\\G"]
    assert sqltext.ends(f"SELECT a FROM{mark}  -- done")
    assert not sqltext.wants_more(f"SELECT a FROM {mark}")
    assert sqltext.without_mark(f"SELECT a {mark} ") == ("SELECT a", True)


def test_what_only_looks_like_the_mark_is_none() -> None:
    for sql in ("SELECT '\\G'", "SELECT 1 -- \\G", "SELECT 1 \\Gee", 'SELECT "\\G'):
        assert sqltext.without_mark(sql) == (sql, False)
        assert not sqltext.ends(sql)
    assert sqltext.without_mark("SELECT 1\\g") == ("SELECT 1", False)
    assert sqltext.ends("SELECT 1\\g")


def test_only_a_limit_of_the_statement_itself_counts() -> None:
    assert sqltext.has_limit("SELECT * FROM flow LIMIT 5")
    assert not sqltext.has_limit("SELECT * FROM (SELECT * FROM flow LIMIT 5)")
    assert not sqltext.has_limit("SELECT 'LIMIT'")


def test_a_script_is_one_command_a_line_without_comments() -> None:
    text = "# morning\nfilter port 80\n\n  status ;\n-- not this\nexport pcap\n"
    assert split_script(text, commands=COMMANDS) == ["filter port 80", "status", "export pcap"]


def test_sql_spans_lines_until_its_semicolon() -> None:
    text = "SELECT a\nFROM flow\nWHERE b;\nstatus"
    assert split_script(text, commands=COMMANDS) == ["SELECT a\nFROM flow\nWHERE b", "status"]


def test_a_command_on_the_next_line_ends_finished_sql() -> None:
    text = "SELECT a FROM flow\nstatus\nSELECT b FROM flow\nSELECT c FROM flow"
    assert split_script(text, commands=COMMANDS) == [
        "SELECT a FROM flow",
        "status",
        "SELECT b FROM flow",
        "SELECT c FROM flow",
    ]


def test_a_clause_named_like_a_command_does_not_end_sql() -> None:
    text = "SELECT count(*)\nFILTER (WHERE a) FROM flow;"
    assert split_script(text, commands=COMMANDS) == [text.removesuffix(";")]


def test_a_with_clause_keeps_its_select() -> None:
    text = "WITH a AS (SELECT 1)\nSELECT * FROM a\nstatus"
    assert split_script(text, commands=COMMANDS) == [
        "WITH a AS (SELECT 1)\nSELECT * FROM a",
        "status",
    ]


def test_several_statements_on_one_line_are_several_commands() -> None:
    assert split_script("SELECT 1; SELECT 2;", commands=COMMANDS) == ["SELECT 1", "SELECT 2"]


def test_a_saved_query_spans_lines_with_its_comments() -> None:
    text = "save q -- it's mine\n-- more\nSELECT 1\nFROM flow; SELECT 2;\nquit"
    assert split_script(text, commands=[*COMMANDS, "save"]) == [
        "save q -- it's mine\n-- more\nSELECT 1\nFROM flow",
        "SELECT 2",
        "quit",
    ]
    assert split_script("save q\nquit", commands=[*COMMANDS, "save"]) == ["save q", "quit"]


def test_a_query_behind_another_command_goes_on_while_it_must() -> None:
    text = "wait until SELECT (\n1) timeout 5s\nexport csv f SELECT 1\nquit"
    assert split_script(text, commands=COMMANDS) == [
        "wait until SELECT (\n1) timeout 5s",
        "export csv f SELECT 1",
        "quit",
    ]


def test_comments_may_stand_before_a_query() -> None:
    query = "/* who\n talks */ -- most\nSELECT 1 FROM flow"
    assert split_script(f"-- more\n{query}\nstatus", commands=COMMANDS) == [query, "status"]
    assert split_script("/* nothing */\n", commands=COMMANDS) == []
    assert sqltext.is_sql(query)
    assert not sqltext.is_sql("/* SELECT */ status")
    assert not sqltext.is_sql("/**/" * 5000 + "1")


def test_what_ends_a_line_elsewhere_stays_in_a_text_of_sql() -> None:
    query = "SELECT 'a\u2028b\x0cc'"
    assert split_script(f"{query}\r\nstatus", commands=COMMANDS) == [query, "status"]


@pytest.mark.parametrize(
    "pieces",
    [
        ["filter port 80\n", "status\n", "# why\n", "\n", "nonsense"],
        ["SELECT a\nFROM flow;\n", "status\n", "SELECT 1\n", "filter port 80"],
        ["SELECT a\nFROM flow\n", "quit"],
        ["SELECT count(*)\nfilter (WHERE 1)\nFROM flow"],
        ["-- what it shows\n", "WITH a AS (\nSELECT 1\n)\nSELECT * FROM a"],
        ["filter port 80 \\\nprotocol tcp\n", ""],
        ["export csv f SELECT a,\nb FROM flow\n", "tables"],
    ],
)
def test_the_commands_of_a_text_that_is_typed_have_their_places(pieces: list[str]) -> None:
    text = "".join(pieces)
    spans = command_spans(text, commands=COMMANDS)
    assert [text[begin:end] for begin, end in spans] == pieces
    at = 0
    for piece in pieces:
        assert command_at(text, at, commands=COMMANDS) == (at, at + len(piece))
        at += len(piece)


_PIECES = "SELECT FROM ( ) , ' ; \\G -- /* */ # a filter export csv save q watch"


@given(st.lists(st.sampled_from([*_PIECES.split(), "\\\n", "\n", "\n"]), max_size=16).map(" ".join))
def test_each_command_in_its_place_is_what_runs(text: str) -> None:
    spans = command_spans(text, commands=COMMANDS)
    apart = [
        command
        for begin, end in spans
        for command in split_script(text[begin:end], commands=COMMANDS)
    ]
    assert apart == split_script(text, commands=COMMANDS)


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("-- most\nSELECT 1 FROM", False),
        ("/* half", False),
        ("/* who */", False),
        ("/* who */ SELECT 1", True),
        ("-- who", True),
        ("SELECT 1 FROM", False),
        ("SELECT 1\\G", True),
        ("SELECT 1 +\\G", True),
        ("WITH a AS (SELECT 1)", False),
        ("save q", True),
        ("save q -- what it shows", False),
        ("save q -- what it shows\nSELECT 1", True),
        ("save q SELECT 1,", False),
        ("watch 2s SELECT 1 FROM", False),
        ("watch 2s SELECT 1", True),
        ("watch 2s run q", True),
        ("alert when SELECT (", False),
        ("export csv f.csv SELECT a FROM flow WHERE b =", False),
        ("run q a=b\\G", True),
    ],
)
def test_enter_opens_a_line_where_a_query_goes_on(text: str, *, finished: bool) -> None:
    assert is_finished(text) is finished


def test_the_word_sql_stays_where_the_statement_is_no_query() -> None:
    assert split_script("sql EXPLODE flow", commands=COMMANDS) == ["sql EXPLODE flow"]
    assert split_script("sql SELECT 1; DROP TABLE flow", commands=COMMANDS) == [
        "SELECT 1",
        "DROP TABLE flow",
    ]


def test_a_backslash_joins_lines() -> None:
    text = "filter port 80 \\\n  protocol tcp\nstatus"
    assert split_script(text, commands=COMMANDS) == ["filter port 80 \n  protocol tcp", "status"]


def test_lines_fed_one_by_one_give_commands_as_soon_as_they_are_complete() -> None:
    splitter = Splitter(COMMANDS)
    assert splitter.feed("status") == ["status"]
    assert splitter.feed("SELECT 1") == []
    assert splitter.feed("+ 1;") == ["SELECT 1\n+ 1"]
    assert splitter.feed("SELECT 2") == []
    assert splitter.end() == ["SELECT 2"]
    assert splitter.end() == []


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("", True),
        ("filter port 80", True),
        ("filter port", True),
        ("filter port 80 \\", False),
        ("SELECT 1", True),
        ("SELECT 1;", True),
        ("SELECT a FROM", False),
        ("sql SELECT a FROM", False),
        ("sql SELECT a FROM flow", True),
        ("SELECT 'a", False),
    ],
)
def test_enter_runs_what_is_finished(text: str, finished: bool) -> None:
    assert is_finished(text) is finished


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("\u2066x", "\\u2066x"),
        ("\x7f", "\\x7f"),
        ("\u2028", "\\u2028"),
        ("\udc80", "\\udc80"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_would_act_on_is_written_out(hostile: str, shown: str) -> None:
    assert escape(hostile) == shown


def test_harmless_text_stays_as_it_is() -> None:
    assert escape("naïve 日本") == "naïve 日本"
    assert escape_block("a\nb\x1b") == "a\nb\\x1b"


@given(st.text())
def test_nothing_escaped_can_move_a_cursor(text: str) -> None:
    assert all(c == " " or c.isprintable() or ord(c) >= 0xA0 for c in escape(text))
