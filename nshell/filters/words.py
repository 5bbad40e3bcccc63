"""From a line to words and from words to clauses: the grammar of a filter, with
values still as typed.

``[accept|reject] PRED VALUE[,VALUE...] [PRED VALUE ...] [for flows|packets] [as NAME]``

Every clause that leaves here names a known predicate and has at least one value.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from nshell.filters.errors import FilterError, nearest, shown, suggestion
from nshell.filters.names import PROTOCOL_ALIASES, PROTOCOLS
from nshell.filters.predicates import PREDICATES
from nshell.filters.selectorvalues import owner_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_VERDICTS = ("accept", "reject")
_KINDS = ("flows", "packets")
_TAIL = ("for", "as")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
_RESERVED = frozenset({*PREDICATES, *_VERDICTS, *_KINDS, *_TAIL})

# Their values are names that others chose.
_NAMING = ("pod", "namespace", "service", "owner", "label", "node")

_CONNECTIVES: Mapping[str, str] = MappingProxyType(
    {
        "and": "leave it out, all predicates of a filter must hold",
        "or": "separate the values of a predicate by commas, or add a second filter",
        "not": "put `reject` first, for what is not wanted",
        "name": "write it as `as NAME`, at the end",
    }
)

# What other tools call it.
_FOREIGN: Mapping[str, str] = MappingProxyType(
    {
        "host": "peer_ip",
        "ip": "peer_ip",
        "addr": "peer_ip",
        "address": "peer_ip",
        "net": "cidr",
        "network": "cidr",
        "src": "src_cidr",
        "dst": "dst_cidr",
        "src_ip": "src_cidr",
        "dst_ip": "dst_cidr",
        "src_port": "sport",
        "dst_port": "dport",
        "proto": "protocol",
        "flags": "tcp_flags",
        "dev": "interface",
        "iface": "interface",
        "ifname": "interface",
        "ns": "namespace",
        "namespaces": "namespace",
        "project": "namespace",
        "po": "pod",
        "pods": "pod",
        "svc": "service",
        "services": "service",
        "no": "node",
        "nodes": "node",
        "labels": "label",
        "selector": "label",
        "workload": "owner",
        "controller": "owner",
    }
)


@dataclass(frozen=True, slots=True)
class Clauses:
    """The parts of one filter."""

    reject: bool
    flows: bool
    packets: bool
    values: Mapping[str, tuple[str, ...]]
    """Of each predicate named, in the order typed."""
    name: str = ""

    def of(self, predicate: str) -> tuple[str, ...]:
        """Its values; none when it isn't there."""
        return self.values.get(predicate, ())


def split_words(line: str) -> list[str]:
    """Words of a line, with quotes and backslashes as in a shell."""
    try:
        return shlex.split(line)
    except ValueError:
        raise FilterError(_unclosed(line)) from None


def read_clauses(words: Sequence[str]) -> Clauses:
    """The words after ``filter``, sorted by predicate."""
    reject, at = _verdict(words)
    values: dict[str, list[str]] = {}
    last = ""
    while at < len(words) and words[at].lower() not in _TAIL:
        last = _predicate(words, at, after=last)
        found, at = _values(words, at + 1, last)
        values.setdefault(last, []).extend(found)
    if not values:
        raise FilterError(_nothing_to_match(words))
    (flows, packets), name = _tail(words[at:])
    return Clauses(reject, flows, packets, {name: tuple(v) for name, v in values.items()}, name)


def _verdict(words: Sequence[str]) -> tuple[bool, int]:
    """Whether the rule rejects, and where its predicates start."""
    first = words[0].lower() if words else ""
    return first == "reject", int(first in _VERDICTS)


def _predicate(words: Sequence[str], at: int, *, after: str) -> str:
    name = words[at].lower()
    if name not in PREDICATES:
        raise FilterError(_unknown(words, at, after))
    return name


def _values(words: Sequence[str], at: int, predicate: str) -> tuple[list[str], int]:
    """The values that start at a word, and where the next clause starts.

    A comma at the end of a word, or at the start of the next, goes on with the list.
    """
    example = f"e.g. `filter {PREDICATES[predicate].example}`"
    if at >= len(words):
        raise FilterError(f"{predicate} needs a value, {example}")
    if not _may_be_value(words, at, predicate):
        raise FilterError(f"{predicate} needs a value before {shown(words[at])}, {example}")
    text = words[at]
    at += 1
    while at < len(words) and (text.rstrip().endswith(",") or words[at].startswith(",")):
        text += words[at]
        at += 1
    found = [value.strip() for value in text.split(",")]
    if "" in found:
        raise FilterError(f"{predicate} has an empty value in {shown(text)}, {example}")
    return found, at


def _may_be_value(words: Sequence[str], at: int, predicate: str) -> bool:
    """Not where a predicate was meant; things may bear the name of one, if another follows."""
    if predicate == "interface" or not _starts_clause(words[at]):
        return True
    after = words[at + 1] if at + 1 < len(words) else _TAIL[0]
    return predicate in _NAMING and (_starts_clause(after) or after.startswith(","))


