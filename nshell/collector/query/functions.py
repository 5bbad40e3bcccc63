"""SQL functions for addresses, ports and sizes.

Invariant: deterministic and without network traffic; NULL in gives NULL out,
and a value that makes no sense gives NULL, a wrong constant an error.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import apsw

    Value = str | int | float | bytes | None

HOSTS = Path("/etc/hosts")
_KIB = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")

_PROTOCOLS = {
    0: "HOPOPT", 1: "ICMP", 2: "IGMP", 4: "IPIP", 6: "TCP", 17: "UDP", 33: "DCCP", 41: "IPv6",
    43: "IPv6-Route", 44: "IPv6-Frag", 47: "GRE", 50: "ESP", 51: "AH", 58: "ICMPv6",
    59: "IPv6-NoNxt", 60: "IPv6-Opts", 88: "EIGRP", 89: "OSPF", 94: "IPIP", 103: "PIM",
    108: "IPComp", 112: "VRRP", 115: "L2TP", 132: "SCTP", 135: "Mobility", 136: "UDPLite",
    137: "MPLS-in-IP",
}  # fmt: skip

# What netbase's /etc/services may not be there to tell.
_PORTS = {
    20: "ftp-data", 21: "ftp", 22: "ssh", 23: "telnet", 25: "smtp", 53: "domain", 67: "bootps",
    68: "bootpc", 69: "tftp", 80: "http", 88: "kerberos", 110: "pop3", 123: "ntp", 143: "imap2",
    161: "snmp", 162: "snmp-trap", 179: "bgp", 389: "ldap", 443: "https", 445: "microsoft-ds",
    465: "submissions", 514: "syslog", 546: "dhcpv6-client", 547: "dhcpv6-server",
    587: "submission", 636: "ldaps", 853: "domain-s", 993: "imaps", 995: "pop3s", 1433: "ms-sql-s",
    2049: "nfs", 2379: "etcd-client", 2380: "etcd-server", 3306: "mysql", 3389: "ms-wbt-server",
    4789: "vxlan", 5432: "postgresql", 5672: "amqp", 6081: "geneve", 6379: "redis",
    6443: "kube-apiserver", 8080: "http-alt", 8472: "flannel-vxlan", 9090: "prometheus",
    9092: "kafka", 9200: "elasticsearch", 10250: "kubelet", 11211: "memcached", 27017: "mongodb",
}  # fmt: skip
_SERVICE_PROTOCOLS = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp"}


def host_names(text: str) -> Mapping[str, str]:
    """First name of every address of a hosts file."""
    names: dict[str, str] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1:
            names.setdefault(words[0], words[1])
    return names


def _read_hosts() -> Mapping[str, str]:
    try:
        return host_names(HOSTS.read_text(errors="replace"))
    except OSError:
        return {}


@functools.lru_cache(1 << 16)
def _address(text: str) -> tuple[int, int] | None:
    """Version and number."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address.version, int(address)


@functools.lru_cache(1 << 10)
def _network(text: str) -> tuple[int, int, int]:
    """Version, first and last number."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        reason = str(error)
    else:
        return network.version, int(network.network_address), int(network.broadcast_address)
    if "host bits" in reason:
        right = ipaddress.ip_network(text, strict=False)
        raise ValueError(f"in_cidr: {text!r} has host bits set: did you mean {str(right)!r}?")
    raise ValueError(f"in_cidr: {text!r} is not a network, write it like '10.0.0.0/8'")


def in_cidr(address: Value, cidr: Value) -> int | None:
    """1 when the address lies in the network, else 0."""
    if cidr is None:
        return None
    version, first, last = _network(str(cidr))
    known = _address(address) if isinstance(address, str) else None
    return None if known is None else int(known[0] == version and first <= known[1] <= last)


def proto_name(number: Value) -> str | None:
    """Name of an IP protocol, its number as text where it has none."""
    if not isinstance(number, int):
        return None
    return _PROTOCOLS.get(number, str(number))


@functools.lru_cache(1 << 14)
def port_name(port: Value, proto: Value) -> str | None:
    """Service on a port, the port as text where there is none; proto is a number or a name."""
    if not isinstance(port, int) or not 0 <= port <= 65535 or proto is None:
        return None
    protocol = proto.lower() if isinstance(proto, str) else _SERVICE_PROTOCOLS.get(int(proto), "")
    if protocol not in _SERVICE_PROTOCOLS.values():
        return str(port)
    try:
        return socket.getservbyport(port, protocol)
    except OSError:
        return _PORTS.get(port, str(port))


def human_bytes(count: Value) -> str | None:
    """A number of bytes with a unit, such as 1.5 MiB."""
    if not isinstance(count, int | float):
        return None
    size, unit = abs(count), 0
    # What would round to 1024.0 belongs to the next unit.
    while size >= _KIB - 0.05 * (unit > 0) and unit < len(_UNITS) - 1:
        size, unit = size / _KIB, unit + 1
    sign = "-" if count < 0 else ""
    return f"{sign}{size:.0f} B" if unit == 0 else f"{sign}{size:.1f} {_UNITS[unit]}"


def _nobody(_: str) -> str | None:
    return None


def _nameless(_: int) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Functions:
    """The functions of one session, with the names that it knows."""

    hosts: Mapping[str, str] = field(default_factory=_read_hosts)
    """Names by address."""
    owners: Callable[[str], str | None] = _nobody
    """Who has an address in the cluster now; called in the threads of queries."""
    filters: Callable[[int], str | None] = _nameless
    """Name of a filter, by its number; likewise."""

    def ip_name(self, address: Value) -> str | None:
        """Who has an address in the cluster, else its name in the hosts file, else itself."""
        if not isinstance(address, str):
            return None
        return self.owners(address) or self.hosts.get(address, address)

    def filter_name(self, number: Value) -> str | None:
        """Name that a filter was given, by its number; NULL where it has none."""
        return self.filters(number) if isinstance(number, int) else None

    def register(self, connection: apsw.Connection) -> None:
        """Make them callable in queries of a connection."""
        for name, function, arguments in self._all():
            connection.create_scalar_function(name, function, arguments, deterministic=True)

    def _all(self) -> tuple[tuple[str, Callable[..., Value], int], ...]:
        return (
            ("in_cidr", in_cidr, 2),
            ("ip_name", self.ip_name, 1),
            ("port_name", port_name, 2),
            ("human_bytes", human_bytes, 1),
            ("proto_name", proto_name, 1),
            ("filter_name", self.filter_name, 1),
        )

    def names(self) -> tuple[str, ...]:
        """Of the functions."""
        return tuple(name for name, _, _ in self._all())
