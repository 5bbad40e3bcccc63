"""What each feature needs of the kernel: sources, tracepoints, members of structs.

A feature that this kernel cannot serve is told by a reason; the others work.
Runs where the types are parsed, which is the compiling child.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.kernel.btf import DIRECTORY, BtfError, Types

_PREFIXES = ("SKB_DROP_REASON_", "SKB_")
_NO_REASONS = ("_MAX", "_MASK")
_RESET_PREFIX = "SK_RST_REASON_"

NO_LOSS = frozenset(
    (
        "NOT_DROPPED_YET",
        "CONSUMED",
        "SOCKET_CLOSE",  # what a closing socket had not read
        "QUEUE_PURGE",
        "OTHERHOST",  # a promiscuous device saw what was meant for another
        "NEIGH_DEAD",
        "TCP_OLD_DATA",  # duplicates of what had arrived
        "TCP_OFOMERGE",
        "TCP_OLD_SEQUENCE",
        "TCP_OLD_ACK",
        "TCP_TOO_OLD_ACK",
        "TCP_RFC7323_PAWS_ACK",
        "DUP_FRAG",
        "UNIX_DISCONNECT",
        "UNIX_SKIP_OOB",
    )
)
"""Reasons of the core for which nobody misses the packet."""
_REASON_BITS = 192

_SKB = {
    "SKB_HEAD": ("sk_buff", "head"),
    "SKB_DATA": ("sk_buff", "data"),
    "SKB_LEN": ("sk_buff", "len"),
    "SKB_DATA_LEN": ("sk_buff", "data_len"),
    "SKB_PROTOCOL": ("sk_buff", "protocol"),
    "SKB_NETWORK_HEADER": ("sk_buff", "network_header"),
    "SKB_DEV": ("sk_buff", "dev"),
    "SKB_DST": ("sk_buff", "_skb_refdst"),
    "SKB_IIF": ("sk_buff", "skb_iif"),
    "SKB_SK": ("sk_buff", "sk"),
}
_PLACE = {
    "DEV_NET": ("net_device", "nd_net.net"),
    "DEV_IFINDEX": ("net_device", "ifindex"),
    "DST_DEV": ("dst_entry", "dev"),
    "NET_INUM": ("net", "ns.inum"),
    "SOCK_NET": ("sock", "__sk_common.skc_net.net"),
    "SOCK_STATE": ("sock", "__sk_common.skc_state"),
}
_SOCK = {
    "SOCK_FAMILY": ("sock", "__sk_common.skc_family"),
    "SOCK_NUM": ("sock", "__sk_common.skc_num"),
    "SOCK_DPORT": ("sock", "__sk_common.skc_dport"),
    "SOCK_RCV_SADDR": ("sock", "__sk_common.skc_rcv_saddr"),
    "SOCK_DADDR": ("sock", "__sk_common.skc_daddr"),
    "SOCK_V6_RCV_SADDR": ("sock", "__sk_common.skc_v6_rcv_saddr"),
    "SOCK_V6_DADDR": ("sock", "__sk_common.skc_v6_daddr"),
    "SOCK_DST_CACHE": ("sock", "sk_dst_cache"),
    "SOCK_PROTOCOL": ("sock", "sk_protocol"),
    "INET_SPORT": ("inet_sock", "inet_sport"),
}


@dataclass(frozen=True, slots=True)
class Tracepoint:
    """A raw tracepoint and the program for it."""

    name: str
    program: str
    arguments: int
    """That it must hand over at least."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One unit of programs."""

    name: str
    sources: tuple[str, ...]
    members: dict[str, tuple[str, str]]
    """Macro to struct and member."""
    tracepoints: tuple[Tracepoint, ...] = ()
    program: str = ""
    """That capture programs end with, instead of tracepoints."""
    maps: tuple[str, ...] = ()
    """That others than the programs look into."""

    @property
    def programs(self) -> tuple[str, ...]:
        return tuple(t.program for t in self.tracepoints) or (self.program,)


_HOOK = ("object.h", "parse.h", "classify.h", "hook.h")

