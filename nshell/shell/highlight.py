"""Colours of the line being typed: SQL by Pygments, commands by our own words."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from prompt_toolkit.lexers import Lexer

from nshell.shell.script import is_statement
from nshell.shell.words import split

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples


class ShellLexer(Lexer):
    """Looks at the first word, then leaves the rest to whom it concerns."""

    def __init__(self, *, commands: Collection[str], keywords: Collection[str]) -> None:
        self._commands = frozenset(commands)
        self._keywords = frozenset(keywords)

    @cached_property
    def _sql(self) -> Lexer:
        from prompt_toolkit.lexers import PygmentsLexer  # noqa: PLC0415 - with the first query
        from pygments.lexers.sql import SqlLexer  # noqa: PLC0415 - the same

        return PygmentsLexer(SqlLexer)

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        if is_statement(document.text):
            return self._sql.lex_document(document)
        lines = document.lines
        return lambda number: self._command(lines[number]) if number < len(lines) else []

    def _command(self, line: str) -> StyleAndTextTuples:
        fragments: StyleAndTextTuples = []
        at = 0
        for place, word in enumerate(split(line)):
            fragments.append(("", line[at : word.start]))
            fragments.append((self._style(word.text.lower(), place), line[word.start : word.end]))
            at = word.end
        fragments.append(("", line[at:]))
        return fragments

    def _style(self, word: str, place: int) -> str:
        if place == 0:
            return "class:command" if word in self._commands else ""
        return "class:keyword" if word in self._keywords else ""
