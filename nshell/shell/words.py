"""A command line cut into words, each with its place in the line.

Quotes group and vanish; nothing else is special, so a raw tail (SQL, an
expression) is always the line's own text from a word's place on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nshell.shell.errors import CommandError

_WORD = re.compile(r"""(?:[^\s'"]|'[^']*(?:'|$)|"[^"]*(?:"|$))+""")
_PART = re.compile(r"""'([^']*)('?)|"([^"]*)("?)|[^'"]+""")


@dataclass(frozen=True, slots=True)
class Word:
    """One word, its quotes taken off."""

    text: str
    start: int
    end: int
    open: bool = False
    """A quote in it was never closed."""


def split(line: str) -> tuple[Word, ...]:
    """The words of a line; an unclosed quote runs to the end."""
    return tuple(_word(match) for match in _WORD.finditer(line))


def _word(match: re.Match[str]) -> Word:
    text, is_open = "", False
    for part in _PART.finditer(match[0]):
        whole = part[0]
        quoted = whole[0] in "'\""
        text += (part[1] or part[3] or "") if quoted else whole
        is_open = is_open or (quoted and not (part[2] or part[4]))
    return Word(text, match.start(), match.end(), is_open)


class Cursor:
    """Walks over the words of one line."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._words = split(line)
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._words)

    def peek(self) -> str | None:
        """The next word, left where it is."""
        return None if self.at_end else self._words[self._at].text

    def next(self) -> str:
        """The next word, closed."""
        word = self._words[self._at]
        if word.open:
            raise CommandError(f"quote not closed: {self._line[word.start :]}")
        self._at += 1
        return word.text

    def skip(self, count: int) -> None:
        """Leave out words already understood."""
        self._at += count

    def rest(self) -> tuple[str, ...]:
        """Every word left."""
        words = []
        while not self.at_end:
            words.append(self.next())
        return tuple(words)

    def rest_raw(self) -> str:
        """The line's own text from the next word on."""
        if self.at_end:
            return ""
        start = self._words[self._at].start
        self._at = len(self._words)
        return self._line[start:].strip()