def _starts_clause(word: str) -> bool:
    return word.lower() in PREDICATES or word.lower() in _TAIL


def _tail(words: Sequence[str]) -> tuple[tuple[bool, bool], str]:
    """Whether the rule governs flows and packets, and its name, from the words at the first."""
    kinds, name, at, last = (True, True), "", 0, ""
    while at < len(words):
        head = words[at].lower()
        if head not in _TAIL or head == last:
            raise FilterError(f"{shown(words[at])} stands after `{' '.join(words[:at])}`: {_LAST}")
        if at + 1 == len(words):
            raise FilterError(_LACKS[head])
        if head == "for":
            kinds = _kinds(words[at + 1])
        else:
            name = _name(words[at + 1])
        last, at = head, at + 2
    return kinds, name


_LAST = "`for flows` or `for packets` comes last, and `as NAME`"
_LACKS = {"for": "'for' needs flows or packets after it", "as": "'as' needs a name after it"}


def _kinds(word: str) -> tuple[bool, bool]:
    kind = word.lower()
    if kind not in _KINDS:
        raise FilterError(f"unknown kind {shown(word)} after 'for': {suggestion(kind, _KINDS)}")
    return kind == "flows", kind == "packets"


def is_name(word: str) -> bool:
    """Whether a filter could bear it."""
    return _NAME.fullmatch(word) is not None and word.lower() not in _RESERVED


def name_in(text: str) -> str:
    """That the filter with this canonical text bears; empty: none."""
    head, joint, name = text.rpartition(" as ")
    return name if joint and is_name(name) and " " in head else ""


def _name(word: str) -> str:
    if word.lower() in _RESERVED:
        raise FilterError(f"{shown(word)} is no name for a filter: it is a word of the language")
    if not is_name(word):
        raise FilterError(
            f"{shown(word)} is no name for a filter: a letter, then letters, digits, - _ and ."
            ", 32 at most"
        )
    return word


def _nothing_to_match(words: Iterable[str]) -> str:
    verdict = next((word.lower() for word in words if word.lower() in _VERDICTS), "")
    if verdict:
        return f"filter {verdict} needs a predicate, e.g. `filter {verdict} port 22`"
    return "filter needs a predicate, e.g. `filter port 443`"


def _unknown(words: Sequence[str], at: int, after: str) -> str:
    """What to say of a word that stands where a predicate should."""
    word = words[at]
    name = word.lower()
    if name in _VERDICTS:
        return f"{shown(word)} comes first: `filter {name} PREDICATE VALUE ...`"
    hint = _selector_hint(words, at, after) or _hint(name, after)
    return f"unknown predicate {shown(word)}: {hint}"


def _hint(name: str, after: str) -> str:
    """What may have been meant; ``after`` is the predicate before it, if any."""
    if name in _CONNECTIVES:
        return _CONNECTIVES[name]
    if name in _KINDS:
        return f"write it as `for {name}`, at the end"
    if name in PROTOCOLS or name in PROTOCOL_ALIASES:
        return f"write it as `protocol {name}`"
    if name.partition("=")[0] in PREDICATES:
        return f"write it as `{name.partition('=')[0]} VALUE`"
    if name in _FOREIGN:
        return f"did you mean {_FOREIGN[name]!r}?"
    return _nearest_or_all(name, after)


def _selector_hint(words: Sequence[str], at: int, after: str) -> str:
    """How a selector is written that stands there without its predicate; may be empty."""
    word = words[at]
    kind, slash, name = word.partition("/")
    own = _FOREIGN.get(kind.lower(), kind.lower())
    if slash and own in _NAMING:
        return f"write it as `{own} {shown(name)[1:-1]}`"
    owner = owner_of(kind)
    if slash and owner:
        return f"write it as `owner {owner}/{shown(name)[1:-1]}`"
    if owner and word.lower() not in _FOREIGN:
        follows = words[at + 1] if at + 1 < len(words) else "NAME"
        return f"write it as `owner {owner}/{shown(follows)[1:-1]}`"
    key, equals, _ = word.partition("=")
    if equals and key and key.lower() not in {*PREDICATES, *_FOREIGN} and key[0].isalpha():
        return f"write it as `label {shown(word)[1:-1]}`"
    if slash and not after and word[0].isalpha() and word.islower():
        return f"write it as `pod {shown(word)[1:-1]}`"
    return ""


def _nearest_or_all(name: str, after: str) -> str:
    choices = (*PREDICATES, *_TAIL) if after else (*PREDICATES, *_VERDICTS)
    if nearest(name, choices):
        return suggestion(name, choices)
    if after and any(character.isdigit() for character in name):
        return f"if it is a value of {after}, put a comma before it"
    return "one of " + ", ".join(PREDICATES)


def _unclosed(line: str) -> str:
    """Where the quoting of a line that shlex refuses goes wrong."""
    quote, at = "", 0
    escaped = False
    for index, character in enumerate(line):
        if escaped:
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif quote and character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote, at = character, index
    if quote:
        return f"the quote in {shown(line[at:])} is not closed"
    return "nothing follows the backslash at the end of the line"
