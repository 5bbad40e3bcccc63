"""What can stand next in a statement: keywords, tables, columns of the tables it names.

Pure: text and schema in, candidates out. It reads tokens, not grammar, and
looks behind the cursor only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.shell.kinds import Candidate, World
from nshell.shell.sqltext import Token, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_KEYWORDS = (
    "SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS NULL",
    "IS NOT NULL", "GROUP BY", "ORDER BY", "HAVING", "LIMIT", "OFFSET", "JOIN", "LEFT JOIN", "ON",
    "USING", "AS", "DISTINCT", "UNION ALL", "CASE", "WHEN", "THEN", "ELSE", "END", "DESC", "ASC",
    "OVER", "PARTITION BY", "WITH", "VALUES", "EXISTS",
)  # fmt: skip
_FUNCTIONS = ("count", "sum", "min", "max", "avg", "total", "abs", "round", "hex", "coalesce")
_TABLES_FOLLOW = frozenset({"FROM", "JOIN"})
_NO_ALIAS = frozenset(
    [
        "ON",
        "USING",
        "WHERE",
        "GROUP",
        "ORDER",
        "LIMIT",
        "JOIN",
        "LEFT",
        "INNER",
        "CROSS",
        "NATURAL",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "HAVING",
        "AS",
        "SELECT",
        "SET",
        "RIGHT",
        "FULL",
        "WINDOW",
    ]
)
_CLAUSES = _TABLES_FOLLOW | _NO_ALIAS - {"AS"}


def complete_sql(text: str, world: World) -> list[Candidate]:
    """Candidates for the word at the end of text."""
    pieces = [t for t in tokens(text) if t.kind not in ("space", "comment")]
    if any(t.open for t in pieces[-1:]):
        return []
    word = ""
    if pieces and pieces[-1].kind == "word" and text.endswith(pieces[-1].text):
        word = pieces.pop().text
    found = _at(pieces, named_tables(text), world)
    return [
        Candidate(c.text, c.meta, replaces=len(word))
        for c in found
        if c.text.lower().startswith(word.lower())
    ]


def _at(before: Sequence[Token], named: Mapping[str, str], world: World) -> Iterable[Candidate]:
    if len(before) >= 2 and before[-1].text == ".":
        return _columns({before[-2].text: named.get(before[-2].text.lower(), "")}, world)
    if _wants_table(before):
        return [Candidate(name, "table") for name in world.tables]
    keywords = [Candidate(keyword, "keyword") for keyword in _KEYWORDS]
    if not before:
        return keywords
    aliases = [Candidate(alias, table) for alias, table in named.items() if alias != table.lower()]
    functions = [Candidate(f"{f}(", "function") for f in _known_functions(world)]
    # Without a FROM yet, the columns of every table are on offer.
    tables = named or {name: name for name in world.tables}
    return [*_columns(tables, world), *aliases, *functions, *keywords]


def _known_functions(world: World) -> list[str]:
    return list(dict.fromkeys([*world.functions, *_FUNCTIONS]))


def _wants_table(before: Sequence[Token]) -> bool:
    """After FROM or JOIN, or after a comma in the list behind FROM."""
    if not before:
        return False
    if before[-1].word in _TABLES_FOLLOW:
        return True
    if before[-1].text != ",":
        return False
    clauses = [t.word for t in before if t.word in _CLAUSES]
    return bool(clauses) and clauses[-1] == "FROM"


def _columns(named: Mapping[str, str], world: World) -> list[Candidate]:
    folded = {name.lower(): name for name in world.tables}
    found: list[Candidate] = []
    for table in dict.fromkeys(named.values()):
        name = folded.get(table.lower())
        if name is not None:
            columns = world.tables[name].items()
            found += [Candidate(column, f"{name} {type_}") for column, type_ in columns]
    return found


def named_tables(sql: str) -> dict[str, str]:
    """Alias (or the name itself), in small letters, to table, of all that FROM and
    JOIN name.
    """
    pieces = [t for t in tokens(sql) if t.kind not in ("space", "comment")]
    named: dict[str, str] = {}
    listing = False
    for i, token in enumerate(pieces):
        if token.word in _CLAUSES:
            listing = token.word in _TABLES_FOLLOW
        opens = token.word in _TABLES_FOLLOW or (listing and token.text == ",")
        if opens and i + 1 < len(pieces) and pieces[i + 1].kind in ("word", "name"):
            table = pieces[i + 1].text.strip('"`[]')
            named[_alias(pieces[i + 2 : i + 4]) or table.lower()] = table
    return named


def _alias(after: Sequence[Token]) -> str:
    words = list(after)
    if words and words[0].word == "AS":
        words = words[1:]
    if words and words[0].word and words[0].word not in _NO_ALIAS:
        return words[0].text.lower()
    return ""
