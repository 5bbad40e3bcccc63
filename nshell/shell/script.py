"""Cuts a text of many lines into commands: one splitter for the prompt, -c, -f,
stdin and `source`.

A command is a line. SQL may span lines: it ends at a semicolon, or where the
next line begins another command and it could itself be finished. A backslash
at a line's end joins the next one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nshell.shell import sqltext

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_FIRST = re.compile(r"\s*([^\W\d]\w*)\s*(\(?)")


def split_script(text: str, *, commands: Collection[str]) -> list[str]:
    """The commands in it, in order, comments and blank lines left out.

    `commands` are the first words that begin a command.
    """
    script = Splitter(commands)
    found = [command for line in text.splitlines() for command in script.feed(line)]
    return found + script.end()


class Splitter:
    """The same, line by line, for input that is still being written."""

    def __init__(self, commands: Collection[str]) -> None:
        self._commands = commands
        self._pending = ""

    def feed(self, line: str) -> list[str]:
        """The commands that this line completes."""
        if self._pending.endswith("\\"):
            self._pending = f"{self._pending[:-1]}\n{line}"
        elif not self._pending:
            if _is_comment(line):
                return []
            self._pending = line
        elif self._begins_another(line):
            return [*self.end(), *self.feed(line)]
        else:
            self._pending += f"\n{line}"
        return [] if self._open() else self.end()

    def end(self) -> list[str]:
        """What is left when no line follows."""
        text, self._pending = self._pending.removesuffix("\\").strip(), ""
        return list(_commands(text))

    def _open(self) -> bool:
        if self._pending.endswith("\\"):
            return True
        return is_statement(self._pending) and not sqltext.ends(self._pending)

    def _begins_another(self, line: str) -> bool:
        first = _FIRST.match(line)
        if first is None or sqltext.wants_more(sql_part(self._pending)):
            return False
        word, bracket = first.groups()
        # `filter (` goes on after an aggregate function.
        return word.upper() in sqltext.STARTERS or (word.lower() in self._commands and not bracket)


def _is_comment(line: str) -> bool:
    bare = line.strip()
    return not bare or bare.startswith(("#", "--"))


def is_statement(text: str) -> bool:
    """Whether it is SQL, bare or after the word `sql`."""
    return sqltext.is_sql(text) or bool(re.match(r"\s*sql\s", text, re.IGNORECASE))


def sql_part(text: str) -> str:
    """The SQL in it."""
    return re.sub(r"^\s*sql\s+", "", text, count=1, flags=re.IGNORECASE)


def _commands(text: str) -> Iterable[str]:
    if not text:
        return ()
    if not is_statement(text):
        return _without_semicolon(text)
    parts = sqltext.statements(sql_part(text)) or [""]
    return [part if sqltext.is_sql(part) else f"sql {part}".strip() for part in parts]


def _without_semicolon(text: str) -> Iterator[str]:
    bare = text.rstrip().removesuffix(";").rstrip()
    if bare:
        yield bare


def is_finished(text: str) -> bool:
    """Whether Enter should run it rather than open another line."""
    if text.endswith("\\"):
        return False
    if not is_statement(text):
        return True
    sql = sql_part(text)
    return sqltext.ends(sql) or not sqltext.wants_more(sql)
