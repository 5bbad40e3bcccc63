"""What `set` changes: each name with the values that it can have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.kinds import Candidate, Fragment, Kind, World
from nshell.shell.render import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nshell.shell.words import Cursor

MAX_DNS_PORTS = 8
_SUMMARIES = {
    "format": "how results are shown",
    "timing": "whether it is told how long a query took",
    "dns_port": "ports taken for DNS",
}
_WORDS = {"format": FORMATS, "timing": ("on", "off")}


@dataclass(frozen=True, slots=True)
class Setting:
    """A name, and perhaps a value to give it."""

    name: str
    value: str = ""
    """Empty: as it is."""
    ports: tuple[int, ...] = ()
    """The value of dns_port."""


class SettingWords(Kind[Setting]):
    """The name of a setting, and perhaps a value of its own."""

    takes_rest = True

    shown = f"[{'|'.join(_SUMMARIES)} [VALUE]]"

    def take(self, cursor: Cursor) -> Setting:
        name = cursor.next()
        if name not in _SUMMARIES:
            near = did_you_mean(name, _SUMMARIES) or f": there are {', '.join(_SUMMARIES)}"
            raise CommandError(f"unknown setting {name!r}{near}")
        if cursor.at_end:
            return Setting(name)
        if name == "dns_port":
            text = ",".join(cursor.rest())
            return Setting(name, text, _ports(text))
        value = cursor.next()
        if value not in _WORDS[name]:
            *others, last = _WORDS[name]
            near = did_you_mean(value, _WORDS[name]) or f": {', '.join(others)} or {last}"
            raise CommandError(f"{name} cannot be {value!r}{near}")
        return Setting(name, value)

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:  # noqa: ARG002
        if not at.before:
            return [Candidate(name, summary) for name, summary in _SUMMARIES.items()]
        if len(at.before) == 1:
            return [Candidate(word) for word in _WORDS.get(at.before[0], ())]
        return []


def _ports(text: str) -> tuple[int, ...]:
    words = [word for word in text.split(",") if word]
    for word in words:
        if not (word.isascii() and word.isdecimal() and 1 <= int(word) <= 65_535):
            raise CommandError(f"dns_port cannot be {word!r}: a port is a number from 1 to 65535")
    ports = tuple(dict.fromkeys(map(int, words)))
    if not 1 <= len(ports) <= MAX_DNS_PORTS:
        raise CommandError(f"dns_port takes 1 to {MAX_DNS_PORTS} ports, not {len(ports)}")
    return ports
