"""The type of a parameter that names a file."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

from nshell.shell.kinds import Candidate, Kind
from nshell.xdg import from_home

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from nshell.shell.kinds import Fragment, World
    from nshell.shell.words import Cursor

_MOST_FILES = 200
_MOST_ENTRIES = 5_000
"""Of a directory that are looked at."""


class File(Kind[str]):
    """The name of a file, ~ expanded; one to be written has an extension of its own."""

    shown = "FILE"

    def __init__(self, extension: str = "") -> None:
        self._suffix = f".{extension}" if extension else ""

    def accepts(self, word: str) -> bool:
        return word.lower() != "where"

    def take(self, cursor: Cursor) -> str:
        name = cursor.next()
        return str(from_home(name)) if name.startswith("~") else name

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:  # noqa: ARG002
        directory, slash, start = at.word.rpartition("/")
        if not at.raw.endswith(start):  # a quote closes it
            return
        try:
            found = _listed(from_home(directory + slash), start)
        except (OSError, ValueError):
            found = []
        for name in sorted(found, key=self._rank)[:_MOST_FILES]:
            yield Candidate(name, replaces=len(start))
        new = f"{start}{self._suffix}"
        if self._suffix and start and "." not in start and new not in found:
            yield Candidate(new, "a new file", replaces=len(start))

    def _rank(self, name: str) -> tuple[bool, str]:
        """What it could be or lead to first."""
        return not (name.endswith((self._suffix or name, "/"))), name

    def paint(self, words: Sequence[str], world: World) -> Sequence[str]:  # noqa: ARG002
        return ["" for _ in words]


def _listed(folder: Path, start: str) -> list[str]:
    """What is in it and begins so and can be typed; a directory has a slash."""
    with os.scandir(folder) as entries:
        return [
            f"{entry.name}/" if entry.is_dir() else entry.name
            for entry in itertools.islice(entries, _MOST_ENTRIES)
            if entry.name.startswith(start)
            and (start or not entry.name.startswith("."))
            and not set(entry.name) & set(" '\"")
        ]
