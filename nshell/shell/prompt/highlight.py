"""Colours of the line being typed, and what is wrong in it underlined.

SQL is cut up by Pygments' lexer, commands by the registry, both into Pygments'
tokens. Nothing is called wrong while the cursor is on it: it may become right.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from prompt_toolkit.formatted_text.utils import split_lines
from prompt_toolkit.layout.processors import Processor, Transformation
from prompt_toolkit.layout.utils import explode_text_fragments
from prompt_toolkit.lexers import Lexer

from nshell.shell import sqltext
from nshell.shell.kinds import World
from nshell.shell.script import command_spans, is_comment

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.layout.processors import TransformationInput
    from pygments.lexer import Lexer as PygmentsLexer

    from nshell.shell.kinds import Kind
    from nshell.shell.registry import Registry
    from nshell.shell.words import Word

_STYLES = {
    "command": "class:command",
    "keyword": "class:keyword",
    "number": "class:pygments.literal.number",
    "string": "class:pygments.literal.string",
}
_WRONG = "class:wrong"
_NONE = World().seen
_KEPT = 32
"""Lines whose colours are remembered."""
_LONGEST = 6_000
"""Characters; a longer text stays as it is."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters of one style."""

    start: int
    end: int
    style: str

    def behind(self, length: int) -> Span:
        """The same in a text that so many characters stand before."""
        return Span(self.start + length, self.end + length, self.style)


@dataclass(frozen=True, slots=True)
class Painted:
    """The colours of a text."""

    spans: Sequence[Span] = ()
    wrong: Sequence[Span] = ()
    """In order; each unless the cursor is on it."""


