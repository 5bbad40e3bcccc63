"""Where named queries are kept: a file each, text exactly as it was saved.

One that is saved goes before one of the same name that comes with the program.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.queries import parameters
from nshell.shell.sqltext import STARTERS, is_blank, statements, tokens
from nshell.xdg import state_directory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MOST_BYTES = 64 << 10
_NAME = re.compile(r"[^\W\d_][\w.-]{0,63}", re.ASCII)
_SUFFIX = ".sql"


@dataclass(frozen=True, slots=True)
class Query:
    """One of them."""

    name: str
    text: str
    saved: bool
    """By the user."""
    hides: bool = False
    """A built-in one of the same name."""

    @property
    def summary(self) -> str:
        """Its first line of comment, else how it begins."""
        for line in self.text.splitlines():
            bare = line.strip()
            if bare.startswith("--") and bare.strip("- "):
                return bare.lstrip("-").strip()
        return " ".join(self.text.split())

    @property
    def takes(self) -> str:
        """Its parameters; those in brackets need not be given."""
        known = parameters.defaults(self.text)
        return " ".join(
            f"[{name}]" if name in known else name for name in parameters.names(self.text)
        )


class Library:
    """The queries of one user."""

    def __init__(self, directory: Path | None = None) -> None:
        self._given = directory
        self._seen: tuple[int, dict[str, Query]] = (-1, {})
        self._summed: tuple[Mapping[str, Query], Mapping[str, str]] = ({}, {})

    @cached_property
    def _directory(self) -> Path:
        return self._given or state_directory() / "queries"

    def all(self) -> Mapping[str, Query]:
        """By name, in its order; read again when the directory has changed."""
        try:
            changed = self._directory.stat().st_mtime_ns
        except OSError:
            changed = 0
        if self._seen[0] != changed:
            self._seen = changed, self._read()
        return self._seen[1]

    def summaries(self) -> Mapping[str, str]:
        """Name to summary and parameters, for completion; asked for at every key."""
        queries = self.all()
        if self._summed[0] is not queries:
            found = {name: f"{q.summary} {q.takes}".rstrip() for name, q in queries.items()}
            self._summed = queries, found
        return self._summed[1]

    def get(self, name: str) -> Query:
        """CommandError, with the nearest one, where there is none of that name."""
        known = self.all()
        if name not in known:
            near = did_you_mean(name, known) or ": `queries` lists them"
            raise CommandError(f"no query named {name!r}{near}")
        return known[name]

    def statement(self, name: str, values: Mapping[str, str]) -> str:
        """The SQL that this one runs with these values."""
        return parameters.filled(self.get(name).text, values)

    def statement_of(self, words: Sequence[str]) -> str:
        """The same, from what stands behind `run`: a name and `name=value` words."""
        if not words:
            raise CommandError("a query's name must follow `run`")
        return self.statement(words[0], parameters.given(words[1:]))

    def save(self, name: str, text: str) -> Query:
        """Keep it; CommandError where the name or the text will not do."""
        _check_name(name)
        _check_text(text)
        replaced = f".{name}.new"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = self._directory / replaced
            descriptor = os.open(
                new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(f"{text}\n")
            new.replace(self._file(name))
        except OSError as error:
            raise CommandError(f"cannot save {name}: {error.strerror or error}") from error
        self._forget()
        return self.get(name)

    def remove(self, name: str) -> Query:
        """Delete one that was saved."""
        query = self.get(name)
        if not query.saved:
            raise CommandError(f"{name} comes with the program: it cannot be removed")
        try:
            self._file(name).unlink()
        except OSError as error:
            raise CommandError(f"cannot remove {name}: {error.strerror or error}") from error
        self._forget()
        return query

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}{_SUFFIX}"

    def _forget(self) -> None:
        self._seen = (-1, {})

    def _read(self) -> dict[str, Query]:
        from nshell.shell.queries.builtin import BUILT_IN  # noqa: PLC0415 - when one is wanted

        found = {name: Query(name, text, saved=False) for name, text in BUILT_IN.items()}
        with suppress(OSError):
            for path in self._directory.iterdir():
                name = path.name.removesuffix(_SUFFIX)
                text = _text(path) if path.suffix == _SUFFIX and _NAME.fullmatch(name) else None
                if text is not None:
                    found[name] = Query(name, text, saved=True, hides=name in BUILT_IN)
        return dict(sorted(found.items()))


def _text(path: Path) -> str | None:
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        with path.open(encoding="utf-8", newline="") as file:
            return file.read(MOST_BYTES).removesuffix("\n")
    except (OSError, UnicodeDecodeError):
        return None


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise CommandError(f"a query cannot be named {name!r}: letters, digits, _ . - and no more")


def _check_text(text: str) -> None:
    if is_blank(text):
        raise CommandError("a query must follow its name")
    first = next(token for token in tokens(text) if token.kind not in ("space", "comment"))
    if first.word not in STARTERS:
        raise CommandError(f"what is saved must be a query, not {first.text!r}")
    if len(statements(text)) > 1:
        raise CommandError("one query at a time can be saved")
    if len(text.encode(errors="replace")) > MOST_BYTES:
        raise CommandError(f"a query of more than {MOST_BYTES >> 10} KiB is too long to save")