FEATURES = (
    Feature(
        "dns",
        ("maps.h", "frame.h", "parse.h", "dns.c"),
        {},
        program="nobs_dns",
        maps=("queries", "streams"),
    ),
    Feature(
        "drops",
        ("maps.h", *_HOOK, "packet.h", "drops.c"),
        _SKB | _PLACE,
        (Tracepoint("kfree_skb", "nobs_drops", 3),),
        maps=("locations",),
    ),
    Feature(
        "rtt",
        ("maps.h", *_HOOK, "socket.h", "rtt.c"),
        _PLACE | _SOCK | {"TCP_SRTT": ("tcp_sock", "srtt_us")},
        (Tracepoint("tcp_probe", "nobs_rtt", 2),),
    ),
    Feature(
        "tcp",
        ("maps.h", *_HOOK, "packet.h", "socket.h", "tcp.c"),
        _SKB
        | _PLACE
        | _SOCK
        | {"SKB_CB": ("sk_buff", "cb"), "TCP_CB_SEGMENTS": ("tcp_skb_cb", "tcp_gso_segs")},
        (
            Tracepoint("tcp_retransmit_skb", "nobs_retransmit", 2),
            Tracepoint("tcp_retransmit_synack", "nobs_retransmit_synack", 2),
            Tracepoint("tcp_send_reset", "nobs_send_reset", 2),
            Tracepoint("tcp_receive_reset", "nobs_receive_reset", 1),
            Tracepoint("inet_sock_set_state", "nobs_state", 3),
        ),
    ),
)


def flags(feature: Feature, types: Types | None) -> list[str]:
    """Compiler flags for this kernel; BtfError says what it lacks."""
    found = ["-DFEATURE_UNIT"]
    if not feature.tracepoints:
        return found
    if types is None:
        raise BtfError("this kernel carries no types (BTF)")
    for tracepoint in feature.tracepoints:
        if types.tracepoint_arguments(tracepoint.name) < tracepoint.arguments:
            raise BtfError(f"this kernel's tracepoint {tracepoint.name} says too little")
    found += [
        f"-D{macro}={types.offset(structure, member)}"
        for macro, (structure, member) in feature.members.items()
    ]
    found += _namespace_flags()
    if feature.name == "drops":
        found += _drop_flags(types)
    elif feature.name == "tcp" and types.tracepoint_arguments("tcp_send_reset") > 2:
        found.append("-DHAS_RESET_REASON")
    return found


def _namespace_flags() -> list[str]:
    """An agent in the host's network namespace reports what happens in all of them.

    Settings that are not per namespace stand in that one alone (net_ns_init,
    net/core/sysctl_net_core.c).
    """
    own = Path("/proc/self/ns/net").stat().st_ino
    is_host = Path("/proc/sys/net/core/netdev_max_backlog").exists()
    return [f"-DOWN_NETNS={own}U", f"-DEVERY_NETNS={int(is_host)}"]


def _drop_flags(types: Types) -> list[str]:
    reasons = {_short(name): value for value, name in types.enumerators("skb_drop_reason").items()}
    bits = sum(1 << reasons[name] for name in NO_LOSS & reasons.keys())
    assert bits < 1 << _REASON_BITS
    words = [bits >> shift & (1 << 64) - 1 for shift in range(0, _REASON_BITS, 64)]
    found = [f"-DNO_LOSS_{index}={word}ULL" for index, word in enumerate(words)]
    found += [f"-DREASON_{name}={reasons[name]}" for name in ("NO_SOCKET", "NOT_SPECIFIED")]
    if types.tracepoint_arguments("kfree_skb") > 3:
        found.append("-DHAS_RX_SK")
    return found


def _short(name: str) -> str:
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def drop_reasons(types: Types, directory: Path = DIRECTORY) -> dict[int, str]:
    """Name by number, those that modules bring included.

    Each subsystem numbers its reasons from its own multiple of 65,536
    (include/net/dropreason.h) in an enum of its own, which stands in the types
    of its module.
    """
    names = types.enums_like("drop_reason")
    for path in sorted(directory.iterdir()):
        if path.name != "vmlinux":
            try:
                names |= Types.parse(path.read_bytes(), types).enums_like("drop_reason")
            except (OSError, BtfError):
                continue  # the module has gone, or is built for another kernel
    return {value: _short(name) for value, name in names.items() if not name.endswith(_NO_REASONS)}


def reset_reasons(types: Types) -> dict[int, str]:
    """Name by number; empty where the kernel has none."""
    try:
        names = types.enumerators("sk_rst_reason")
    except BtfError:
        return {}
    return {value: name.removeprefix(_RESET_PREFIX) for value, name in names.items()}
