"""Completion in the user's shell: scripts for bash, zsh and fish, and what they ask.

The scripts call the program, which answers from its own options: there is no list
to keep up to date. kubectl and oc ask with words of their own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from nshell.netobservcli.command import Capture, known_options
from nshell.netobservcli.group import COMPLETE
from nshell.netobservcli.reading import BOOLEANS, fold

if TYPE_CHECKING:
    from collections.abc import Sequence

_FILES_TOO, _NO_FILES, _FOLDERS = 0, 4, 16
"""What kubectl is to offer besides: cobra's directives."""


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


class Completer(ShellComplete):
    """Completes what stands behind a = alone."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        name, equals, value = incomplete.partition("=")
        command = self._command(args)
        if equals and isinstance(command, Capture) and name.startswith("--"):
            option = known_options(command).get(fold(name))
            if option is not None and option.flag:
                return [CompletionItem(each) for each in BOOLEANS if each.startswith(value.lower())]
            if option is not None:
                incomplete = f"{option.spelled}={value}"  # as other CLIs write it
        return super().get_completions(args, incomplete)

    def _command(self, args: Sequence[str]) -> click.Command | None:
        named = self.cli.commands if isinstance(self.cli, click.Group) else {}
        return next((named[word] for word in args if word in named), None)


class Bash(Completer, BashComplete):
    """To which = ends a word."""

    def get_completion_args(self) -> tuple[list[str], str]:
        words = split_arg_string(os.environ["COMP_WORDS"])
        at = int(os.environ["COMP_CWORD"])
        *args, incomplete = joined([*words[1:at], *(words[at : at + 1] or [""])])
        return args, incomplete

    @staticmethod
    def _check_version() -> None:
        """Whoever asks for the script knows which shell it is for."""


class _WholeWords(Completer):
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
    # Values may have commas, as in eth0,eth1.
    source_template = FishComplete.source_template.replace("string split ", "string split -m1 ")


CLASSES: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def register() -> None:
    """From now on click asks these."""
    for name, each in CLASSES.items():
        add_completion_class(each, name)


def script(shell: str, group: click.Command) -> str:
    """What that shell is to source."""
    return CLASSES[shell](group, {}, "netobserv", COMPLETE).source()


def for_kubectl(group: click.Command, words: Sequence[str]) -> str:
    """Lines as `kubectl_complete-...` is to print them; the last word is unfinished."""
    *args, incomplete = words or [""]
    found = Completer(group, {}, "netobserv", COMPLETE).get_completions(args, incomplete)
    kinds = {item.type for item in found}
    directive = _FILES_TOO if "file" in kinds else _FOLDERS if "dir" in kinds else _NO_FILES
    typed = incomplete.rpartition("=")[2]
    lines = [
        "\t".join(filter(None, (_as_typed(item.value, typed), item.help)))
        for item in found
        if item.type == "plain"
    ]
    return "\n".join([*lines, f":{directive}"])


def _as_typed(value: str, typed: str) -> str:
    """In small letters after small letters: kubectl's scripts tell them from capitals."""
    return value.lower() if typed == typed.lower() and not value.startswith(typed) else value
