"""Parameters of a query: `:name` in it, `name=value` when it is run.

A value is put in as a literal, so it can be nothing but a value. A line of
comment `-- :name = value` says what a parameter is when it is not given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.sqltext import text_literal, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nshell.shell.sqltext import Token

_DEFAULT = re.compile(r"--\s*:(\w+)\s*=\s*(\S+)")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d+)?")
_GIVEN = re.compile(r"([^\W\d]\w*)=(.*)", re.DOTALL)


def names(sql: str) -> list[str]:
    """Of its parameters, each once, in order."""
    return list(dict.fromkeys(name for _, name in _pieces(sql) if name))


def defaults(sql: str) -> dict[str, str]:
    """What its comments say of them."""
    found = (_DEFAULT.match(token.text) for token in tokens(sql) if token.kind == "comment")
    return {match[1]: match[2] for match in found if match}


def given(words: Sequence[str]) -> dict[str, str]:
    """The values of `name=value` words; CommandError names the one that is none."""
    values: dict[str, str] = {}
    for word in words:
        match = _GIVEN.fullmatch(word)
        if match is None:
            raise CommandError(f"{word!r} is not NAME=VALUE")
        if match[1] in values:
            raise CommandError(f"{match[1]} is given twice")
        values[match[1]] = match[2]
    return values


def filled(sql: str, values: Mapping[str, str]) -> str:
    """The query with these values in the places of its parameters."""
    wanted = names(sql)
    for name in values:
        if name not in wanted:
            there = f": there is {', '.join(wanted)}" if wanted else ": it has none"
            raise CommandError(f"no parameter {name!r}{did_you_mean(name, wanted) or there}")
    known = {**defaults(sql), **values}
    missing = [name for name in wanted if name not in known]
    if missing:
        raise CommandError(f"{', '.join(f'{name}=VALUE' for name in missing)} is missing")
    return "".join(_literal(known[name]) if name else text for text, name in _pieces(sql))


def _literal(value: str) -> str:
    if _NUMBER.fullmatch(value):
        # A minus before it must not begin a comment.
        return f"({value})" if value.startswith("-") else value
    return text_literal(value)


def _pieces(sql: str) -> Iterator[tuple[str, str]]:
    """Every token's text, and the name of the parameter that it is."""
    colon: Token | None = None
    for token in tokens(sql):
        if colon is not None:
            if token.kind == "word":
                yield f":{token.text}", token.text
                colon = None
                continue
            yield colon.text, ""
        colon = token if token.kind == "operator" and token.text == ":" else None
        if colon is None:
            yield token.text, ""
    if colon is not None:
        yield colon.text, ""
