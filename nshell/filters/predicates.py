"""The predicates that a filter may name, with what help and completion show.

Their order here is the canonical order of a rule's text.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from nshell.filters.names import ICMP_TYPE_NAMES, PROTOCOLS, SERVICES, TCP_FLAGS

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Predicate:
    """One predicate of the filter language."""

    name: str
    summary: str
    example: str
    """Predicate and value, as typed after ``filter``."""
    values: tuple[str, ...] = ()
    """Values known beforehand, for completion; others may be right as well."""


_ALL = (
    Predicate("peer_ip", "one end has this address", "peer_ip 10.129.0.48"),
    Predicate("cidr", "one end is in this network", "cidr 10.128.0.0/14"),
    Predicate(
        "peer_cidr",
        "one end is in this network; beside cidr, the other end",
        "peer_cidr 172.30.0.0/16",
    ),
    Predicate("src_cidr", "the source is in this network", "src_cidr 10.0.0.0/8"),
    Predicate("dst_cidr", "the destination is in this network", "dst_cidr 2001:db8::/32"),
    Predicate("pod", "one end is this pod, NAMESPACE/NAME; * and ? allowed", "pod shop/web-*"),
    Predicate("namespace", "one end is a pod there, or one of its services", "namespace shop"),
    Predicate(
        "service",
        "one end is this service or a pod behind it, at the service's ports",
        "service shop/web",
    ),
    Predicate("owner", "one end is a pod of this controller", "owner deployment/web"),
    Predicate("label", "one end is a pod with this label", "label app=web"),
    Predicate("node", "one end is this node or a pod on it", "node worker-1"),
    Predicate("port", "source or destination port", "port 80,443", tuple(SERVICES)),
    Predicate("sport", "source port", "sport 1024-65535", tuple(SERVICES)),
    Predicate("dport", "destination port", "dport dns", tuple(SERVICES)),
    Predicate(
        "protocol", "transport protocol, by name or number", "protocol tcp", tuple(PROTOCOLS)
    ),
    Predicate(
        "icmp_type", "type of ICMP or ICMPv6", "icmp_type echo-request,echo-reply", ICMP_TYPE_NAMES
    ),
    Predicate("icmp_code", "code of ICMP or ICMPv6", "icmp_code 0"),
    Predicate(
        "tcp_flags",
        "these TCP flags are set; VALUE/MASK: of MASK exactly VALUE",
        "tcp_flags syn/synack",
        (*TCP_FLAGS, "syn+ack", "syn/synack", "none/all"),
    ),
    Predicate(
        "direction", "at the interface it was seen on", "direction ingress", ("ingress", "egress")
    ),
    Predicate("interface", "name, * and ? allowed", "interface eth0,veth*"),
)

PREDICATES: Mapping[str, Predicate] = MappingProxyType({p.name: p for p in _ALL})
