"""Completion in the user's shell: scripts for bash, zsh and fish, and what they ask.

The scripts call the program, which answers from its own options: there is no list
to keep up to date.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

VARIABLE = "_NETOBSERV_COMPLETE"
"""Of the environment: a script asks."""


def joined(words: Sequence[str]) -> list[str]:
    """With --x = y in one word again: bash takes = for the end of one."""
    found: list[str] = []
    for word in words:
        before = found[-1] if found else ""
        is_option = before.startswith("--")
        if is_option and ((word == "=" and "=" not in before) or before.endswith("=")):
            found[-1] += word
        else:
            found.append(word)
    return found


class Bash(BashComplete):
    """Completes what stands behind the = alone."""

    def get_completion_args(self) -> tuple[list[str], str]:
        words = split_arg_string(os.environ["COMP_WORDS"])
        at = int(os.environ["COMP_CWORD"])
        *args, incomplete = joined([*words[1:at], *(words[at : at + 1] or [""])])
        return args, incomplete

    @staticmethod
    def _check_version() -> None:
        """Whoever asks for the script knows which shell it is for."""


class _WholeWords(ShellComplete):
    """Of a shell to which --x=y is one word."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        name, equals, _ = incomplete.partition("=")
        before = f"{name}=" if equals and name.startswith("--") else ""
        found = super().get_completions(args, incomplete)
        for item in found:
            item.value = f"{before}{item.value}"
        return found


class Zsh(_WholeWords, ZshComplete):
    pass


class Fish(_WholeWords, FishComplete):
    pass


CLASSES: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def register() -> None:
    """From now on click asks these."""
    for name, each in CLASSES.items():
        add_completion_class(each, name)


def script(shell: str, group: click.Command) -> str:
    """What that shell is to source."""
    return CLASSES[shell](group, {}, "netobserv", VARIABLE).source()
