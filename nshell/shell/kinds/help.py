"""What `help` is asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.filters import PREDICATES
from nshell.shell.help.text import PAGES
from nshell.shell.kinds import Candidate, CommandName, Fragment, World

if TYPE_CHECKING:
    from collections.abc import Iterable


class HelpTopic(CommandName):
    """A command, a predicate, a page, or a word to look for."""

    shown = "COMMAND|WORD"

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        yield from super().complete(at, world)
        if not at.before:
            yield from (Candidate(name, summary) for name, summary in PAGES.items())
            if at.word:
                yield from (Candidate(name, p.summary) for name, p in PREDICATES.items())
