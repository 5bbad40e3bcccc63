"""What `why` is asked: how the two ends are read, and which packets tell of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from nshell.shell.completion import seen as seen_so_far
from nshell.shell.completion.matching import matching
from nshell.shell.errors import CommandError
from nshell.shell.kinds import Candidate, Duration, Fragment, Kind, World
from nshell.shell.units import whole_number
from nshell.shell.why.naming import ClusterName, parse_cluster_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nshell.shell.words import Cursor

Address = IPv4Address | IPv6Address

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_BRACKETS = re.compile(r"\[([^\]]*)\](?::(.*))?")
_MAX_NAME = 253
_MOST_ENDS = 500
"""That are offered at once."""


@dataclass(frozen=True, slots=True)
class Target:
    """The far end: an address or a name, and perhaps a port."""

    address: Address | None = None
    name: str = ""
    """In lower case, without the final dot; empty where there is an address."""
    port: int | None = None
    cluster_name: ClusterName | None = None
    """Of a pod or a service whose address is still to be found."""

    @property
    def host(self) -> str:
        """As it is written."""
        return self.name or str(self.cluster_name or self.address)


@dataclass(frozen=True, slots=True)
class Question:
    """Why does `source` not reach `target`?"""

    source: Address
    target: Target

    def __post_init__(self) -> None:
        address = self.target.address
        if address is None:
            return
        check_family(self.source, address)
        if address == self.source and self.target.port is None:
            raise CommandError(f"{address} at both ends: say the port, {shown(address, 'PORT')}")

    def rules(self, dns_ports: Sequence[int]) -> list[tuple[str, ...]]:
        """Filters for all that tells of it, as the words that `filter` takes."""
        source, target = str(self.source), self.target
        if target.address is None:
            return [("cidr", source, "for", "flows")]
        port = () if target.port is None else ("port", str(target.port))
        icmp = "icmp" if self.source.version == 4 else "icmpv6"
        asking = ",".join(map(str, dns_ports))
        return [
            ("cidr", source, "peer_ip", str(target.address), *port, "for", "flows"),
            # Errors come from any router on the way, and name no port.
            ("cidr", source, "protocol", icmp, "for", "flows"),
            ("cidr", source, "port", asking, "for", "flows"),
        ]


def check_family(source: Address, target: Address) -> None:
    """CommandError where it is not one."""
    if target.version != source.version:
        raise CommandError(
            f"{source} is IPv{source.version} and {target} is "
            f"IPv{target.version}: no packet has both"
        )


def shown(address: Address, port: object) -> str:
    """Both as one word."""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def parse_address(word: str) -> Address | None:
    """An IP address, v4 where it is mapped into v6; None where it is none."""
    try:
        address = ip_address(word)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise CommandError(f"{word!r}: leave out %{address.scope_id}, packets do not carry it")
        return address.ipv4_mapped or address
    return address


def parse_target(word: str) -> Target:
    """An address or a name, and perhaps a port; CommandError says what is wrong."""
    in_brackets = _BRACKETS.fullmatch(word)
    if in_brackets is not None:
        host, port = in_brackets.groups()
        if ":" not in host or parse_address(host) is None:
            raise CommandError(f"{host!r} in brackets is not an IPv6 address")
    elif word.count(":") == 1:
        host, _, port = word.partition(":")
    else:
        host, port = word, None
    number = None if port is None else _port(port)
    address = parse_address(host)
    if address is not None:
        return Target(address=address, port=number)
    cluster_name = parse_cluster_name(host)
    if cluster_name is not None:
        return Target(port=number, cluster_name=cluster_name)
    return Target(name=_name(host), port=number)


def _port(word: str) -> int:
    number = whole_number(word, 1, 65_535)
    if number is None:
        raise CommandError(f"{word!r} is not a port: a number from 1 to 65535")
    return number


def _name(word: str) -> str:
    """A name as packets carry it."""
    name = word.rstrip(".").lower()
    try:
        name = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        name = ""
    labels = name.split(".")
    right = len(name) <= _MAX_NAME and all(map(_LABEL.fullmatch, labels))
    if not right or labels[-1].isdecimal():
        raise CommandError(f"{word!r} is neither an IP address nor a DNS name")
    return name


class Source(Kind["Address | ClusterName"]):
    """An IP address, or a pod."""

    shown = "SRC"

    def take(self, cursor: Cursor) -> Address | ClusterName:
        word = cursor.next()
        found = parse_address(word) or parse_cluster_name(word)
        if found is None:
            raise CommandError(
                f"{word!r} is not an IP address: SRC is who sends, an address or NAMESPACE/POD"
            )
        return found

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        seen = [Candidate(each.text, each.meta) for each in seen_so_far.sources(world)]
        pods = [Candidate(name, "pod") for name in world.selectable.get("pod", ())]
        return _fitting(at.word, [*seen, *pods])


class Destination(Kind[Target]):
    """An IP address, a DNS name, a pod or a service, and perhaps a port."""

    shown = "DST[:PORT]"

    def take(self, cursor: Cursor) -> Target:
        return parse_target(cursor.next())

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:
        source = at.earlier[-1] if at.earlier else ""
        seen = [Candidate(each.text, each.meta) for each in seen_so_far.targets(source, world)]
        named = [
            Candidate(name, sort)
            for sort in ("pod", "service")
            for name in world.selectable.get(sort, ())
        ]
        return _fitting(at.word, [*seen, *named])


def _fitting(word: str, candidates: Sequence[Candidate]) -> list[Candidate]:
    fit = matching(word, candidates, key=lambda candidate: candidate.text, most=_MOST_ENDS)
    return [replace(candidate, fitted=True) for candidate in fit]


class ForDuration(Kind[float]):
    """`for` and a duration."""

    takes_rest = True

    shown = "[for DURATION]"

    def take(self, cursor: Cursor) -> float:
        word = cursor.next()
        if word.lower() != "for":
            raise CommandError(f"unexpected {word!r}: `for DURATION` may follow here")
        if cursor.at_end:
            raise CommandError("a duration must follow `for`, such as 30s")
        return Duration().take(cursor)

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:  # noqa: ARG002
        return [] if at.before else [Candidate("for", "how long to watch")]
