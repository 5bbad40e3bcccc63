"""SQL as the shell sees it: tokens, where a statement ends, whether it is finished.

Nothing here judges SQL: the collector's reader does. A wrong guess costs an
Enter, never a wrong answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTERS = frozenset({"SELECT", "WITH", "VALUES", "EXPLAIN"})
"""A line that begins with one of these is SQL."""

_REFUSED = frozenset(
    [
        "INSERT",
        "UPDATE",
        "DELETE",
        "REPLACE",
        "CREATE",
        "DROP",
        "ALTER",
        "PRAGMA",
        "ATTACH",
        "VACUUM",
        "REINDEX",
        "ANALYZE",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT",
        "RELEASE",
    ]
)
"""SQL too: the collector says why it does not run it."""

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
      | (?P<string>[xX]?'(?:[^']|'')*(?:'|\Z))
      | (?P<name>"(?:[^"]|"")*(?:"|\Z)|`[^`]*(?:`|\Z)|\[[^\]]*(?:\]|\Z))
      | (?P<word>[^\W\d]\w*)
      | (?P<number>\d[\w.]*)
      | (?P<end>\\(?:gx|G|g)(?!\w))
      | (?P<operator><>|<=|>=|!=|==|\|\||->>|->|<<|>>|.)""",
    re.VERBOSE | re.DOTALL,
)

_WANTS_MORE = frozenset(
    [
        "SELECT",
        "DISTINCT",
        "ALL",
        "FROM",
        "JOIN",
        "INNER",
        "LEFT",
        "RIGHT",
        "FULL",
        "CROSS",
        "OUTER",
        "NATURAL",
        "ON",
        "USING",
        "WHERE",
        "AND",
        "OR",
        "NOT",
        "IN",
        "LIKE",
        "GLOB",
        "REGEXP",
        "BETWEEN",
        "IS",
        "GROUP",
        "ORDER",
        "BY",
        "HAVING",
        "LIMIT",
        "OFFSET",
        "UNION",
        "INTERSECT",
        "EXCEPT",
        "WITH",
        "RECURSIVE",
        "AS",
        "VALUES",
        "EXPLAIN",
        "QUERY",
        "PLAN",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "OVER",
        "PARTITION",
        "WINDOW",
        "FILTER",
        "EXISTS",
        "CAST",
        "COLLATE",
        "ESCAPE",
    ]
)
"""A statement that ends in one of these is not finished."""

_MAIN = frozenset({"SELECT", "VALUES"})
EXPANDED = "\\G"
"""Ends a statement, as `;` does, and asks for a block a row."""
_ASKS_FOR_BLOCKS = frozenset({"\\G", "\\gx"})


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL and where it stands."""

    kind: str
    """space, comment, string, name, word, number, end (`\\G`) or operator."""
    text: str
    start: int

    @property
    def closes(self) -> bool:
        """Ends a statement."""
        return self.kind == "end" or (self.kind == "operator" and self.text == ";")

    @property
    def word(self) -> str:
        """A bare word in capitals, else nothing."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def open(self) -> bool:
        """A quote or a block comment that runs off the end."""
        if self.kind == "string":
            body = self.text.lstrip("xX")
            return len(body) < 2 or body.count("'") % 2 == 1
        if self.kind == "name":
            closing = {"[": "]"}.get(self.text[0], self.text[0])
            return len(self.text) < 2 or not self.text.endswith(closing)
        return self.text.startswith("/*") and not self.text.endswith("*/")


def tokens(sql: str) -> Iterator[Token]:
    """Every piece of it; joined they are the text again."""
    for match in _TOKEN.finditer(sql):
        yield Token(str(match.lastgroup), match[0], match.start())


def text_literal(text: str) -> str:
    """It as SQL writes a text."""
    body = text.replace("'", "''")
    return f"'{body}'"


_FIRST_WORD = re.compile(r"(?>\s+|--[^\n]*\n|/\*.*?\*/)*+([^\W\d]+)", re.DOTALL)


def is_sql(text: str) -> bool:
    """Whether its first word, behind comments, makes it a statement of SQL."""
    match = _FIRST_WORD.match(text)
    return match is not None and match[1].upper() in STARTERS | _REFUSED


def is_blank(sql: str) -> bool:
    """Nothing in it but space, comments and ends of statements."""
    return all(t.kind in ("space", "comment") or t.closes for t in tokens(sql))


def statements(sql: str) -> list[str]:
    """Cut at each semicolon or `\\G` outside quotes and comments; `\\G` stays."""
    parts, start = [], 0
    for token in tokens(sql):
        if token.closes:
            # On a line of its own: a comment may end the statement.
            mark = f"\n{EXPANDED}" if token.text in _ASKS_FOR_BLOCKS else ""
            parts.append(sql[start : token.start].strip() + mark)
            start = token.start + len(token.text)
    parts.append(sql[start:].strip())
    return [part for part in parts if not is_blank(part)]


def without_mark(line: str) -> tuple[str, bool]:
    """A line without the `\\G` at its end, and whether there was one."""
    last = None
    for token in tokens(line):
        if token.kind != "space":
            last = token
    if last is None or last.kind != "end":
        return line, False
    return line[: last.start].rstrip(), last.text in _ASKS_FOR_BLOCKS


def ends(sql: str) -> bool:
    """Whether a semicolon or `\\G` closes it."""
    if ";" not in sql and "\\" not in sql:
        return False
    last = None
    for token in tokens(sql):
        if token.open:
            return False
        if token.kind not in ("space", "comment"):
            last = token
    return last is not None and last.closes


def wants_more(sql: str) -> bool:
    """Whether a statement cannot be finished yet: a quote or bracket is open, or
    its last word asks for another.
    """
    depth, last, main, first = 0, None, False, ""
    for token in tokens(sql):
        if token.open:
            return True
        if token.kind in ("space", "comment"):
            continue
        depth += (token.text == "(") - (token.text == ")")
        main = main or (depth == 0 and token.word in _MAIN)
        first = first or token.word
        last = token
    if last is None or last.closes:
        return False
    return depth > 0 or _asks(last) or (first == "WITH" and not main)


def _asks(last: Token) -> bool:
    # A star at the end multiplies or awaits its FROM.
    if last.kind == "operator":
        return last.text != ")"
    return last.word in _WANTS_MORE


def has_limit(sql: str) -> bool:
    """Whether the statement itself says how many rows it wants."""
    depth = 0
    for token in tokens(sql):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.word == "LIMIT":
            return True
    return False
