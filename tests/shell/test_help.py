"""Help: complete, true to the registry and the schema, and never stale."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import apsw
import pytest

from nshell.collector import schema
from nshell.collector.query.functions import Functions
from nshell.filters import PREDICATES
from nshell.shell.commands import build_registry
from nshell.shell.errors import CommandError, Failure
from nshell.shell.help.pages import FUNCTIONS, SQL_EXAMPLES, keys_page
from nshell.shell.help.text import PAGES, SEE_ALSO, TOPICS, about, overview
from nshell.shell.kinds import World
from nshell.shell.prompt.welcome import HINT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.shell.conftest import Shell

REGISTRY = build_registry()


@pytest.mark.parametrize("name", REGISTRY.names())
def test_examples_of_a_command_are_lines_of_it(name: str) -> None:
    found = REGISTRY.get(name)
    for example in found.examples:
        called = REGISTRY.parse(example).command
        assert called is found or called.name.startswith(f"{found.name} "), example
    if found.parameters:
        assert len(found.examples) >= 2 or found.name in {"source", "unsave"}, found.name


def test_each_command_stands_in_the_overview_once_and_under_a_topic() -> None:
    text = overview(REGISTRY)
    assert "Other" not in text
    for name in REGISTRY.names():
        assert len(re.findall(rf"^  {name}  ", text, re.MULTILINE)) == 1, name
    known = {word for words in TOPICS.values() for word in words}
    assert known == set(REGISTRY.first_words())
    assert all(f"  help {name} " in text for name in PAGES)


def test_what_is_to_be_seen_also_can_be_typed() -> None:
    assert set(SEE_ALSO) <= set(REGISTRY.first_words())
    for others in SEE_ALSO.values():
        for line in others:
            first = line.split()[0]
            assert first in REGISTRY.first_words(), line
            assert first != "help" or line.split()[1] in PAGES, line


def test_summaries_are_one_sentence_that_fits_a_line() -> None:
    for command in REGISTRY:
        assert command.summary.endswith("."), command.name
        assert len(command.summary) <= 100, command.name


def test_help_names_usage_examples_and_what_else_to_see() -> None:
    text = about(REGISTRY, "export")
    assert text.startswith("export pcap [FILE] [where EXPR]\n\n")
    assert "examples:\n  export pcap\n" in text
    assert text.endswith("see also: sql, queries, capture, last")


def test_a_word_that_is_no_command_finds_those_that_speak_of_it() -> None:
    text = about(REGISTRY, "port")
    assert text.startswith("filter port VALUE")  # a predicate
    text = about(REGISTRY, "pcapng")
    assert "  export pcapng  " in text
    assert "no command" in text


@pytest.mark.parametrize(
    ("topic", "near"),
    [("fliter", "filter"), ("kyes", "keys"), ("confg", "config"), ("peer_pi", "peer_ip"),
     ("xq", "")],
)  # fmt: skip
def test_a_topic_that_is_not_there_is_told_the_nearest(topic: str, near: str) -> None:
    with pytest.raises(CommandError) as failed:
        about(REGISTRY, topic)
    tail = f": did you mean {near!r}?" if near else ": `help` lists what there is"
    assert str(failed.value) == f"no help for {topic!r}{tail}"


async def test_pages_are_shown_by_help(shell: Shell) -> None:
    assert "in a watch\n" in await shell.run("help keys")
    assert "\n[cluster]" in (await shell.run("help config")).replace("  [", "[")
    text = await shell.run("help sql")
    for table in shell.service.describe().tables:
        assert re.search(rf"^  {table.name} ", text, re.MULTILINE)
    with pytest.raises(Failure, match="did you mean 'keys'"):
        await shell.run("help kesy")


def test_functions_explained_are_those_of_the_collector() -> None:
    assert {text.partition("(")[0] for text, _ in FUNCTIONS} == set(Functions().names())


def test_questions_to_begin_with_can_be_asked(tmp_path: Path) -> None:
    schema.create(tmp_path / "session.db")
    connection = apsw.Connection(str(tmp_path / "session.db"))
    Functions().register(connection)
    for example in SQL_EXAMPLES:
        assert REGISTRY.parse(example).command.name == "sql"
        connection.execute(example).fetchall()
    connection.close()


def test_keys_are_explained_wherever_there_are_any() -> None:
    page = keys_page()
    for text in ("Ctrl-R", "F4", "in a watch", "in a view", "Esc Esc"):
        assert text in page


def test_topics_are_completed() -> None:
    world = World(commands={command.name: command.summary for command in REGISTRY})
    offered = [found.text for found in REGISTRY.complete("help ", world)]
    assert {"filter", *PAGES} <= set(offered)
    assert [found.text for found in REGISTRY.complete("help peer_i", world)] == ["peer_ip"]
    assert PREDICATES["peer_ip"].summary in [
        found.meta for found in REGISTRY.complete("help peer_i", world)
    ]


def test_the_hint_is_three_short_lines_of_what_can_be_typed() -> None:
    assert len(HINT) == 3
    assert max(map(len, HINT)) <= 60
    for line, name in (
        ("SELECT * FROM flow", "sql"),
        ("filter port 443", "filter"),
        ("filter", "filter"),
        ("help", "help"),
        ("help keys", "help"),
    ):
        assert line in "\n".join(HINT)
        assert REGISTRY.parse(line).command.name == name
