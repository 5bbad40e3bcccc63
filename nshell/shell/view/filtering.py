"""Filters that a view made of its rows: added to the session, taken back the last one first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nshell.shell.commands.acks import applied
from nshell.shell.errors import CommandError, Unconnected
from nshell.shell.units import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.shell.client import Client


class Filters:
    """Of one view; they stay when it is left."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._made: list[tuple[int, str]] = []
        self._turn = asyncio.Lock()
        """What is taken back at once is the one that is still on its way."""

    @property
    def last(self) -> int | None:
        """The number of the one to be taken back first."""
        return self._made[-1][0] if self._made else None

    async def add(self, words: Sequence[str]) -> str:
        """The line that tells of it; CommandError where it does not hold everywhere."""
        async with self._turn:
            reply = await self._client.add_filter(words)
            text = brief(" ".join(words))
            self._made += [(number, text) for number in reply.filter_ids]
            numbers = ", ".join(map(str, reply.filter_ids))
            return applied(f"filter {numbers} added: {text}", reply).text

    async def take_back(self) -> str:
        """The same for the last one's end."""
        async with self._turn:
            if not self._made:
                return "no filter was made in this view: `filter del` at the prompt takes others"
            number, text = self._made[-1]
            try:
                reply = await self._client.delete_filters([number])
            except Unconnected:
                raise
            except CommandError:
                self._made.pop()  # another shell was faster: the one before is next
                raise
            self._made.pop()
            return applied(f"filter {number} deleted: {text}", reply).text
