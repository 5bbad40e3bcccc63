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
    from collections.abc import Mapping
    from pathlib import Path

    from nshell.shell.kinds.queries import Asked

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
        """Its first line of comment that says what it shows, else how it begins."""
        for line in self.text.splitlines():
            bare = line.strip()
            said = bare.lstrip("-").strip()
            if bare.startswith("--") and said and parameters.default(bare) is None:
                return said
        return " ".join(self.text.split())

    @property
    def parameters(self) -> Mapping[str, str | None]:
        """Each with what it is when it is not given; None: it must be."""
        return parameters.taken(self.text)

    @property
    def takes(self) -> str:
        """Its parameters; those in brackets need not be given."""
        known = self.parameters.items()
        return " ".join(name if otherwise is None else f"[{name}]" for name, otherwise in known)


class Library:
    """The queries of one user."""

    def __init__(self, directory: Path | None = None) -> None:
        self._given = directory
        self._seen: tuple[int, Mapping[str, Query]] = (-1, {})

    @cached_property
    def _directory(self) -> Path:
        return self._given or state_directory() / "queries"

    def all(self) -> Mapping[str, Query]:
        """By name, in its order."""
        # A file that was edited in place does not change its directory.
        self._seen = (-1, {})
        return self.listed()

    def listed(self) -> Mapping[str, Query]:
        """The same for completion, which asks at every key: read when the directory has changed."""
        try:
            changed = self._directory.stat().st_mtime_ns
        except OSError:
            changed = 0
        if self._seen[0] != changed:
            self._seen = changed, self._read()
        return self._seen[1]

    def get(self, name: str) -> Query:
        """CommandError, with the nearest one, where there is none of that name."""
        known = self.all()
        if name not in known:
            near = did_you_mean(name, known) or ": `queries` lists them"
            raise CommandError(f"no query named {name!r}{near}")
        return known[name]

    def sql_of(self, asked: Asked) -> str:
        """The SQL of a query that was typed; nothing where none was."""
        if not asked.run:
            return asked.statement
        name, *values = asked.run
        query = self.get(name)
        return parameters.filled(query.text, parameters.given(values, query.parameters))

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
        return query

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}{_SUFFIX}"

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
            text = file.read(MOST_BYTES + 1).removesuffix("\n")
    except (OSError, UnicodeDecodeError):
        return None
    return text if len(text) <= MOST_BYTES else None


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
