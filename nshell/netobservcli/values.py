"""Values of NetObserv's filter options, and what they are in our filter language.

Each function takes one value as typed and gives the language's; ValueError says
what is wrong, with the values there are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nshell.shell.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROTOCOLS = ("TCP", "UDP", "SCTP", "ICMP", "ICMPv6")
DIRECTIONS = ("Ingress", "Egress")
ACTIONS = ("Accept", "Reject")
TCP_FLAGS: Mapping[str, str] = {
    # NetObserv puts each packet into one class: a SYN is one without ACK, and so on.
    "SYN": "syn/syn+fin+ack",
    "SYN-ACK": "syn+ack",
    "ACK": "ack/fin+syn+rst+ack",
    "FIN": "fin/fin+ack",
    "FIN-ACK": "fin+ack",
    "RST": "rst/rst+ack",
    "RST-ACK": "rst+ack",
    "PSH": "psh",
    "URG": "urg",
    "ECE": "ece",
    "CWR": "cwr",
}
_FEW = len(PROTOCOLS)
LEVELS = ("trace", "debug", "info", "warn", "warning", "error", "fatal", "panic")
"""Of --log-level, the one that tells most first."""
_RANGE = re.compile(r"\d+-\d+")
_REGEX = re.compile(r"/(?P<begin>\^?)(?P<inside>.*?)(?P<end>\$?)/")
_WILD = {".*": "*", ".+": "?*", ".": "?"}
_PIECE = re.compile(r"\.\*|\.\+|\\\.|\.|[A-Za-z0-9_@:-]")


def listed(value: str) -> list[str]:
    """Its parts between commas."""
    return value.split(",")


def one_of(word: str, known: Iterable[str]) -> str:
    """The known word that this is, upper and lower case alike."""
    words = {each.lower(): each for each in known}
    if word.lower() in words:
        return words[word.lower()]
    all_words = ", ".join(words.values())
    # Among many the nearest stands out.
    if len(words) > _FEW and (near := did_you_mean(word, words.values())):
        raise ValueError(f"unknown value {word!r}{near} There are {all_words}")
    raise ValueError(f"unknown value {word!r}: one of {all_words}")


def protocol(value: str) -> str:
    """Those that NetObserv knows; numbers too."""
    return ",".join(
        word if word.isdecimal() else one_of(word, PROTOCOLS).lower() for word in listed(value)
    )


def direction(value: str) -> str:
    return one_of(value, DIRECTIONS).lower()


def tcp_flags(value: str) -> str:
    """A class of packets; what has a + or a / is the language's own."""
    return ",".join(
        word if set(word) & set("+/") else TCP_FLAGS[one_of(word, TCP_FLAGS)]
        for word in listed(value)
    )


def port_range(value: str) -> str:
    if not _RANGE.fullmatch(value):
        raise ValueError(f"{value!r} is not a range, such as 80-100")
    return value


def as_given(value: str) -> str:
    """The language judges."""
    return value


def interface(word: str) -> str:
    """A name with * and ?, from such a name or from /a simple regular expression/."""
    if not word:
        raise ValueError("an interface has a name, such as eth0")
    if "/" not in word:
        return word
    match = _REGEX.fullmatch(word)
    pieces = _PIECE.findall(match["inside"]) if match else []
    if match is None or "".join(pieces) != match["inside"]:
        raise ValueError(f"{word!r} is more than * and ? can say: write it with these, as in eth*")
    inside = "".join(_WILD.get(piece, piece.lstrip("\\")) for piece in pieces)
    return re.sub(r"\*+", "*", f"{'' if match['begin'] else '*'}{inside}"
                               f"{'' if match['end'] else '*'}")  # fmt: skip
