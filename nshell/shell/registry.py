"""The commands: each is one typed function, and all that is known of it (parsing,
completion, usage, help) is read from its signature and docstring, here.

A signature that cannot be understood fails at registration, not when typed.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from nshell.shell import sqltext
from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.foreign import called_here
from nshell.shell.kinds import Candidate, Fragment, Kind, World
from nshell.shell.values import Result
from nshell.shell.words import Cursor, Word, split

Function = Callable[..., Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a command."""

    name: str
    kind: Kind[Any]
    required: bool
    default: Any
    """What it is where it is left out."""

    @property
    def usage(self) -> str:
        shown = self.kind.shown or self.name.upper()
        return shown if self.required or shown.startswith("[") else f"[{shown}]"


@dataclass(frozen=True, slots=True)
class Command:
    """What can be typed."""

    name: str
    function: Function
    parameters: tuple[Parameter, ...]
    summary: str
    description: str
    examples: tuple[str, ...]

    @property
    def usage(self) -> str:
        return " ".join([self.name, *(p.usage for p in self.parameters)])


@dataclass(frozen=True, slots=True)
class Call:
    """A command with its arguments, ready to run."""

    command: Command
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """A line taken apart, right or wrong."""

    command: Command | None
    """None: there is no such command."""
    name: tuple[Word, ...]
    """The words that name it, or its group."""
    arguments: tuple[tuple[Kind[Any], tuple[Word, ...]], ...]
    """Each parameter's kind, with the words for it."""
    wrong: tuple[Word, ...] = ()
    """Words that have no place in it."""


