"""Parameters of a query: `:name` in it, `name=value` when it is run.

A value is put in as a literal, so it can be nothing but a value. A line of
comment `-- :name = value` says what a parameter is when it is not given, written
as behind `run`: quotes keep spaces in it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.sqltext import text_literal, tokens
from nshell.shell.words import split

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nshell.shell.sqltext import Token

_DEFAULT = re.compile(r"--\s*:(\w+)\s*=\s*(\S.*)")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d+)?")
_GIVEN = re.compile(r"([^\W\d]\w*)=(.*)", re.DOTALL)


@lru_cache(256)
def taken(sql: str) -> Mapping[str, str | None]:
    """Its parameters in order, each with what it is when it is not given; None: it must be."""
    comments = (default(token.text) for token in tokens(sql) if token.kind == "comment")
    known = dict(filter(None, comments))
    return MappingProxyType({name: known.get(name) for _, name in _pieces(sql) if name})


def default(comment: str) -> tuple[str, str] | None:
    """The parameter that a comment speaks of and what it is, if it does that."""
    match = _DEFAULT.match(comment)
    return (match[1], split(match[2])[0].text) if match else None


def places(sql: str, name: str) -> Iterator[tuple[int, int]]:
    """Where a parameter stands: its beginning and its end."""
    at = 0
    for text, known in _pieces(sql):
        if known == name:
            yield at, at + len(text)
        at += len(text)


def given(words: Sequence[str], wanted: Iterable[str]) -> dict[str, str]:
    """The values of `name=value` words; CommandError names the one that is none."""
    values: dict[str, str] = {}
    for word in words:
        match = _GIVEN.fullmatch(word)
        if match is None:
            near = did_you_mean(f"{word}=VALUE", [f"{name}=VALUE" for name in wanted])
            raise CommandError(f"{word!r} is not NAME=VALUE{near}")
        if match[1] in values:
            raise CommandError(f"{match[1]} is given twice")
        values[match[1]] = match[2]
    return values


def filled(sql: str, values: Mapping[str, str]) -> str:
    """The query with these values in the places of its parameters."""
    wanted = taken(sql)
    for name in values:
        if name not in wanted:
            there = f": there is {', '.join(wanted)}" if wanted else ": it has none"
            raise CommandError(f"no parameter {name!r}{did_you_mean(name, wanted) or there}")
    known = {name: values.get(name, otherwise) for name, otherwise in wanted.items()}
    missing = [f"{name}=VALUE" for name, value in known.items() if value is None]
    if missing:
        raise CommandError(f"{', '.join(missing)} is missing")
    literals = {name: _literal(value) for name, value in known.items() if value is not None}
    return "".join(literals[name] if name else text for text, name in _pieces(sql))


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
