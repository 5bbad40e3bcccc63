"""The condition of an export: one expression over the packet table.

Invariant: what passes stands between parentheses of ours without closing them,
so it cannot become another clause or another statement.
"""

from __future__ import annotations

import re

from nshell.collector.query.sqlerrors import QueryError

_TOKEN = re.compile(
    r"""
      (?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    | (?P<comment>--|/\*)
    | (?P<open>\() | (?P<close>\)) | (?P<end>;)
    | (?P<unclosed>['"`\[])
    | (?P<other>[^'"`\[();/-]+|[/-])
    """,
    re.VERBOSE,
)


def check_expression(text: str) -> str:
    """The expression, stripped; QueryError if it is not one by its parentheses."""
    expression = text.strip()
    if not expression:
        return ""
    depth = 0
    for token in _TOKEN.finditer(expression):
        match token.lastgroup:
            case "open":
                depth += 1
            case "close":
                depth -= 1
            case "end":
                raise QueryError("where takes one expression: ';' ends a statement")
            case "comment":
                raise QueryError(f"where takes one expression: {token[0]!r} begins a comment")
            case "unclosed":
                raise QueryError(f"where: {token[0]} is not closed")
        if depth < 0:
            raise QueryError("where takes one expression: ')' closes nothing")
    if depth:
        raise QueryError("where: '(' is not closed")
    return expression


def condition(expression: str) -> str:
    """The clause for a checked expression, empty for none."""
    return f" WHERE ({expression})" if expression else ""
