"""Queries with a name: their parameters, where they are kept, and those built in."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nshell.collector.query.functions import Functions
from nshell.collector.query.sql import LockedReader
from nshell.shell.errors import CommandError, Failure
from nshell.shell.kinds.queries import Asked
from nshell.shell.output.render import render
from nshell.shell.queries import Library, parameters
from nshell.shell.queries.builtin import BUILT_IN
from nshell.shell.queries.library import MOST_BYTES
from tests.shell.querystore import make_store

if TYPE_CHECKING:
    from tests.shell.conftest import Shell

GOLDEN = Path(__file__).parent / "golden"
COMMENTED = (
    "-- who asks, it's a summary\n-- :port = 443\nSELECT a -- :no\nFROM flow WHERE b = :port"
)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "queries")


@pytest.fixture
def saving(shell: Shell, library: Library) -> Shell:
    """A shell whose queries are this test's alone."""
    object.__setattr__(shell.context, "queries", library)
    return shell


def test_parameters_are_found_outside_strings_and_comments() -> None:
    sql = "SELECT ':no', \":no\", :yes, a -- :no\n/* :no */ FROM t WHERE b=:yes AND c = :also"
    assert list(parameters.taken(sql)) == ["yes", "also"]


def test_a_value_is_put_in_as_a_literal() -> None:
    sql = "SELECT :a, 'x :a', 1 - :b"
    filled = parameters.filled(sql, {"a": "it's", "b": "-5"})
    assert filled == "SELECT 'it''s', 'x :a', 1 - (-5)"


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("443", "443"), ("0.5", "0.5"), ("-1", "(-1)"), ("007", "'007'"), ("1e5", "'1e5'"),
        ("0x10", "'0x10'"), ("10.0.0.1", "'10.0.0.1'"), ("", "''"), ("NULL", "'NULL'"),
        ("1; DROP", "'1; DROP'"), ("' OR 1 --", "''' OR 1 --'"), ("9" * 40, f"'{'9' * 40}'"),
    ],
)  # fmt: skip
def test_only_a_plain_number_is_one(value: str, literal: str) -> None:
    assert parameters.filled("SELECT :a", {"a": value}) == f"SELECT {literal}"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_no_value_becomes_anything_but_a_value(value: str) -> None:
    sql = parameters.filled("SELECT CAST(:a AS TEXT), :b", {"a": value, "b": "end"})
    assert sqlite3.connect(":memory:").execute(sql).fetchone() == (value, "end")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["q"], "a=VALUE, b=VALUE is missing"),
        (["q", "a=1"], "b=VALUE is missing"),
        (["q", "a=1", "b=2", "c=3"], "no parameter 'c': there is a, b"),
        (["q", "a=1", "a=2"], "a is given twice"),
        (["q", "a"], "'a' is not NAME=VALUE: did you mean 'a=VALUE'?"),
        (["top_talkers", "rosw", "5"], "'rosw' is not NAME=VALUE: did you mean 'rows=VALUE'?"),
        (["lost", "5"], "'5' is not NAME=VALUE"),
        (["top_talker", "5"], "no query named 'top_talker': did you mean 'top_talkers'?"),
        (["p"], "no query named 'p': `queries` lists them"),
        (["top_talker"], "no query named 'top_talker': did you mean 'top_talkers'?"),
        (["top_talkers", "row=3"], "no parameter 'row': did you mean 'rows'?"),
        (["lost", "row=3"], "no parameter 'row': it has none"),
    ],
)
def test_what_is_missing_or_unknown_is_told(library: Library, words: list[str], why: str) -> None:
    library.save("q", "SELECT :a, :b")
    with pytest.raises(CommandError) as error:
        library.sql_of(Asked("", tuple(words)))
    assert str(error.value) == why


def test_a_saved_query_is_a_private_file_of_the_exact_text(
    library: Library, tmp_path: Path
) -> None:
    query = library.save("mine", COMMENTED)
    file = tmp_path / "queries" / "mine.sql"
    assert file.read_text() == f"{COMMENTED}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert (query.text, query.summary) == (COMMENTED, "who asks, it's a summary")
    assert query.takes == "[port]"
    assert [each.name for each in file.parent.iterdir()] == ["mine.sql"]


def test_another_session_sees_what_one_saves_and_removes(tmp_path: Path) -> None:
    one, other = Library(tmp_path), Library(tmp_path)
    assert "mine" not in other.listed()
    one.save("mine", "SELECT 1")
    assert other.listed()["mine"].summary == "SELECT 1"
    one.remove("mine")
    assert "mine" not in other.listed()


