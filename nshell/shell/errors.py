"""The failures that callers tell apart; the text of each is one line for the user."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_LONGEST_SLIP = 200
"""Characters; nobody means to type more, and looking for what is like them takes a while."""


class CommandError(Exception):
    """One command failed; the session goes on."""


class SessionLost(Exception):  # noqa: N818 - an end, not a mistake
    """The capture behind the shell is gone; nothing can be asked any more."""


class Unconnected(CommandError):  # noqa: N818 - a state, not a mistake
    """The collector cannot be reached at the moment; others try to reach it again."""


class Refused(SessionLost):
    """It never began: what the command line asks for cannot be had."""


class Interrupted(Exception):  # noqa: N818 - the same
    """A signal asked the program to end."""


class Failure(Exception):  # noqa: N818 - says where an error was
    """A command failed: which, and why."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"{command}: {reason}")
        self.command = command
        self.reason = reason


def why(error: OSError) -> str:
    """What the system says, as the end of a line of ours."""
    return (error.strerror or str(error)).lower()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A tail for an error line: the nearest known word, or nothing."""
    if len(word) > _LONGEST_SLIP:
        return ""
    by_folded = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_folded, n=1, cutoff=0.6)
    return f": did you mean {by_folded[near[0]]!r}?" if near else ""
