"""What `set`, the environment and the configuration choose: each with its words.

Pure: names and words in, values of Settings out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.kinds import Candidate, Fragment, Kind, World
from nshell.shell.output.render import FORMATS
from nshell.shell.units import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nshell.shell.context import Settings
    from nshell.shell.words import Cursor

MAX_DNS_PORTS = 8
DNS_PORT = "dns_port"
_ON_OFF = ("on", "off")


@dataclass(frozen=True, slots=True)
class Choice:
    """A setting of the shell: one of a few words."""

    name: str
    words: Sequence[str]
    summary: str
    on_off: bool = False
    """Settings has it as a bool."""


CHOICES = {
    choice.name: choice
    for choice in (
        Choice("format", FORMATS, "how results are shown"),
        Choice("expanded", ("auto", *_ON_OFF), "a row a block; auto: where rows are too wide"),
        Choice("pager", ("auto", "off"), "for results higher than the terminal"),
        Choice("timing", _ON_OFF, "whether it is told how long a query took", on_off=True),
        Choice("human", _ON_OFF, "bytes and durations in units, on a terminal", on_off=True),
        Choice("theme", ("auto", "dark", "light", "mono"), "colours of the prompt and of views"),
        Choice("keys", ("emacs", "vi"), "what keys mean at the prompt; F4 changes it"),
        Choice("color", ("auto", "never"), "never: no colours, as with NO_COLOR"),
    )
}
_DNS_SUMMARY = "ports taken for DNS"


def checked(name: str, value: object) -> str:
    """The word for it; CommandError where it is none of the setting's."""
    choice = CHOICES[name]
    word = value
    if isinstance(value, bool) and "on" in choice.words:
        word = "on" if value else "off"
    if not isinstance(word, str) or word not in choice.words:
        *others, last = choice.words
        near = did_you_mean(str(word), choice.words) or f": {', '.join(others)} or {last}"
        raise CommandError(f"{name} cannot be {word!r}{near}")
    return word


def give(settings: Settings, name: str, word: str, *, origin: str) -> None:
    """Set it; the word has been checked."""
    setattr(settings, name, word == "on" if CHOICES[name].on_off else word)
    settings.origins[name] = origin


def words_of(settings: Settings) -> dict[str, str]:
    """Every setting with its word."""
    found = {}
    for name in CHOICES:
        value = getattr(settings, name)
        found[name] = str(value) if not isinstance(value, bool) else "on" if value else "off"
    return found


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
    closed = True

    shown = "[NAME [VALUE]]"

    def take(self, cursor: Cursor) -> Setting:
        names = (*CHOICES, DNS_PORT)
        name = cursor.next()
        if name not in names:
            near = did_you_mean(name, names) or f": there are {', '.join(names)}"
            raise CommandError(f"unknown setting {name!r}{near}")
        if cursor.at_end:
            return Setting(name)
        if name == DNS_PORT:
            text = ",".join(cursor.rest())
            return Setting(name, text, _ports(text))
        return Setting(name, checked(name, cursor.next()))

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:  # noqa: ARG002
        if not at.before:
            known = [Candidate(choice.name, choice.summary) for choice in CHOICES.values()]
            return [*known, Candidate(DNS_PORT, _DNS_SUMMARY)]
        if len(at.before) == 1 and at.before[0] in CHOICES:
            return [Candidate(word) for word in CHOICES[at.before[0]].words]
        return []


def _ports(text: str) -> tuple[int, ...]:
    found: dict[int, None] = {}
    for word in filter(None, text.split(",")):
        port = whole_number(word, 1, 65_535)
        if port is None:
            raise CommandError(f"dns_port cannot be {word!r}: a port is a number from 1 to 65535")
        found[port] = None
    ports = tuple(found)
    if not 1 <= len(ports) <= MAX_DNS_PORTS:
        raise CommandError(f"dns_port takes 1 to {MAX_DNS_PORTS} ports, not {len(ports)}")
    return ports
