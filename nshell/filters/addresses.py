"""Addresses and networks as typed, to prefixes over the mapped address space.

A prefix from IPv6 text never contains an IPv4 address: one that would, such as
::/0, becomes the shortest list of prefixes that leaves ::ffff:0:0/96 out.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from nshell.filters.errors import FilterError, shown
from nshell.filters.names import SERVICES
from nshell.filters.rule import MAPPED, MAPPED_BITS, Prefix

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAPPED_AT = int.from_bytes(MAPPED + bytes(4), "big")

_Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Network:
    """One value of an address predicate."""

    text: str
    """Canonical; without a length when it is one address."""
    prefixes: tuple[Prefix, ...]

    @property
    def is_host(self) -> bool:
        return "/" not in self.text


def parse_host(word: str) -> Network:
    """One address, of ``peer_ip``."""
    if "/" in word:
        network = parse_network(word)
        fix = "peer_ip" if network.is_host else "peer_cidr"
        raise FilterError(
            f"peer_ip takes an address and {shown(word)} is a network: "
            f"write it as `{fix} {network.text}`"
        )
    address = _address(word, "")
    return _network(word, address, address.max_prefixlen)


def parse_network(word: str) -> Network:
    """An address, or a network as ADDRESS/LENGTH."""
    text, slash, length_text = word.partition("/")
    address = _address(text, slash + length_text)
    length = _length(length_text, address) if slash else address.max_prefixlen
    network = ip_network((address, length), strict=False)
    if network.network_address != address:
        raise FilterError(f"{word} has host bits set: {network}?")
    return _network(word, address, length)


def _network(word: str, address: _Address, length: int) -> Network:
    if isinstance(address, IPv6Address) and address.ipv4_mapped and length >= MAPPED_BITS:
        plain = _spelled(address.ipv4_mapped, length - MAPPED_BITS)
        raise FilterError(f"{shown(word)} is an IPv4 address written as IPv6: write it as {plain}")
    return Network(_spelled(address, length), tuple(_prefixes(address, length)))


def _spelled(address: _Address, length: int) -> str:
    return str(address) if length == address.max_prefixlen else f"{address}/{length}"


def _prefixes(address: _Address, length: int) -> Iterator[Prefix]:
    if isinstance(address, IPv4Address):
        yield Prefix(MAPPED + address.packed, MAPPED_BITS + length)
    elif length < MAPPED_BITS and _network_bits(_MAPPED_AT, length) == int(address):
        yield from _around_mapped(length)
    else:
        yield Prefix(address.packed, length)


def _around_mapped(length: int) -> Iterator[Prefix]:
    """What is left of the prefix of this length around ::ffff:0:0/96 without that."""
    for bits in range(length + 1, MAPPED_BITS + 1):
        sibling = _network_bits(_MAPPED_AT ^ (1 << (128 - bits)), bits)
        yield Prefix(sibling.to_bytes(16, "big"), bits)


def _network_bits(address: int, length: int) -> int:
    shift = 128 - length
    return address >> shift << shift


def _length(text: str, address: _Address) -> int:
    longest = address.max_prefixlen
    if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= longest:
        return int(text)
    whole = f"{address}/{text}"
    if isinstance(address, IPv4Address) and "." in text:
        try:
            network = ip_network(whole, strict=False)
        except ValueError:
            pass
        else:
            raise FilterError(f"{shown(whole)} has a mask for a length: write it as {network}?")
    raise FilterError(
        f"{shown(text)} in {shown(whole)} is not a prefix length: "
        f"IPv{address.version} has 0 to {longest}"
    )


def _address(text: str, tail: str) -> _Address:
    """The address; ``tail`` is what followed it, for the error."""
    try:
        address = ip_address(text)
    except ValueError:
        reason = _why_not(text, tail)
        raise FilterError(f"{shown(text + tail)} is not an address: {reason}") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        bare = text.partition("%")[0]
        raise FilterError(
            f"{shown(text)} has a zone: write it as {bare} and name the interface by `interface`"
        )
    return address


def _why_not(text: str, tail: str) -> str:
    if text.startswith("[") and "]" in text and _is_address(text[1 : text.index("]")]):
        return _with_port(text[1 : text.index("]")], text[text.index("]") + 1 :])
    if text.count(":") >= 2:
        return "IPv6 has up to 8 groups of up to 4 hex digits, `::` at most once"
    host, colon, _ = text.partition(":")
    if colon and _is_address(host):
        return _with_port(host, text[len(host) :])
    octets = text.rstrip(".").split(".")
    if all(octet.isascii() and octet.isdigit() for octet in octets):
        return _why_not_ipv4(octets, tail)
    if any(character.isalpha() for character in text):
        return "names are not looked up, give the address"
    return "e.g. 10.129.0.48 or 2001:db8::1"


def _with_port(host: str, tail: str) -> str:
    port = tail.lstrip(":")
    if port.isascii() and (port.isdigit() or port in SERVICES):
        return f"write it as {host}, and `port {port}` beside it"
    return f"write it as {host}"


def _why_not_ipv4(octets: list[str], tail: str) -> str:
    padded = ".".join((octets + ["0"] * 4)[:4])
    too_big = next((octet for octet in octets if int(octet[:9]) > 255), None)
    if too_big is not None:
        return f"{too_big[:9]} is above 255"
    padding = next((octet for octet in octets if len(octet) > 1 and octet[0] == "0"), None)
    if padding is not None:
        return f"{padding[:9]} starts with a zero"
    if len(octets) > 4:
        return f"IPv4 has 4 parts and this has {len(octets)}"
    length = tail[1:] if tail[1:].isascii() and tail[1:].isdigit() else str(8 * len(octets))
    if len(octets) == 1 and not tail:
        return "e.g. 10.129.0.48 or 2001:db8::1"
    return f"write it as {padded}/{length}?"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text
