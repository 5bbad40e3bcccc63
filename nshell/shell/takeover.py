"""What is drawn in place and kept up to date until a key ends it: a watch, a view."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nshell.shell.prompt.look import Look
    from nshell.shell.runner import Output


class Takeover(ABC):
    """Has the terminal to itself while it runs; the session goes on behind it."""

    @abstractmethod
    async def draw(self, look: Look) -> None:
        """On a terminal, until a key ends it or it is cancelled; the terminal is then as it was."""

    @abstractmethod
    async def follow(self, out: Output) -> None:
        """Where nothing can be drawn: append to the output, or CommandError says why not."""

    @abstractmethod
    def notify(self, text: str) -> None:
        """Something happened in the background while it is drawn; one line, to be escaped."""
