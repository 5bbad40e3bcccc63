"""The words of SQLite's SQL, by what they are to completion."""

from __future__ import annotations

from typing import Final

CLAUSES: Final = frozenset(
    {"SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "WINDOW", "VALUES"}
)
"""What begins a part of a query."""
COMPOUND: Final = frozenset({"UNION", "EXCEPT", "INTERSECT"})
JOINING: Final = frozenset({"JOIN", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "NATURAL", "OUTER"})
NO_ALIAS: Final = CLAUSES | COMPOUND | JOINING | {"ON", "USING", "AS", "SET", "OFFSET", "INDEXED"}
"""What is no alias behind a table."""

OPERATORS: Final = frozenset(
    {"AND", "OR", "NOT", "IN", "LIKE", "GLOB", "REGEXP", "MATCH", "BETWEEN", "IS", "ISNULL",
     "NOTNULL", "ESCAPE", "COLLATE", "OVER", "FILTER"}
)  # fmt: skip
KEYWORDS: Final = (
    NO_ALIAS
    | OPERATORS
    | {
        "ALL", "ASC", "BY", "CASE", "CAST", "CURRENT", "DESC", "DISTINCT", "ELSE", "END",
        "EXCLUDE", "EXISTS", "EXPLAIN", "FIRST", "FOLLOWING", "GROUPS", "LAST", "MATERIALIZED",
        "NULL", "NULLS", "OTHERS", "PARTITION", "PLAN", "PRECEDING", "QUERY", "RANGE", "RECURSIVE",
        "ROW", "ROWS", "THEN", "TIES", "TRUE", "FALSE", "UNBOUNDED", "WHEN", "WITH", "NO",
        "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP",
    }
)  # fmt: skip
"""What no column is taken for."""

ASKS: Final = frozenset(
    {"SELECT", "DISTINCT", "ALL", "WHERE", "AND", "OR", "NOT", "ON", "BY", "HAVING", "WHEN",
     "THEN", "ELSE", "CASE", "BETWEEN", "LIKE", "GLOB", "REGEXP", "MATCH", "IN", "IS", "LIMIT",
     "OFFSET", "COLLATE", "ESCAPE", "USING"}
)  # fmt: skip
"""Behind these an operand stands."""
COMPARES: Final = frozenset({"=", "==", "!=", "<>", "IS", "LIKE", "GLOB", "NOT"})
"""Behind these a value of the column before them does."""

FROM_WORDS: Final = (
    "WHERE", "JOIN", "LEFT JOIN", "GROUP BY", "ORDER BY", "LIMIT", "AS", "CROSS JOIN",
    "UNION ALL", "UNION", "EXCEPT", "INTERSECT",
)  # fmt: skip
"""What may follow a table."""
AFTER: Final = {
    "SELECT": ("FROM", "AS"),
    "ON": ("AND", "OR", "WHERE", "JOIN", "LEFT JOIN", "GROUP BY", "ORDER BY", "LIMIT"),
    "USING": ("WHERE", "JOIN", "LEFT JOIN", "GROUP BY", "ORDER BY", "LIMIT"),
    "WHERE": ("AND", "OR", "GROUP BY", "ORDER BY", "LIMIT", "UNION ALL"),
    "GROUP": ("HAVING", "ORDER BY", "LIMIT", "UNION ALL"),
    "HAVING": ("AND", "OR", "ORDER BY", "LIMIT", "UNION ALL"),
    "ORDER": ("DESC", "ASC", "LIMIT", "NULLS LAST", "NULLS FIRST"),
    "LIMIT": ("OFFSET",),
    "VALUES": ("UNION ALL",),
}
"""What may follow an operand, by the clause that it stands in."""
COMPARISONS: Final = (
    "IN", "LIKE", "BETWEEN", "IS NULL", "IS NOT NULL", "NOT IN", "NOT LIKE", "NOT BETWEEN", "GLOB"
)  # fmt: skip
OPERANDS: Final = ("CASE", "NOT", "EXISTS", "NULL", "CAST")
STARTERS: Final = ("SELECT", "WITH", "VALUES", "EXPLAIN QUERY PLAN")
FOLLOWS: Final = {
    "GROUP": ("BY",), "ORDER": ("BY",), "PARTITION": ("BY",),
    "LEFT": ("JOIN", "OUTER JOIN"), "RIGHT": ("JOIN",), "FULL": ("JOIN", "OUTER JOIN"),
    "INNER": ("JOIN",), "CROSS": ("JOIN",), "OUTER": ("JOIN",), "NATURAL": ("JOIN", "LEFT JOIN"),
    "UNION": ("ALL", "SELECT"), "EXCEPT": ("SELECT",), "INTERSECT": ("SELECT",),
    "EXPLAIN": ("QUERY PLAN", "SELECT"), "QUERY": ("PLAN",), "PLAN": ("SELECT", "WITH"),
    "WITH": ("RECURSIVE",), "NULLS": ("LAST", "FIRST"), "MATERIALIZED": (),
    "DESC": ("LIMIT", "NULLS LAST", "NULLS FIRST"), "ASC": ("LIMIT", "NULLS LAST", "NULLS FIRST"),
    "OVER": ("(PARTITION BY", "(ORDER BY"), "VALUES": (), "FILTER": ("(WHERE",),
}  # fmt: skip
"""What alone may follow a word."""
TYPES: Final = ("INTEGER", "REAL", "TEXT")