def test_a_query_that_was_edited_in_its_file_runs_as_it_is_now(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.save("mine", "SELECT 1")
    changed = tmp_path.stat().st_mtime_ns
    (tmp_path / "mine.sql").write_text("SELECT 2\n")
    assert tmp_path.stat().st_mtime_ns == changed
    assert library.sql_of(Asked("", ("mine",))) == "SELECT 2"
    assert library.all()["mine"].text == "SELECT 2"


def test_what_a_query_shows_is_not_what_its_parameters_are(tmp_path: Path) -> None:
    library = Library(tmp_path)
    text = "-- :name = 'two words' and more\n-- who it is\nSELECT :name"
    query = library.save("mine", text)
    assert (query.summary, query.takes) == ("who it is", "[name]")
    assert library.sql_of(Asked("", ("mine",))).endswith("SELECT 'two words'")


def test_what_is_no_query_in_the_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "bad name.sql").write_text("SELECT 1")
    (tmp_path / "bytes.sql").write_bytes(b"\xff\xfe")
    (tmp_path / "folder.sql").mkdir()
    os.mkfifo(tmp_path / "pipe.sql")
    (tmp_path / "endless.sql").write_text(f"SELECT 1 {' ' * MOST_BYTES}")
    (tmp_path / "good.sql").write_text("SELECT 1")
    assert set(Library(tmp_path).all()) == {"good", *BUILT_IN}


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("../x", "SELECT 1", "a query cannot be named '../x': letters, digits, _ . - and no more"),
        ("1st", "SELECT 1", "a query cannot be named '1st': letters, digits, _ . - and no more"),
        ("x", "-- only words", "a query must follow its name"),
        ("x", "DELETE FROM flow", "what is saved must be a query, not 'DELETE'"),
        ("x", "SELECT 1; SELECT 2", "one query at a time can be saved"),
    ],
)  # fmt: skip
def test_what_cannot_be_saved_is_told(library: Library, name: str, text: str, why: str) -> None:
    with pytest.raises(CommandError) as error:
        library.save(name, text)
    assert str(error.value) == why
    assert set(library.all()) == set(BUILT_IN)


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="cannot save x: "):
        Library(tmp_path / "file" / "queries").save("x", "SELECT 1")


async def test_save_run_list_show_and_remove(saving: Shell) -> None:
    await saving.run("save by_port -- to a port\nSELECT SrcAddr FROM flow\nWHERE DstPort = :port;")
    assert saving.seen.told == ["query by_port saved: `run by_port`"]
    assert await saving.run("run by_port port=53") == "SrcAddr\n---------\n10.0.0.3\n"
    assert (
        await saving.run("run by_port port=53\\G")
        == "-[ 1 ]-------------------\nSrcAddr  10.0.0.3\n"
    )
    listed = (await saving.run("queries")).splitlines()
    assert any(line.split() == ["by_port", "to", "a", "port", "port", "saved"] for line in listed)
    shown = await saving.run("queries by_port")
    assert shown == "-- to a port\nSELECT SrcAddr FROM flow\nWHERE DstPort = :port\n"
    await saving.run("save by_port SELECT 1")
    assert saving.seen.told == ["query by_port replaced: `run by_port`"]
    await saving.run("unsave by_port")
    assert saving.seen.told == ["query by_port removed"]
    with pytest.raises(Failure, match="run: no query named 'by_port'"):
        await saving.run("run by_port")


async def test_a_built_in_query_is_hidden_with_a_word_and_never_lost(saving: Shell) -> None:
    await saving.run("save lost SELECT 7 AS n")
    assert saving.seen.told == [
        "query lost saved; the one that comes with the program is hidden by it"
    ]
    assert await saving.run("run lost") == "  n\n---\n  7\n"
    assert "hides a built-in one" in await saving.run("queries")
    await saving.run("unsave lost")
    assert saving.seen.told == ["query lost removed; the one that comes with the program is back"]
    assert "FROM loss" in await saving.run("queries lost")
    with pytest.raises(Failure, match="lost comes with the program: it cannot be removed"):
        await saving.run("unsave lost")


async def test_without_a_query_the_last_one_is_saved(saving: Shell) -> None:
    with pytest.raises(Failure, match="none has been asked yet"):
        await saving.run("save it")
    await saving.run("SELECT 40 + 2 AS answer")
    await saving.run("save it")
    assert await saving.run("queries it") == "SELECT 40 + 2 AS answer\n"


@pytest.mark.parametrize("cluster", [False, True], ids=["host", "cluster"])
def test_every_built_in_query_answers_as_its_golden_file_says(
    tmp_path: Path, library: Library, *, cluster: bool
) -> None:
    store = tmp_path / "session.db"
    make_store(store, cluster=cluster)
    parts = []
    for name in sorted(BUILT_IN):
        with LockedReader(store, Functions({})) as reader:
            rows = list(reader.rows(reader.execute(library.sql_of(Asked("", (name,))))))
            text = render("csv", reader.columns, rows)
        parts.append(f"== {name}: {library.get(name).summary}\n{text}")
    golden = GOLDEN / f"queries.{'cluster' if cluster else 'host'}.txt"
    assert "\n".join(parts) == golden.read_text()


def test_every_built_in_query_says_what_it_shows_on_a_narrow_line() -> None:
    for name, query in Library(Path("/nonexistent")).all().items():
        assert query.text.startswith("-- "), name
        assert len(f"{name:18}  {query.summary:49}  {query.takes}") <= 80, name
        assert "LIMIT" in query.text, name
