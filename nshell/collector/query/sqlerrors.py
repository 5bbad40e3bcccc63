"""Errors of queries as one line that names the word at fault and the nearest right one.

Invariant: the text is for the person who typed the query; it never holds a line
break or a word of ours that was not in it.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import apsw

if TYPE_CHECKING:
    from collections.abc import Iterable

ALLOWED = "the rows of a capture are read-only (SELECT and WITH are)"

_STATEMENTS = frozenset(
    {
        "ALTER", "ANALYZE", "ATTACH", "BEGIN", "COMMIT", "CREATE", "DELETE", "DETACH", "DROP",
        "END", "INSERT", "PRAGMA", "REINDEX", "RELEASE", "REPLACE", "ROLLBACK", "SAVEPOINT",
        "UPDATE", "VACUUM",
    }
)  # fmt: skip
_KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP", "ORDER", "BY", "HAVING", "LIMIT", "OFFSET", "JOIN", "LEFT",
    "INNER", "OUTER", "CROSS", "ON", "USING", "AS", "AND", "OR", "NOT", "IN", "IS", "NULL", "LIKE",
    "GLOB", "BETWEEN", "CASE", "WHEN", "THEN", "ELSE", "END", "UNION", "ALL", "EXCEPT",
    "INTERSECT", "DISTINCT", "WITH", "RECURSIVE", "VALUES", "EXISTS", "CAST", "ASC", "DESC",
    "COLLATE", "OVER", "PARTITION", "WINDOW", "FILTER", "EXPLAIN",
)  # fmt: skip

_NO_COLUMN = re.compile(r"no such column: (?P<word>\S+)")
_NO_TABLE = re.compile(r"no such table: (?P<word>\S+)")
_NO_FUNCTION = re.compile(r"no such function: (?P<word>\S+)")
_NEAR = re.compile(r'near "(?P<word>.+)": syntax error', re.DOTALL)
_FIRST_WORD = re.compile(r"(?>\s+|--[^\n]*\n?|/\*.*?\*/)*+(?P<word>\w+)", re.DOTALL)


class QueryError(ValueError):
    """A query that cannot be run; str() is the line for the user."""


@dataclass(frozen=True, slots=True)
class Names:
    """What there is to be named in a query."""

    tables: tuple[str, ...]
    columns: tuple[str, ...]
    functions: tuple[str, ...]


def first_word(sql: str) -> str:
    """Of a statement, in upper case, after comments; empty if there is none."""
    found = _FIRST_WORD.match(sql)
    return found["word"].upper() if found else ""


def refusal(sql: str, action: str) -> QueryError:
    """Of a statement that the authorizer denied for an action."""
    verb = first_word(sql)
    return QueryError(f"{verb if verb in _STATEMENTS else action} is not allowed: {ALLOWED}")


def explain(error: apsw.Error, sql: str, names: Names) -> QueryError:
    """The line for an error of SQLite."""
    text = " ".join(str(error).split())
    if isinstance(error, apsw.SQLError):
        for pattern, *known in (
            (_NO_COLUMN, names.columns),
            (_NO_TABLE, names.tables),
            (_NO_FUNCTION, names.functions),
            # A keyword is likelier than a table of a name as near.
            (_NEAR, _KEYWORDS, names.tables),
        ):
            found = pattern.search(text)
            if found:
                misplaced = pattern is _NEAR and found["word"].upper() in _KEYWORDS
                hints = (_hint(found["word"], each) for each in known if not misplaced)
                return QueryError(f"{found[0]}{next(filter(None, hints), '')}")
        if text == "incomplete input":
            return QueryError(f"the query is not complete after {_last_word(sql)!r}")
    if isinstance(error, apsw.BindingsError):
        return QueryError("the query has ? or :name in it, and nothing to put there")
    if isinstance(error, apsw.TooBigError):
        return QueryError("a value is too large: shorten it, for instance with substr()")
    if isinstance(error, apsw.InterruptError):
        return QueryError("interrupted")
    return QueryError(text)


def _hint(word: str, known: Iterable[str]) -> str:
    """`: did you mean X?` when there is a name like the word."""
    wanted = word.strip("\"'`[]").rpartition(".")[2].lower()
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(wanted, by_lower, n=1, cutoff=0.6)
    if not near or by_lower[near[0]].lower() == wanted:
        return ""
    return f": did you mean {by_lower[near[0]]}?"


def _last_word(sql: str) -> str:
    words = sql.split()
    return words[-1] if words else ""