class Registry:
    """The commands of one shell."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}

    def add(self, name: str, function: Function) -> None:
        """Register it; TypeError or ValueError where it does not explain itself."""
        if name in self._commands:
            raise ValueError(f"two commands named {name!r}")
        summary, description, examples = _explained(name, function)
        self._commands[name] = Command(
            name, function, _parameters(function), summary, description, examples
        )

    def __iter__(self) -> Iterator[Command]:
        return iter(self._commands.values())

    def names(self) -> list[str]:
        return list(self._commands)

    def first_words(self) -> list[str]:
        """Those a line may begin with, each once."""
        return list(dict.fromkeys(name.partition(" ")[0] for name in self._commands))

    def get(self, name: str) -> Command:
        """CommandError, with the nearest one, where there is none of that name."""
        try:
            return self._commands[name]
        except KeyError:
            raise CommandError(
                f"unknown command {name!r}{did_you_mean(name, self._commands)}"
            ) from None

    def parse(self, line: str) -> Call:
        """Read one line; CommandError names the word at fault."""
        if sqltext.is_sql(line):
            return Call(self.get("sql"), (line.strip(),))
        command, length = self._resolve([word.text for word in split(line)])
        cursor = Cursor(line)
        cursor.skip(length)
        try:
            return Call(command, _arguments(command, cursor))
        except CommandError:
            self._refuse_slip(command, line)
            raise

    def _refuse_slip(self, command: Command, line: str) -> None:
        """Its next word may have been meant for another command that begins as it does."""
        words = [word.text for word in split(line)][len(command.name.split()) :]
        seconds = [name.removeprefix(f"{command.name} ") for name in self._commands]
        near = did_you_mean(words[0], set(seconds) - set(self._commands)) if words else ""
        if near:
            raise CommandError(f"unknown word {words[0]!r} after {command.name!r}{near}") from None

    def _starts(self) -> list[str]:
        return [*self.first_words(), *sorted(sqltext.STARTERS)]

    def name_of(self, line: str) -> str:
        """What to call it in an error line, understood or not."""
        if sqltext.is_sql(line):
            return "sql"
        words = [word.text for word in split(line)]
        try:
            return self._resolve(words)[0].name
        except CommandError:
            return words[0] if words else ""

    def _resolve(self, words: Sequence[str]) -> tuple[Command, int]:
        for length in (2, 1):
            name = " ".join(words[:length]).lower()
            if len(words) >= length and name in self._commands:
                return self._commands[name], length
        return self._unknown(words)

    def _unknown(self, words: Sequence[str]) -> tuple[Command, int]:
        first = words[0].lower() if words else ""
        group = [name for name in self._commands if name.startswith(f"{first} ")]
        if not group:
            raise CommandError(
                f"unknown command {words[0]!r}"
                f"{called_here(first) or did_you_mean(first, self._starts())}"
                if words
                else "no command"
            )
        seconds = [name.partition(" ")[2] for name in group]
        if len(words) == 1:
            raise CommandError(f"{first} what? {', '.join(seconds)}")
        near = did_you_mean(words[1], seconds) or f": {', '.join(seconds)}"
        raise CommandError(f"unknown word {words[1]!r} after {first!r}{near}")

    def complete(self, text: str, world: World, *, after: str = "") -> list[Candidate]:
        """What could stand at the end of this text; `after` stands behind the cursor."""
        typing_first_word = not any(map(str.isspace, text.lstrip()))
        if sqltext.is_sql(text) and not typing_first_word:
            at = Fragment((), "", text, after)
            found = _fitting(self._sql_kind().complete(at, world), "", length=0)
            return _before(after, found, text)
        words = list(split(text))
        current = words.pop() if words and words[-1].end == len(text) else None
        word = current.text if current else ""
        done = [w.text for w in words]
        offered = list(self._subcommands(done, word))
        if done:
            offered += self._arguments_at(text, done, word, world, after=after)
        found = _fitting(offered, word, length=len(text) - current.start if current else 0)
        return _before(after, found, text)

    def _sql_kind(self) -> Kind[Any]:
        return self._commands["sql"].parameters[0].kind

    def _subcommands(self, done: Sequence[str], word: str) -> Iterable[Candidate]:
        if not done:
            for first in self.first_words():
                known = self._commands.get(first)
                yield Candidate(first, known.summary if known else "")
            if word:
                small = word[0].islower()
                for sql in sorted(sqltext.STARTERS):
                    yield Candidate(sql.lower() if small else sql, "SQL")
        elif len(done) == 1:
            prefix = f"{done[0].lower()} "
            for name, command in self._commands.items():
                if name.startswith(prefix):
                    yield Candidate(name.removeprefix(prefix), command.summary)

    def _arguments_at(
        self, text: str, done: Sequence[str], word: str, world: World, *, after: str
    ) -> Iterable[Candidate]:
        try:
            command, used = self._resolve(done)
        except CommandError:
            return []
        first = used
        found: list[Candidate] = []
        starts = [w.start for w in split(text)] + [len(text)]
        for parameter in command.parameters:
            kind = parameter.kind
            if kind.takes_rest or used == len(done):
                raw = text[starts[used] :]
                at = Fragment(done[used:], word, raw, after, earlier=done[first:used])
                found += kind.complete(at, world)
                if kind.takes_rest or parameter.required:
                    break
            elif parameter.required or kind.accepts(done[used]):
                used += 1
        return found

    def read(self, line: str) -> Reading:
        """What each word of a line is, as far as that can be told; it never fails."""
        words = list(split(line))
        try:
            command, used = self._resolve([word.text for word in words])
        except CommandError:
            known = bool(words) and words[0].text.lower() in self.first_words()
            return Reading(None, tuple(words[:known]), (), tuple(words[known : known + 1]))
        parts = []
        at = used
        for parameter in command.parameters:
            kind = parameter.kind
            if kind.takes_rest:
                parts.append((kind, tuple(words[at:])))
                return Reading(command, tuple(words[:used]), tuple(parts))
            if at < len(words) and (parameter.required or kind.accepts(words[at].text)):
                parts.append((kind, (words[at],)))
                at += 1
        return Reading(command, tuple(words[:used]), tuple(parts), tuple(words[at:]))

    def hint(self, text: str) -> str:
        """The usage of the command being typed, or nothing."""
        words = [word.text for word in split(text)]
        if sqltext.is_sql(text) or not words or (len(words) == 1 and not text[-1].isspace()):
            return ""
        try:
            return self._resolve(words)[0].usage
        except CommandError:
            return ""


def _fitting(found: Iterable[Candidate], word: str, *, length: int) -> list[Candidate]:
    """Those that go on from the word there, each once; `length` is it as typed."""
    kept: dict[str, Candidate] = {}
    for candidate in found:
        replaces = length if candidate.replaces is None else candidate.replaces
        typed = word if candidate.replaces is None else word[len(word) - replaces :]
        fits = candidate.fitted or not word or candidate.text.lower().startswith(typed.lower())
        if fits:
            kept.setdefault(candidate.text, replace(candidate, replaces=replaces))
    return list(kept.values())


def _before(after: str, found: list[Candidate], text: str) -> list[Candidate]:
    """The same where more of the line follows: what stands there already is not written again.

    Within a word the part before the cursor is completed and the rest stays, as in
    psql; so those that end with that rest come first.
    """
    if not after or after[0].isspace():
        return found
    cut = [replace(c, text=_without(c.text, after), display=c.display or c.text) for c in found]
    left = [c for c in cut if c.text != text[len(text) - (c.replaces or 0) :]]
    return sorted(left, key=lambda c: c.text == c.display) if _is_in_word(after) else left


def _is_in_word(after: str) -> bool:
    return after[0].isalnum() or after[0] == "_"


def _without(text: str, after: str) -> str:
    """Without an end that follows anyway, where that is whole words."""
    for length in range(min(len(text), len(after)), 0, -1):
        whole = not (after[length - 1] + after[length : length + 1]).isalnum()
        if text.endswith(after[:length]) and (whole or length == len(after)):
            return text[:-length]
    return text


def _arguments(command: Command, cursor: Cursor) -> tuple[Any, ...]:
    values: list[Any] = []
    for parameter in command.parameters:
        word = cursor.peek()
        if word is not None and (parameter.required or parameter.kind.accepts(word)):
            values.append(parameter.kind.take(cursor))
        elif parameter.required:
            raise CommandError(f"{parameter.usage} is missing: {command.usage}")
        else:
            values.append(parameter.default)
    if not cursor.at_end:
        raise CommandError(f"unexpected {cursor.next()!r}: {command.usage}")
    return tuple(values)


def _parameters(function: Function) -> tuple[Parameter, ...]:
    hints = get_type_hints(function, include_extras=True)
    named = list(inspect.signature(function).parameters.values())[1:]
    return tuple(
        Parameter(
            p.name,
            _kind(function, hints[p.name]),
            required=p.default is inspect.Parameter.empty,
            default=None if p.default is inspect.Parameter.empty else p.default,
        )
        for p in named
    )


def _kind(function: Function, hint: Any) -> Kind[Any]:
    if get_origin(hint) is Annotated:
        for extra in get_args(hint)[1:]:
            if isinstance(extra, Kind):
                return extra
    raise TypeError(f"{function.__name__}: {hint} says not how it is read; annotate it with a Kind")


def _explained(name: str, function: Function) -> tuple[str, str, tuple[str, ...]]:
    """Summary, description and examples: the docstring's parts."""
    text, _, tail = (inspect.getdoc(function) or "").partition("Examples:\n")
    summary, _, description = text.strip().partition("\n")
    examples = tuple(line.strip() for line in tail.splitlines() if line.strip())
    if not summary or not examples:
        raise ValueError(f"{name}: its docstring needs a summary and examples")
    return summary.strip(), description.strip(), examples
