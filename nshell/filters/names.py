"""Names that users write for numbers: protocols, services, ICMP types, TCP flags.

The tables are small and ours, so that a filter means the same on every machine;
``protocol`` and ``icmp_type`` take nothing but these names and numbers.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOLS: Mapping[str, int] = MappingProxyType(
    {
        "tcp": 6,
        "udp": 17,
        "icmp": 1,
        "icmpv6": 58,
        "sctp": 132,
        "esp": 50,
        "ah": 51,
        "gre": 47,
        "igmp": 2,
        "ipip": 4,
        "dccp": 33,
        "eigrp": 88,
        "ospf": 89,
        "pim": 103,
        "vrrp": 112,
        "l2tp": 115,
        "udplite": 136,
    }
)

PROTOCOL_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "icmp4": "icmp",
        "icmpv4": "icmp",
        "icmp6": "icmpv6",
        "ipv6-icmp": "icmpv6",
        "ipsec-esp": "esp",
        "ipsec-ah": "ah",
        "ospfigp": "ospf",
        "udp-lite": "udplite",
    }
)

SERVICES: Mapping[str, int] = MappingProxyType(
    {
        "http": 80,
        "https": 443,
        "ssh": 22,
        "dns": 53,
        "domain": 53,
        "ntp": 123,
        "smtp": 25,
        "ftp": 21,
        "telnet": 23,
        "imap": 143,
        "imaps": 993,
        "snmp": 161,
        "syslog": 514,
        "ldap": 389,
        "ldaps": 636,
        "bgp": 179,
        "mysql": 3306,
        "postgresql": 5432,
        "redis": 6379,
        "etcd": 2379,
        "vxlan": 4789,
        "geneve": 6081,
        "http-alt": 8080,
        "https-alt": 8443,
    }
)

ICMP4_TYPES: Mapping[str, int] = MappingProxyType(
    {
        "echo-request": 8,
        "echo-reply": 0,
        "destination-unreachable": 3,
        "time-exceeded": 11,
        "parameter-problem": 12,
        "redirect": 5,
        "router-solicitation": 10,
        "router-advertisement": 9,
        "source-quench": 4,
        "timestamp-request": 13,
        "timestamp-reply": 14,
    }
)

ICMP6_TYPES: Mapping[str, int] = MappingProxyType(
    {
        "echo-request": 128,
        "echo-reply": 129,
        "destination-unreachable": 1,
        "time-exceeded": 3,
        "parameter-problem": 4,
        "redirect": 137,
        "router-solicitation": 133,
        "router-advertisement": 134,
        "packet-too-big": 2,
        "neighbor-solicitation": 135,
        "neighbor-advertisement": 136,
    }
)

ICMP_TYPE_NAMES = tuple(dict.fromkeys((*ICMP4_TYPES, *ICMP6_TYPES)))

TCP_FLAGS: Mapping[str, int] = MappingProxyType(
    {
        "fin": 0x01,
        "syn": 0x02,
        "rst": 0x04,
        "psh": 0x08,
        "ack": 0x10,
        "urg": 0x20,
        "ece": 0x40,
        "cwr": 0x80,
    }
)

TCP_FLAG_SETS: Mapping[str, int] = MappingProxyType(
    {
        **TCP_FLAGS,
        "push": 0x08,
        "synack": 0x12,
        "finack": 0x11,
        "rstack": 0x14,
        "none": 0x00,
        "all": 0xFF,
    }
)

DIRECTIONS: Mapping[str, int] = MappingProxyType({"ingress": 0, "egress": 1, "in": 0, "out": 1})
