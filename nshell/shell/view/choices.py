"""What filter can be made of a row: the choices that `f` offers."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from nshell.filters.names import PROTOCOLS
from nshell.shell.view.words import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.shell.view.rows import Row

_PROTOCOL_WORDS = {number: name for name, number in PROTOCOLS.items()}
MOST = 9
"""A digit chooses."""


@dataclass(slots=True)
class Menu:
    """Filters to choose from."""

    choices: list[tuple[str, ...]]
    at: int = 0
    reject: bool = False

    def words(self) -> tuple[str, ...]:
        """The chosen filter, as typed after `filter`."""
        chosen = self.choices[self.at]
        return ("reject", *chosen) if self.reject else chosen


def choices(row: Row, ends: tuple[str, str]) -> list[tuple[str, ...]]:
    """Rules that this row's packets match, from the likeliest on."""
    return list(dict.fromkeys(_choices(row, ends)))[:MOST]


def _choices(row: Row, ends: tuple[str, str]) -> Iterator[tuple[str, ...]]:
    addresses = [str(row[f"{end}Addr"]) for end in ends if row[f"{end}Addr"]]
    ports = sorted({row.whole(f"{end}Port") for end in ends if row[f"{end}Port"] is not None})
    number = row["Proto"]
    protocol = _PROTOCOL_WORDS.get(number, str(number)) if isinstance(number, int) else ""
    for address in addresses:
        yield ("peer_ip", address)
    if len(addresses) == 2:
        one, other = map(_network, addresses)
        yield ("cidr", one, "peer_cidr", other)
    for port in ports[:1]:
        yield ("port", str(port), "protocol", protocol)
    if protocol:
        yield ("protocol", protocol)
    for end in ends:
        name, namespace = plain(row[f"{end}K8S_Name"]), plain(row[f"{end}K8S_Namespace"])
        kind = plain(row[f"{end}K8S_Type"]) or "Pod"
        if name and namespace and kind in ("Pod", "Service"):
            yield (kind.lower(), f"{namespace}/{name}")
        elif name and kind == "Node":
            yield ("node", name)
    for port in ports[1:]:
        yield ("port", str(port), "protocol", protocol)


def _network(address: str) -> str:
    return f"{address}/{ip_address(address).max_prefixlen}"
