"""Reads the words after `flows` and `packets` as NetObserv's CLI takes them.

`--x=value`, `--x value`, `--x` for what is on or off; underscores and dashes,
upper and lower case alike; `or` begins another rule. Options that make rules are
kept in their order, the others are spelled as click takes them.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.netobservcli.rules import FILTER, OPTIONS, Given, WordError
from nshell.netobservcli.values import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BOOLEANS = {"true": True, "false": False}
COPY = ("true", "false", "prompt")
"""Of --copy, which alone is true."""
OR = "or"
_PROTOCOL_PORT = re.compile(r"([A-Za-z]\w*),([\w-]+)")
_SQL = "`netobserv shell` asks the rows in SQL"
ELSEWHERE: Mapping[str, str] = {
    "enable_network_events": "not observed here: --enable_pktdrop names the kernel's drop reason",
    "enable_udn_mapping": "not observed here: addresses get the names of pods and services",
    "enable_pkt_translation": "not observed here: service addresses get their names in the rows",
    "enable_ipsec": "not observed here: --protocol=50 captures ESP",
    "get_subnets": f"no labels of subnets here: {_SQL}, in_cidr(SrcAddr, '10.0.0.0/8')",
    "privileged": "leave it out: agents take the capabilities that they need",
    "yaml": "`netobserv manifests` prints what a session makes on a cluster",
    "query": f"use --filter 'pod shop/web*' for what is captured; {_SQL}",
    "include_list": f"there are no metrics here: {_SQL}",
}
"""NetObserv's options that are not ours, and what to do instead."""
_OTHER_COMMAND: Mapping[str, Mapping[str, str]] = {
    "packets": dict.fromkeys(
        ("drops", "enable_all", "enable_dns", "enable_pktdrop", "enable_pkt_drop", "enable_rtt"),
        "is for `netobserv flows`",
    ),
    "flows": {"snaplen": "is for `netobserv packets`"},
}
_SWITCHES = {*ELSEWHERE, *_OTHER_COMMAND["packets"]} - {"query", "include_list"}
"""Of NetObserv's that may be off where there is nothing to switch."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option of the command."""

    spelled: str
    """As click takes it."""
    flag: bool


@dataclass(frozen=True, slots=True)
class Read:
    """A command line, read."""

    rules: tuple[tuple[Given, ...], ...]
    """Of each rule the options, in the order given."""
    rest: tuple[str, ...]
    """The other options, for click."""


def fold(name: str) -> str:
    """What of a name counts."""
    return name.lstrip("-").replace("-", "_").lower()


class Reader:
    """Goes through the words once."""

    def __init__(self, known: Mapping[str, Option], *, command: str) -> None:
        """known: every option, by its folded name, and short ones as they are."""
        self._known = known
        self._command = command
        self._rules: list[list[Given]] = [[]]
        self._rest: list[str] = []
        self._filter_off = False

    def read(self, words: Sequence[str]) -> Read:
        """WordError for the first word that is wrong."""
        at = 0
        while at < len(words):
            word = words[at]
            if word.lower() == OR:
                self._next_rule()
                at += 1
            elif word.startswith("-"):
                at = self._option(words, at)
            else:
                self._bare(word)
                at += 1
        if len(self._rules) > 1 and not self._rules[-1]:
            raise WordError("nothing to match follows `or`: it stands between two rules")
        rules = tuple(tuple(rule) for rule in self._rules if rule)
        if rules and self._filter_off:
            raise WordError("--enable_filter=false: leave it out, or the options of the filter")
        return Read(rules, tuple(self._rest))

    def _next_rule(self) -> None:
        if not self._rules[-1]:
            raise WordError("nothing to match stands before `or`: it stands between two rules")
        self._rules.append([])

    def _bare(self, word: str) -> None:
        match = _PROTOCOL_PORT.fullmatch(word)
        if match:
            if {"protocol", "port"} & {name for name, _ in self._rules[-1]}:
                raise WordError(f"{word!r}: another rule: put `or` before it")
            self._rules[-1] += [("protocol", match[1]), ("port", match[2])]
            return
        name, equals, value = word.partition("=")
        if option := self._known.get(fold(name)):
            raise WordError(f"{word!r}: write it as {option.spelled}{equals}{value}")
        if word.isdecimal() or word.lower() in map(str.lower, PROTOCOLS):
            meant = "port" if word.isdecimal() else "protocol"
            raise WordError(f"{word!r}: write it as --{meant}={word}")
        example = "PROTOCOL,PORT such as tcp,80, options, and `or` between rules"
        raise WordError(f"{word!r} is not understood: {self._command} takes {example}")

    def _option(self, words: Sequence[str], at: int) -> int:
        """Take one with its value; where the next word is."""
        word = words[at]
        name, equals, value = word.partition("=")
        at += 1
        if fold(name) in _SWITCHES and fold(name) not in self._known:
            following = words[at].lower() if at < len(words) and not equals else ""
            if "false" in (value.lower(), following):
                return at + bool(following)  # off is how it is
        option = self._named(name)
        if option.flag:
            if not equals and at < len(words) and words[at].lower() in BOOLEANS:
                value, equals, at = words[at], " ", at + 1
            self._flag(option, value if equals else "true")
            return at
        following = words[at].lower() if at < len(words) else ""
        if not equals and fold(option.spelled) == "copy" and following not in COPY:
            value, equals = "true", "="
        if not equals:
            if at == len(words) or words[at].startswith("--"):
                raise WordError(_lacks_value(option))
            value, at = words[at], at + 1
        self._valued(option, value)
        return at

    def _named(self, name: str) -> Option:
        folded = fold(name) if name.startswith("--") else name
        if folded in self._known:
            return self._known[folded]
        if folded in ELSEWHERE:
            raise WordError(f"{name}: {ELSEWHERE[folded]}")
        other = _OTHER_COMMAND.get(self._command, {})
        if folded in other:
            raise WordError(f"{name} {other[folded]}")
        near = difflib.get_close_matches(folded, self._known, n=1, cutoff=0.6)
        hint = f": did you mean {self._known[near[0]].spelled}?" if near else (
            f": `netobserv {self._command} --help` lists the options")  # fmt: skip
        raise WordError(f"no such option {name!r}{hint}")

    def _flag(self, option: Option, value: str) -> None:
        if value.lower() not in BOOLEANS:
            raise WordError(f"{option.spelled}: unknown value {value!r}: one of true, false")
        if BOOLEANS[value.lower()]:
            self._rest.append(option.spelled)
        else:
            self._filter_off = self._filter_off or fold(option.spelled) == "enable_filter"
            self._rest = [word for word in self._rest if word != option.spelled]

    def _valued(self, option: Option, value: str) -> None:
        name = fold(option.spelled)
        if name not in OPTIONS:
            joint = option.spelled.startswith("--")
            self._rest += [f"{option.spelled}={value}"] if joint else [option.spelled, value]
            return
        if not value:
            raise WordError(_lacks_value(option))
        last = self._rules[-1]
        if name == FILTER and last and last[-1][0] == FILTER:
            self._rules.append([])
        self._rules[-1].append((name, value))


def _lacks_value(option: Option) -> str:
    between = "=" if option.spelled.startswith("--") else " "
    return f"{option.spelled} needs a value: {option.spelled}{between}VALUE"
