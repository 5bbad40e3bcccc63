"""Completion that knows a real capture: what it offers was really seen, most bytes first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.transcript import web
from tests.session import NETOBSERV
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A shell at a web server that is asked ten times a second."""
    env = {"XDG_STATE_HOME": str(tmp_path_factory.mktemp("state"))}
    with web() as pair:
        command = pair.ours.words(NETOBSERV, "shell", "--local", "-i", "eth0")
        with Terminal(command, columns=140, env=env) as opened:
            opened.type("wait until SELECT count(*) > 8 FROM flow WHERE DstPort = 8080\n")
            opened.type("SELECT 'seen' || 'enough' AS x\n")
            opened.wait_for("seenenough")
            yield opened
            opened.type("quit\n")
            assert opened.wait_end() == 0


def offered(terminal: Terminal, line: str, *, until: str) -> list[str]:
    """Lines of the menu, each without its blanks, once one of them is like `until`."""
    terminal.type(line)

    def menu() -> list[str]:
        return [" ".join(row.split()) for row in terminal.screen()[terminal.cells.cursor.y + 1 :]]

    found: list[str] = []

    def seen() -> bool:
        found[:] = menu()
        return any(re.match(until, row) for row in found)

    terminal.wait_until(seen, f"{until!r} offered")
    terminal.interrupt()
    terminal.wait_until(lambda: terminal.line() == "netobserv>", "an empty line")
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("filter peer_ip ", [r"10\.129\.0\.(1|48) [\d.]+ [kM]?B"] * 2),
        # Every answer has far more bytes than its question.
        ("filter src_cidr 10.129.0.", [r"10\.129\.0\.0/24 .* 2 addresses", r"10\.129\.0\.1 ",
                                       r"10\.129\.0\.48 "]),
        ("filter port ", [r"8080 [\d.]+ kB . http-alt", r"\d{5} "]),
        ("filter dport 8080,", [r"\d{5} [\d.]+ k?B"]),
        ("filter protocol ", [r"tcp [\d.]+ kB"]),
        ("filter interface ", [r"eth0 [\d.]+ kB"]),
        ("why 10.129.0.48 ", [r"10\.129\.0\.1:8080 [\d.]+ kB", r"10\.129\.0\.1 "]),
        ("SELECT * FROM flow WHERE Proto = ", [r"6 tcp . \d+ rows"]),
        ("SELECT * FROM conversation WHERE ServerPort IN (", [r"8080 \d+ rows"]),
        ("SELECT * FROM flow WHERE SrcAddr = '10.129.0.4", [r"'10\.129\.0\.48' \d+ rows"]),
    ],
)  # fmt: skip
def test_what_was_seen_is_offered_the_most_first(
    terminal: Terminal, line: str, expected: list[str]
) -> None:
    found = offered(terminal, line, until=expected[0])
    assert all(re.match(*pair) for pair in zip(expected, found, strict=False)), found
