"""Numbers, names and flag masks as typed, and how they are spelled canonically.

A value either parses to what the kernel compares with, or is refused with the
word at fault: no value is rounded, clipped or ignored.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from nshell.filters.errors import FilterError, nearest, shown, suggestion
from nshell.filters.names import (
    DIRECTIONS,
    ICMP4_TYPES,
    ICMP6_TYPES,
    ICMP_TYPE_NAMES,
    PROTOCOL_ALIASES,
    PROTOCOLS,
    SERVICES,
    TCP_FLAG_SETS,
    TCP_FLAGS,
)
from nshell.filters.rule import Direction, FlagMatch, Range

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LONGEST_INTERFACE = 15  # IFNAMSIZ less the final zero
_TRANSPORTS = ("tcp", "udp", "sctp", "dccp")
_PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}


def parse_port(word: str) -> Iterator[Range]:
    """A number, a range or the name of a service."""
    found = _numbers(word, "port", 65535)
    if found is not None:
        yield found
        return
    ports = _service(word.lower())
    if not ports:
        near = nearest(word, SERVICES)
        hint = (
            suggestion(word, near) if near else "a number, a range such as 8000-8100, or a service"
        )
        raise FilterError(f"{shown(word)} is not a port: {hint}")
    yield from (Range(port, port) for port in ports)


def parse_protocol(word: str) -> Iterator[Range]:
    """A name or a number."""
    name = word.lower()
    if _is_number(word):
        number = _bounded(word, "protocol", 255)
    elif name in PROTOCOLS or name in PROTOCOL_ALIASES:
        number = PROTOCOLS[PROTOCOL_ALIASES.get(name, name)]
    else:
        hint = suggestion(name, PROTOCOLS)
        either = "" if nearest(name, PROTOCOLS) else ", or a number from 0 to 255"
        raise FilterError(f"{shown(word)} is not a protocol: {hint}{either}")
    yield Range(number, number)


def parse_icmp_type(word: str, families: frozenset[int]) -> Iterator[Range]:
    """A number, a range or a name; a name gives its number in each of the families.

    Some names stand for a number that means something else in the other family:
    those need a rule that holds for one family only.
    """
    found = _numbers(word, "icmp_type", 255)
    if found is not None:
        yield found
        return
    name = word.lower()
    if name not in ICMP_TYPE_NAMES:
        hint = suggestion(name, ICMP_TYPE_NAMES)
        raise FilterError(f"{shown(word)} is not an ICMP type: {hint}")
    tables = {4: ICMP4_TYPES, 6: ICMP6_TYPES}
    known = [family for family in sorted(families) if name in tables[family]]
    if not known:
        other = "IPv6" if families == {4} else "IPv4"
        here = "IPv4" if families == {4} else "IPv6"
        raise FilterError(
            f"{shown(word)} is an ICMP type of {other} and the rule holds for {here} only"
        )
    for family in known:
        number = tables[family][name]
        if len(families) == 2:
            _refuse_ambiguous(word, number, tables[10 - family])
        yield Range(number, number)


def parse_icmp_code(word: str) -> Iterator[Range]:
    """A number or a range."""
    found = _numbers(word, "icmp_code", 255)
    if found is None:
        raise FilterError(f"{shown(word)} is not an ICMP code: a number from 0 to 255, or a range")
    yield found


def parse_tcp_flags(word: str) -> Iterator[FlagMatch]:
    """``FLAGS``: all of them set; ``VALUE/MASK``: of MASK exactly VALUE."""
    value_text, slash, mask_text = word.lower().partition("/")
    value = _flag_set(value_text, word)
    mask = _flag_set(mask_text, word) if slash else value
    if not mask:
        raise FilterError(f"{shown(word)} compares no flag: none/all holds when no flag is set")
    if value & ~mask:
        outside = spell_flags(value & ~mask)
        fixed = f"{spell_flags(value)}/{spell_flags(value | mask)}"
        raise FilterError(
            f"{shown(word)} can never match, {outside} is not in the mask: did you mean {fixed!r}?"
        )
    yield FlagMatch(mask, value)


def parse_direction(word: str) -> Iterator[Direction]:
    """``ingress`` or ``egress``, ``in`` or ``out``."""
    name = word.lower()
    if name not in DIRECTIONS:
        raise FilterError(f"{shown(word)} is not a direction: {suggestion(name, DIRECTIONS)}")
    yield Direction(DIRECTIONS[name])


def parse_interface(word: str) -> Iterator[str]:
    """The name of an interface, ``*`` and ``?`` allowed."""
    if len(word.encode("utf-8", "surrogatepass")) > _LONGEST_INTERFACE:
        raise FilterError(f"{shown(word)} is not an interface name: longer than 15 characters")
    wrong = next((c for c in word if c in "/:" or c.isspace() or not c.isprintable()), "")
    if wrong:
        raise FilterError(f"{shown(word)} is not an interface name: it has a {shown(wrong)}")
    yield word


def spell_range(numbers: Range) -> str:
    if numbers.first == numbers.last:
        return str(numbers.first)
    return f"{numbers.first}-{numbers.last}"


def spell_protocol(numbers: Range) -> str:
    return _PROTOCOL_NAMES.get(numbers.first, str(numbers.first))


def spell_flags(flags: int) -> str:
    if flags in (0x00, 0xFF):
        return "all" if flags else "none"
    return "+".join(name for name, bit in TCP_FLAGS.items() if flags & bit)


def spell_flag_match(match: FlagMatch) -> str:
    if match.mask == match.value:
        return spell_flags(match.value)
    return f"{spell_flags(match.value)}/{spell_flags(match.mask)}"


def spell_direction(direction: Direction) -> str:
    return direction.name.lower()


def _numbers(word: str, what: str, highest: int) -> Range | None:
    """A number or a range; None for a word that is neither."""
    first_text, dash, last_text = word.partition("-")
    if not dash:
        if not _is_number(word):
            return None
        number = _bounded(word, what, highest)
        return Range(number, number)
    if not (_is_number(first_text) or _is_number(last_text)):
        return None
    if not first_text or not last_text:
        whole = f"{first_text or 0}-{last_text or highest}"
        raise FilterError(f"{shown(word)} is not a range: write it as {whole}?")
    if not (_is_number(first_text) and _is_number(last_text)):
        return None
    first, last = _bounded(first_text, what, highest), _bounded(last_text, what, highest)
    if first > last:
        raise FilterError(f"{what} range {word} runs backwards: write it as {last}-{first}?")
    return Range(first, last)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit()


def _bounded(word: str, what: str, highest: int) -> int:
    # Longer ones can't be in bounds, and int() of very long digits is refused.
    if len(word) > 9 or int(word) > highest:
        raise FilterError(f"{what} {shown(word)} is out of range: 0 to {highest}")
    return int(word)


def _service(name: str) -> tuple[int, ...]:
    """Ports of a service: ours, else what the machine knows under that name."""
    if name in SERVICES:
        return (SERVICES[name],)
    if not name.isascii() or not name.isprintable():
        return ()
    ports = []
    for transport in _TRANSPORTS:
        try:
            ports.append(socket.getservbyname(name, transport))
        except OSError:
            continue
    return tuple(dict.fromkeys(ports))


def _refuse_ambiguous(word: str, number: int, other: Mapping[str, int]) -> None:
    clash = next((n for n, value in other.items() if value == number and n != word.lower()), "")
    if clash:
        raise FilterError(
            f"{shown(word)} is type {number}, which is {clash} in the other ICMP: "
            "add `protocol icmp` or `protocol icmpv6`"
        )


def _flag_set(text: str, whole: str) -> int:
    flags = 0
    for name in text.split("+"):
        if name not in TCP_FLAG_SETS:
            choices = tuple(TCP_FLAG_SETS) if nearest(name, TCP_FLAG_SETS) else tuple(TCP_FLAGS)
            inside = "" if name == whole.lower() else f" in {shown(whole)}"
            raise FilterError(
                f"{shown(name)}{inside} is not a TCP flag: {suggestion(name, choices)}"
            )
        flags |= TCP_FLAG_SETS[name]
    return flags
