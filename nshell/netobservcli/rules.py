"""From filter options to rules of our filter language: one for each side of an `or`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.filters import FilterError, parse_rule, split_words
from nshell.netobservcli import values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Given = tuple[str, str]
"""Name of an option, and its value as typed."""


class WordError(Exception):
    """A word of the command line is wrong; str() is the line for the user."""


@dataclass(frozen=True, slots=True)
class FilterOption:
    """An option that says what a rule matches."""

    predicate: str
    translate: Callable[[str], str]
    metavar: str
    summary: str
    known: tuple[str, ...] = ()
    """Values, for completion."""


ACTION = "action"
FILTER = "filter"
_PORT = "number or service"
OPTIONS: Mapping[str, FilterOption] = {
    "direction": FilterOption("direction", values.direction, "Ingress|Egress",
                              "As seen at the interface.", values.DIRECTIONS),
    "cidr": FilterOption("cidr", values.as_given, "CIDR", "One end is in this network."),
    "peer_cidr": FilterOption("peer_cidr", values.as_given, "CIDR",
                              "One end is in this network; beside --cidr, the other end."),
    "peer_ip": FilterOption("peer_ip", values.as_given, "ADDRESS",
                            "One end has this address; beside --cidr, the other end."),
    "protocol": FilterOption("protocol", values.protocol, "|".join(values.PROTOCOLS),
                             "Or its number.", values.PROTOCOLS),
    "port": FilterOption("port", values.as_given, "PORT", "Source or destination port."),
    "sport": FilterOption("sport", values.as_given, "PORT", "Source port."),
    "dport": FilterOption("dport", values.as_given, "PORT", "Destination port."),
    "port_range": FilterOption("port", values.port_range, "A-B", "Of either port."),
    "sport_range": FilterOption("sport", values.port_range, "A-B", "Of the source port."),
    "dport_range": FilterOption("dport", values.port_range, "A-B", "Of the destination port."),
    "ports": FilterOption("port", values.as_given, "A,B,...", "Either port is one of these."),
    "sports": FilterOption("sport", values.as_given, "A,B,...", "The source port is one of these."),
    "dports": FilterOption("dport", values.as_given, "A,B,...",
                           "The destination port is one of these."),
    "icmp_type": FilterOption("icmp_type", values.as_given, "N", "Type of ICMP or ICMPv6; 0 too."),
    "icmp_code": FilterOption("icmp_code", values.as_given, "N", "Code of ICMP or ICMPv6; 0 too."),
    "tcp_flags": FilterOption("tcp_flags", values.tcp_flags, "FLAGS",
                              f"{', '.join(values.TCP_FLAGS)}; SYN, FIN and RST are those "
                              "without ACK, ACK is one alone.", tuple(values.TCP_FLAGS)),
    ACTION: FilterOption("", values.as_given, "Accept|Reject",
                         "What becomes of what matches; default: Accept.", values.ACTIONS),
    FILTER: FilterOption("", values.as_given, "'PRED VALUE ...'",
                         "A whole rule as the shell takes it, such as 'pod shop/web*'."),
}  # fmt: skip


def rule_text(given: Sequence[Given]) -> str:
    """The rule that these options make together."""
    own = [value for name, value in given if name == FILTER]
    if own:
        return _own_rule(own, given)
    found: dict[str, list[str]] = {}
    reject = False
    for name, value in given:
        if name == ACTION:
            reject = _translated(name, value) == "Reject"
            continue
        found.setdefault(OPTIONS[name].predicate, []).append(_translated(name, value))
    if not found:
        raise WordError(
            f"--{ACTION} alone matches nothing: say what it is for, such as --protocol=TCP"
        )
    words = ["reject"] if reject else []
    for predicate, worded in found.items():
        words += [predicate, ",".join(worded)]
    _check_each(given, found)
    return _parsed(words, "these options")


def excluding(interfaces: Iterable[str]) -> str:
    """The rule that leaves these out, before any other."""
    return _parsed(["reject", "interface", ",".join(interfaces)], "--exclude_interfaces")


def within(texts: Sequence[str], namespaces: Sequence[str]) -> tuple[str, ...]:
    """These rules for the pods of some namespaces: all that is accepted is theirs."""
    inside = ["namespace", ",".join(namespaces)]
    found = [text if text.startswith("reject ") else _inside(text, inside) for text in texts]
    if found == list(texts):
        found.append(_parsed(inside, "--namespace"))
    return tuple(found)


def _inside(text: str, inside: Sequence[str]) -> str:
    words = split_words(text)
    if "namespace" in words:
        raise WordError("--namespace and a rule with a namespace: leave one of them out")
    end = len(words) - 2 if words[-2:-1] == ["for"] else len(words)
    return _parsed([*words[:end], *inside, *words[end:]], "--namespace")


def _own_rule(own: Sequence[str], given: Sequence[Given]) -> str:
    if len(given) > 1:
        raise WordError("--filter is a whole rule: put `or` between it and other options")
    try:
        return parse_rule(split_words(own[0])).text
    except FilterError as error:
        raise WordError(f"--{FILTER}: {error}") from None


def _translated(name: str, value: str) -> str:
    try:
        if name == ACTION:
            return values.one_of(value, values.ACTIONS)
        return OPTIONS[name].translate(value)
    except ValueError as error:
        raise WordError(f"--{name}: {error}") from None


def _check_each(given: Sequence[Given], found: Mapping[str, Sequence[str]]) -> None:
    """So that a wrong value is told with the option that has it."""
    for name, value in given:
        predicate = OPTIONS[name].predicate
        if not predicate:
            continue
        beside = []
        if predicate == "icmp_type" and "protocol" in found:
            # What a type's name means depends on it.
            beside = ["protocol", ",".join(found["protocol"])]
        _parsed([*beside, predicate, _translated(name, value)], f"--{name}")


def _parsed(words: Sequence[str], what: str) -> str:
    try:
        return parse_rule(words).text
    except FilterError as error:
        raise WordError(f"{what}: {error}") from None