class ShellLexer(Lexer):
    """Looks at the first word, then leaves the rest to whom it concerns."""

    def __init__(self, registry: Registry, world: Callable[[], World] = World) -> None:
        self._registry = registry
        self._world = world
        """What is known of the capture; the same object while it is the same."""
        self._kept: OrderedDict[tuple[str, int], Painted] = OrderedDict()

    def invalidation_hash(self) -> Hashable:
        """What else than the text its colours depend on."""
        return id(self._world())

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        lines = list(split_lines(_fragments(document.text, self._painted(document.text).spans)))
        return lambda number: lines[number] if number < len(lines) else []

    def wrong(self, document: Document) -> Sequence[Span]:
        """What is, as long as the cursor is where it is."""
        cursor = document.cursor_position
        found = self._painted(document.text).wrong
        return [span for span in found if not span.start <= cursor <= span.end]

    def _painted(self, text: str) -> Painted:
        world = self._world()
        key = text, id(world)
        if key not in self._kept:
            try:
                # Colours ask for nothing, and names of pods have none.
                self._kept[key] = self._paint(text, replace(world, seen=_NONE, selectable={}))
            except Exception:  # the line being typed is worth more than its colours
                logging.getLogger(__name__).exception("no colours for %r", text)
                self._kept[key] = Painted()
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]

    def _paint(self, text: str, world: World) -> Painted:
        if len(text) > _LONGEST:
            return Painted()
        spans, wrong = [], []
        for begin, end in command_spans(text, commands=self._registry.first_words()):
            painted = self._one(text[begin:end], world)
            spans += [span.behind(begin) for span in painted.spans]
            wrong += [span.behind(begin) for span in painted.wrong]
        return Painted(spans, wrong)

    def _one(self, text: str, world: World) -> Painted:
        """A single command."""
        if sqltext.is_sql(text):
            return self._sql(text, world)
        if is_comment(text):
            return Painted([Span(0, len(text), "class:pygments.comment")])
        return self._command(text, world)

    @cached_property
    def _pygments(self) -> PygmentsLexer:
        from pygments.lexers.sql import SqlLexer  # noqa: PLC0415 - with the first query

        return SqlLexer()

    def _sql(self, text: str, world: World, *, start: int = 0, behind: str = "") -> Painted:
        """A statement from some place on; `behind`: what it stands behind, unseen."""
        from nshell.shell.completion.sql.check import unknown_names  # noqa: PLC0415 - the same

        shift = start - len(behind)
        whole = behind + text[start:]
        is_open = next((token for token in sqltext.tokens(whole) if token.open), None)
        closed = whole if is_open is None else whole[: is_open.start]
        spans = [
            Span(span.start + shift, span.end + shift, span.style)
            for span in self._tokens(closed)
            if span.start >= len(behind)
        ]
        wrong = [Span(a + shift, b + shift, _WRONG) for a, b in unknown_names(closed, world)]
        if is_open is not None:
            comment = is_open.kind == "comment"
            style = "class:pygments.comment" if comment else _STYLES["string"]
            spans.append(Span(is_open.start + shift, len(text), style))
            if not comment:
                wrong.append(Span(is_open.start + shift, len(text), _WRONG))
        return Painted(spans, wrong)

    def _tokens(self, sql: str) -> Iterator[Span]:
        from nshell.shell.completion.sql.words import KEYWORDS  # noqa: PLC0415 - with the first

        for start, token, text in self._pygments.get_tokens_unprocessed(sql):
            end, kind = start + len(text), ".".join(token).lower()
            if kind.startswith("keyword") and text.upper() not in KEYWORDS:
                # Columns may be called like words of other dialects.
                kind = "name"
            if kind.startswith("name") and sql[end : end + 1] == "(":
                kind = "name.function"
            if kind not in ("error", "text.whitespace"):
                yield Span(start, end, f"class:pygments.{kind}")

    def _command(self, text: str, world: World) -> Painted:
        reading = self._registry.read(text)
        spans = [Span(word.start, word.end, _STYLES["command"]) for word in reading.name]
        wrong = [Span(word.start, word.end, _WRONG) for word in reading.wrong]
        for kind, words in reading.arguments:
            more = self._argument(text, kind, words, world)
            spans += more.spans
            wrong += more.wrong
        return Painted(spans, sorted(wrong, key=lambda span: span.start))

    def _argument(
        self, text: str, kind: Kind[object], words: Sequence[Word], world: World
    ) -> Painted:
        """The words of one parameter, with the statement that they may hold."""
        count = _begin_of_sql(kind, words)
        spans, wrong = [], []
        painted = kind.paint([word.text for word in words[:count]], world)
        for word, style in zip(words, painted, strict=False):
            if style == "wrong" or word.open:
                wrong.append(Span(word.start, word.end, _WRONG))
            elif style:
                spans.append(Span(word.start, word.end, _STYLES.get(style, "")))
        if count < len(words):
            behind = f"{kind.statement} " if kind.statement else ""
            sql = self._sql(text, world, start=words[count].start, behind=behind)
            spans += sql.spans
            wrong += sql.wrong
        return Painted(spans, wrong)


def _begin_of_sql(kind: Kind[object], words: Sequence[Word]) -> int:
    """The first of its words that belongs to a statement; their number, if none does."""
    if kind.statement is not None:
        return 0
    starts = (at for at, word in enumerate(words) if word.text.upper() in sqltext.STARTERS)
    return next(starts, len(words)) if kind.takes_rest and kind.may_hold_sql else len(words)


def _fragments(text: str, spans: Sequence[Span]) -> StyleAndTextTuples:
    """The text in pieces of one style each."""
    fragments: StyleAndTextTuples = []
    at = 0
    for span in sorted(spans, key=lambda span: span.start):
        if span.start >= at and span.end > span.start:
            fragments.append(("", text[at : span.start]))
            fragments.append((span.style, text[span.start : span.end]))
            at = span.end
    fragments.append(("", text[at:]))
    return fragments


class WrongWords(Processor):
    """Underlines what a lexer finds wrong; it is asked again when the cursor moves."""

    def __init__(self, lexer: ShellLexer) -> None:
        self._lexer = lexer

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """Of one line."""
        document, number = transformation_input.document, transformation_input.lineno
        fragments = transformation_input.fragments
        wrong = self._lexer.wrong(document)
        if wrong:
            begins = document.translate_row_col_to_index(number, 0)
            fragments = explode_text_fragments(fragments)
            for span in wrong:
                for at in range(max(span.start - begins, 0), span.end - begins):
                    if at < len(fragments):
                        fragments[at] = (_WRONG, fragments[at][1])
        return Transformation(fragments)
