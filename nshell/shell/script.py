"""Cuts a text of many lines into commands: one splitter for the prompt, -c, -f,
stdin and `source`.

A command is a line. SQL may span lines: it ends at a semicolon or `\\G`, or where
the next line begins another command and it could itself be finished. So does a
query that is saved; one that is watched or exported ends with the first line on
which it could be finished. A backslash at a line's end joins the next one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nshell.shell import sqltext

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_BEFORE_SQL = re.compile(r"\s*(?:sql\s+|save\s+\S+\s+(?=\S))", re.IGNORECASE)
_SQL_BEHIND = re.compile(
    r"\s*(?:watch|alert|wait|export)\s.*?(?=\b(?:SELECT|WITH|VALUES)\s)", re.IGNORECASE | re.DOTALL
)
_FIRST = re.compile(r"\s*([^\W\d]\w*)\s*(\(?)")
_LONGEST = 6_000
"""Characters of a text that is looked through at every key."""


def split_script(text: str, *, commands: Collection[str]) -> list[str]:
    """The commands in it, in order, comments and blank lines left out.

    `commands` are the first words that begin a command.
    """
    script = Splitter(commands)
    found = [command for line in _lines(text) for command in script.feed(line)]
    return found + script.end()


def _lines(text: str) -> list[str]:
    # Not splitlines(): what else it takes for an end of line may stand in a text of SQL.
    return text.replace("\r\n", "\n").split("\n")


def command_spans(text: str, *, commands: Collection[str]) -> list[tuple[int, int]]:
    """Where each command of a text that is being typed begins and ends, comments included."""
    if "\n" not in text or len(text) > _LONGEST:
        return [(0, len(text))]
    script, starts, at = Splitter(commands), [0], 0
    for line in text.split("\n"):
        script.feed(line)
        if script.began and at:
            starts.append(at)
        at += len(line) + 1
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


def command_at(text: str, at: int, *, commands: Collection[str]) -> tuple[int, int]:
    """The one in which a place is."""
    return [span for span in command_spans(text, commands=commands) if span[0] <= at][-1]


class Splitter:
    """The same, line by line, for input that is still being written."""

    def __init__(self, commands: Collection[str]) -> None:
        self._commands = commands
        self._pending = ""
        self.began = False
        """The last line began a command, or stands for itself."""

    def feed(self, line: str) -> list[str]:
        """The commands that this line completes."""
        self.began = not self._pending
        if self._pending.endswith("\\"):
            self._pending = f"{self._pending[:-1]}\n{line}"
        elif not self._pending:
            if is_comment(line):
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
        if is_statement(self._pending):
            return not sqltext.ends(self._pending)
        return _wants_more(self._pending)

    def _begins_another(self, line: str) -> bool:
        first = _FIRST.match(line)
        if first is None:
            return False
        word, bracket = first.groups()
        # `filter (` goes on after an aggregate function.
        known = word.upper() in sqltext.STARTERS or (word.lower() in self._commands and not bracket)
        return known and not _wants_more(self._pending)


def is_comment(line: str) -> bool:
    """Whether a line says nothing, where a command may begin."""
    bare = line.strip()
    return not bare or bare.startswith(("#", "--"))


def is_statement(text: str) -> bool:
    """Whether it is SQL, bare or after the word `sql` or `save NAME`."""
    return sqltext.is_sql(text) or _BEFORE_SQL.match(text) is not None


def sql_part(text: str) -> str:
    """The SQL in it."""
    return text[len(_before_sql(text)) :]


def _before_sql(text: str) -> str:
    before = _BEFORE_SQL.match(text) or _SQL_BEHIND.match(text)
    return before[0] if before and not sqltext.is_sql(text) else ""


def _commands(text: str) -> Iterable[str]:
    if sqltext.is_blank(text):
        return ()
    if not is_statement(text):
        return _without_semicolon(text)
    before = _before_sql(text)
    parts = sqltext.statements(text[len(before) :]) or [""]
    if before.split()[:1] and before.split()[0].lower() == "save":
        return [f"{before}{parts[0]}".strip(), *map(_command, parts[1:])]
    return list(map(_command, parts))


def _command(sql: str) -> str:
    return sql if sqltext.is_sql(sql) else f"sql {sql}".strip()


def _without_semicolon(text: str) -> Iterator[str]:
    bare = text.rstrip().removesuffix(";").rstrip()
    if bare:
        yield bare


def _wants_more(text: str) -> bool:
    """Whether it cannot be finished yet."""
    before = _before_sql(text)
    if not before and not sqltext.is_sql(text) and not text.lstrip().startswith("/*"):
        return False
    sql = text[len(before) :]
    # What is saved may begin with comments, and so may any query.
    return sqltext.wants_more(sql) or (bool(sql.strip()) and sqltext.is_blank(sql))


def is_finished(text: str) -> bool:
    """Whether Enter should run it rather than open another line."""
    if text.endswith("\\"):
        return False
    return (is_statement(text) and sqltext.ends(text)) or not _wants_more(text)
