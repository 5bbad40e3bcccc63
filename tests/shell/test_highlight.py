"""Colours of the line being typed. In each case ~words~ are wrong, and | is the cursor."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.document import Document

from nshell.collector import schema
from nshell.collector.query.functions import Functions
from nshell.collector.query.sql import known_names
from nshell.collector.views import VIEWS
from nshell.shell.commands import build_registry
from nshell.shell.kinds import World
from nshell.shell.prompt.highlight import ShellLexer
from nshell.shell.queries.builtin import BUILT_IN

if TYPE_CHECKING:
    from nshell.collector.relations import View

REGISTRY = build_registry()
WORLD = World(
    tables={t.name: {c.name: c.type for c in t.columns} for t in schema.RELATIONS},
    functions=(*Functions().names(), *known_names(apsw.Connection(":memory:")).functions),
)


def painted(text: str, *, cursor: int | None = None, world: World = WORLD) -> list[tuple[str, str]]:
    """Style and text of each piece, over all lines; first what is wrong."""
    lexer = ShellLexer(REGISTRY, lambda: world)
    document = Document(text, len(text) if cursor is None else cursor)
    line = lexer.lex_document(document)
    lines = [line(number) for number in range(document.line_count)]
    assert "\n".join("".join(part[1] for part in each) for each in lines) == text
    wrong = [("wrong", text[span.start : span.end]) for span in lexer.wrong(document)]
    return wrong + [(part[0].removeprefix("class:"), part[1]) for each in lines for part in each]


def style_of(word: str, text: str) -> str:
    return next(style for style, part in painted(text) if part == word)


@pytest.mark.parametrize(
    ("text", "word", "style"),
    [
        ("filter port 80 ", "filter", "command"),
        ("filter port 80 ", "port", "keyword"),
        ("filter port 80,443 ", "80,443", "pygments.literal.number"),
        ("FILTER LIST ", "LIST", "command"),
        ("export csv x.csv SELECT 1 ", "csv", "command"),
        ("export csv x.csv SELECT 1 ", "SELECT", "pygments.keyword"),
        ("capture packets on ", "on", "keyword"),
        ("enable dns,rtt ", "dns,rtt", "keyword"),
        ("set format json ", "json", "keyword"),
        ("schema flow ", "flow", "keyword"),
        ("schema FLOW ", "FLOW", "keyword"),
        ("export csv x.csv run lost ", "run", "keyword"),
        ("alert when 'it is' not so ", "when", "command"),
        ("status\n# why ", "# why ", "pygments.comment"),
        ("-- why\nSELECT 1", "SELECT", "pygments.keyword"),
        ("SELECT Name, count(*) FROM pod ", "SELECT", "pygments.keyword"),
        # Words of other dialects are names of columns here.
        ("SELECT Name, count(*) FROM pod ", "Name", "pygments.name"),
        ("SELECT Name, count(*) FROM pod ", "count", "pygments.name.function"),
        ("SELECT 'a' -- b", "'a'", "pygments.literal.string.single"),
        ("SELECT 'a' -- b", "-- b", "pygments.comment.single"),
        ("SELECT 'half", "'half", "pygments.literal.string"),
        ("select 1", "select", "pygments.keyword"),
        ("watch 2s SELECT 1 ", "SELECT", "pygments.keyword"),
        ("export pcap where Proto = 6 ", "where", "pygments.keyword"),
    ],
)
def test_a_word_has_the_colour_of_what_it_is(text: str, word: str, style: str) -> None:
    assert style_of(word, text) == style


@pytest.mark.parametrize(
    "marked",
    [
        "~fitler~ port 80|",
        "filter port 80|",
        "~sttaus~ |",
        "sttaus|",
        "export ~foo~ |",
        "filter ~prot~ ~80~ |",
        "filter port 80 for ~flow~ |",
        "filter accept port 80|",
        "status ~now~ |",
        "set ~fromat~ json|",
        "set format ~jsno~ |",
        "set dns_port 53,5353 |",
        "schema ~flwo~ |",
        "capture flows ~onn~ |",
        "enable ~dns,dorps~ |",
        "history SELECT Foo |",
        "filter interface 'eth0|",
        "fil|",
        "export csv x SELECT ~Foo~ FROM flow|",
        "export pcap x where ~Foo~ = 1|",
        "watch 2s SELECT ~Foo~ FROM flow|",
        "alert when SELECT SrcAddr FROM ~flw~ |",
        "wait until SELECT count(*) > 5 FROM flow timeout 30s|",
        "SELECT SrcAddr FROM ~flw~ |",
        "SELECT SrcAddr FROM flw|",
        "SELECT ~Foo~, Bytes FROM flow|",
        "SELECT ~Foo~ |",
        "SELECT Foo|",
        "SELECT f.~Foo~, ~g~.Bytes, f.Bytes FROM flow f|",
        "SELECT count(*) AS n FROM flow GROUP BY SrcAddr HAVING n > 1 ORDER BY n|",
        "SELECT sum(Bytes) all_of_it FROM flow ORDER BY all_of_it|",
        "WITH t AS (SELECT SrcAddr AS a FROM flow) SELECT a, ~b~ FROM t|",
        "WITH t(b) AS (SELECT SrcAddr FROM flow) SELECT b FROM t WHERE ~SrcAddr~ = 1|",
        "SELECT x.value, ~Foo~.y FROM flow, json_each(Interfaces) x|",
        "SELECT * FROM flow f JOIN packet p ON f.Node = p.Node AND ~Foo~ = 1|",
        "SELECT * FROM (SELECT ~Foo~ FROM flow) x|",
        "SELECT (SELECT max(Length) FROM packet p WHERE p.SrcAddr = f.SrcAddr) m FROM flow f|",
        "SELECT CASE WHEN Bytes > 5 THEN 'x' ELSE ~Foo~ END FROM flow|",
        "SELECT rowid FROM flow WHERE rowid > (SELECT max(rowid) FROM flow) - 5|",
        "SELECT row_number() OVER w FROM flow WINDOW w AS (ORDER BY Bytes) LIMIT 5|",
        "SELECT Bytes FROM flow UNION SELECT ~Foo~ FROM packet ORDER BY Bytes|",
        "SELECT CAST(Bytes AS TEXT), SrcAddr COLLATE NOCASE FROM flow|",
        "SELECT ~sume~(Bytes), count (*), IP_NAME(SrcAddr) FROM flow WHERE ~foo~(1) = 1|",
        "SELECT CAST(Bytes AS VARCHAR(5)), CAST(Bytes AS BIG INT(5)) FROM flow|",
        "SELECT 1 FROM flow WHERE Bytes IN (1) AND (Bytes) AND EXISTS (SELECT 1)|",
        "WITH t(a) AS (VALUES (1)) SELECT a FROM t JOIN flow USING (a) GROUP BY ~bar~(a)|",
        "SELECT sume|(Bytes) FROM flow",
        "SELECT value FROM generate_series(1, 5)|",
        # A line is a command.
        "filter port 80\nfilter port 443\nstatus\nquit|",
        "filter port 80\n~sttaus~\nSELECT ~Foo~\nFROM flow\n# why\nset format json|",
        # Not known what it has.
        "SELECT a, b FROM flow, ~nothing~ WHERE c = 1|",
        "SELECT 'half|",
    ],
)
def test_what_is_wrong_is_underlined_unless_the_cursor_is_on_it(marked: str) -> None:
    text = marked.replace("~", "")
    cursor = text.index("|")
    found = painted(text.replace("|", ""), cursor=cursor)
    wrong = [part for style, part in found if style == "wrong"]
    assert wrong == re.findall("~([^~]+)~", marked)


def test_a_quote_left_open_is_wrong_once_the_cursor_has_left_it() -> None:
    text = "SELECT 'half"
    assert ("wrong", "'half") in painted(text, cursor=3)
    assert ("wrong", "'eth0") in painted("filter interface 'eth0", cursor=3)
    assert "wrong" not in dict(painted("filter interface 'eth0"))


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_right_sql_is_left_alone(view: View) -> None:
    assert "wrong" not in {style for style, _ in painted(view.sql.strip())}


def test_nothing_of_sql_is_called_wrong_while_the_tables_are_not_known() -> None:
    assert "wrong" not in dict(painted("SELECT Foo FROM flw ", world=World()))


def test_no_function_is_called_wrong_while_they_are_not_known() -> None:
    world = replace(WORLD, functions=())
    assert "wrong" not in dict(painted("SELECT foo(1) ", world=world))


@pytest.mark.parametrize("name", BUILT_IN)
def test_nothing_is_wrong_in_a_query_that_comes_with_the_program(name: str) -> None:
    sql = re.sub(r":(\w+)", "1", BUILT_IN[name])
    assert [part for style, part in painted(f"{sql} ") if style == "wrong"] == []


def test_lines_of_a_long_query_keep_their_place() -> None:
    found = painted("SELECT SrcAddr\nFROM flow\nWHERE Foo = 'a\nb' ")
    assert ("wrong", "Foo") in found
    assert ("pygments.keyword", "FROM") in found


_WORDS = "SELECT FROM WITH AS flow ( ) ' \" , . = filter export csv watch port 80 é"


@given(st.lists(st.sampled_from([*_WORDS.split(), "\n"]), max_size=12).map(" ".join))
def test_no_text_makes_it_fail(text: str) -> None:
    ShellLexer(REGISTRY)._paint(text, WORLD)
    painted(text)
