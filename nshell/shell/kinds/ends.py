"""The types of parameters that describe a packet: one of its ends, its protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nshell.filters import FilterError
from nshell.filters.names import PROTOCOLS
from nshell.filters.values import parse_protocol
from nshell.shell.errors import CommandError
from nshell.shell.kinds import Candidate, Kind
from nshell.shell.why.question import Destination, Source, parse_target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nshell.shell.kinds import Fragment, World
    from nshell.shell.why.question import Target
    from nshell.shell.words import Cursor


class End(Kind["Target"]):
    """An address, a pod or a service, and perhaps a port."""

    def __init__(self, shown: str) -> None:
        self.shown = shown

    def take(self, cursor: Cursor) -> Target:
        return parse_target(cursor.next())

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        if not at.earlier:
            return Source().complete(at, world)
        try:
            host = parse_target(at.earlier[-1]).host
        except CommandError:
            host = at.earlier[-1]
        return Destination().complete(replace(at, earlier=[host]), world)


class ProtocolName(Kind[int]):
    """A transport protocol, by name or number."""

    shown = "PROTO"

    def take(self, cursor: Cursor) -> int:
        try:
            (found,) = parse_protocol(cursor.next())
        except FilterError as error:
            raise CommandError(str(error)) from None
        return found.first

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:  # noqa: ARG002
        return [Candidate(name, "protocol") for name in PROTOCOLS]
