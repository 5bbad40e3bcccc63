"""Ways to lose packets, each on ports of its own, and what the stack itself counts of them."""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dpkt

from tests import network

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.network import Host, Relayed

FOREIGN, SPOOFED, NOBODY = "203.0.113.1", "198.51.100.9", "10.77.1.99"
INPUT, OUTPUT, TCP_OUTPUT = 9001, 9002, 9011
RULES = f"""
add table inet t
add chain inet t in {{ type filter hook input priority 0; }}
add chain inet t out {{ type filter hook output priority 0; }}
add rule inet t in udp dport {INPUT} counter drop
add rule inet t out udp dport {OUTPUT} counter drop
add rule inet t out tcp dport {TCP_OUTPUT} counter drop
"""

FULL_BUFFER = """
import signal, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.bind((sys.argv[1], int(sys.argv[2]))); print("ready"); signal.pause()
"""

BUSY_LISTENER = """
import signal, socket, sys
s = socket.socket(); s.bind((sys.argv[1], int(sys.argv[2]))); s.listen(2)
print("ready"); signal.pause()
"""

IMPATIENT = """
import socket, sys
held = []
for number in range(5):
    s = socket.socket(); held.append(s); s.setblocking(number < 2)
    s.connect_ex((sys.argv[1], int(sys.argv[2])))
print("ready"); sys.stdin.read()
"""
"""Two connections leave room for one more in the queue; three are on their way at once."""


def nft_counted(host: Host, port: int) -> tuple[int, int]:
    """Packets and bytes that the rule for the port has dropped."""
    text = host.run("nft", "list", "table", "inet", "t")
    found = re.search(rf"dport {port} counter packets (\d+) bytes (\d+)", text)
    assert found, text
    return int(found[1]), int(found[2])


def hardware(host: Host) -> bytes:
    text = host.run("cat", "/sys/class/net/eth0/address")
    return bytes.fromhex(text.strip().replace(":", ""))


def put_on_wire(
    where: Relayed, number: int, protocol: int, payload: bytes, *,
    src: str = "", dst: str = "", header_sum: bool = True,
) -> None:  # fmt: skip
    """Frames from the peer that no stack and no offload repairs."""
    packet = dpkt.ip.IP(
        src=socket.inet_aton(src or where.peer4), dst=socket.inet_aton(dst or where.ours4),
        p=protocol, ttl=64, len=20 + len(payload), data=payload,
    )  # fmt: skip
    raw = bytearray(bytes(packet))
    if not header_sum:
        raw[10] ^= 0x55
    frame = hardware(where.ours) + hardware(where.peer) + struct.pack(">H", 0x0800) + bytes(raw)
    where.peer.python(network.RAW_FRAMES, "eth0", *[frame.hex()] * number)


def udp(port: int, *, checksum: int = 0) -> bytes:
    return struct.pack(">4H", 4000, port, 58, checksum) + bytes(50)


def tcp_syn(port: int, *, checksum: int) -> bytes:
    return struct.pack(">HHIIBBHHH", 4001, port, 1, 0, 5 << 4, 2, 1000, checksum, 0)


def steady(number: Callable[[], int]) -> None:
    """Returns once it has stayed the same for longer than a frame is on its way."""
    last, now = -1, number()
    while last != now:
        time.sleep(0.2)
        last, now = now, number()


def to_ours(port: int, number: int, *, size: int = 100, six: bool = False) -> Callable[..., None]:
    def make(where: Relayed) -> None:
        address = where.ours6 if six else where.ours4
        where.peer.python(network.UDP_TRY, address, port, number, size)

    return make


def from_ours(port: int, number: int, *, to: str = "") -> Callable[..., None]:
    def make(where: Relayed) -> None:
        where.ours.python(network.UDP_TRY, to or where.peer4, port, number, 100)

    return make


def frames(number: int, protocol: int, payload: bytes, **how: str | bool) -> Callable[..., None]:
    def make(where: Relayed) -> None:
        put_on_wire(where, number, protocol, payload, **how)  # type: ignore[arg-type]

    return make


def counter(name: str) -> Callable[[Relayed], int]:
    return lambda where: where.ours.counter(name)


def ruled(port: int) -> Callable[[Relayed], int]:
    return lambda where: nft_counted(where.ours, port)[0]


def output_tcp(where: Relayed) -> None:
    said = where.ours.python(network.TCP_TRY, where.peer4, TCP_OUTPUT, 1.5)
    assert said.strip() == "TimeoutError"


def closed_tcp(where: Relayed) -> None:
    said = where.peer.python(network.TCP_TRY, where.ours4, 9020, 5)
    assert said.strip() == "ConnectionRefusedError"


def full_buffer(where: Relayed) -> None:
    where.ours.start_python(FULL_BUFFER, where.ours4, 9004)
    where.peer.python(network.UDP_TRY, where.ours4, 9004, 30, 1000)


def reverse_path(where: Relayed) -> None:
    switch = "net.ipv4.conf.eth0.rp_filter"
    before = where.ours.counter("TcpExtIPReversePathFilter")
    where.ours.run("sysctl", "-qw", f"{switch}=1")
    put_on_wire(where, 5, 17, udp(9008), src=SPOOFED)
    network.until(lambda: where.ours.counter("TcpExtIPReversePathFilter") == before + 5)
    where.ours.run("sysctl", "-qw", f"{switch}=0")


def no_route(where: Relayed) -> None:
    where.ours.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    put_on_wire(where, 3, 17, udp(9013), dst=FOREIGN)


def listener_overflow(where: Relayed) -> None:
    where.ours.run("sysctl", "-qw", "net.ipv4.tcp_syncookies=0")
    listener = where.ours.start_python(BUSY_LISTENER, where.ours4, 9016)
    client = where.peer.start_python(IMPATIENT, where.ours4, 9016, stdin=subprocess.PIPE)
    network.until(lambda: where.ours.counter("TcpExtListenOverflows") >= 2)
    for process in (listener, client):
        process.terminate()
        process.wait()


def queue_limit(where: Relayed) -> None:
    words = ["dev", "eth0", "root"]
    where.ours.run("tc", "qdisc", "add", *words, "tbf", "rate", "8kbit", "burst", "1600",
                   "limit", "500")  # fmt: skip
    where.ours.python(network.UDP_TRY, where.peer4, 9017, 20, 1000)


def queue_dropped(where: Relayed) -> int:
    queues = json.loads(where.ours.run("tc", "-s", "-j", "qdisc", "show", "dev", "eth0"))
    return sum(queue["drops"] for queue in queues if queue["kind"] == "tbf")


@dataclass(frozen=True, slots=True)
class Cause:
    """One way to lose packets."""

    reason: str
    flow: str
    """SQL that is true for its rows, in packet_drop as in flow."""
    sent: int
    """How many it takes, 0: at least one."""
    make: Callable[[Relayed], None]
    oracle: Callable[[Relayed], int] | None
    """What the stack counts of it; None: it counts nothing."""
    at_hook: bool = True
    """Its packets pass the interface before they are lost."""
    function: str = r"\w[\w.]*"
    state: str | None = None
    """TCP state of the socket that they belong to."""


CAUSES = [
    Cause("NEIGH_FAILED", f"DstAddr = '{NOBODY}'", 3, from_ours(9015, 3, to=NOBODY), None,
          at_hook=False, function="neigh_invalidate"),
    Cause("NETFILTER_DROP", f"DstPort = {INPUT} AND Etype = 2048", 7, to_ours(INPUT, 7),
          ruled(INPUT)),
    Cause("NETFILTER_DROP", f"DstPort = {INPUT} AND Etype = 34525", 6,
          to_ours(INPUT, 6, six=True), ruled(INPUT)),
    Cause("NETFILTER_DROP", f"DstPort = {OUTPUT}", 5, from_ours(OUTPUT, 5),
          ruled(OUTPUT), at_hook=False),
    Cause("NETFILTER_DROP", f"DstPort = {TCP_OUTPUT} AND Proto = 6", 0, output_tcp,
          ruled(TCP_OUTPUT), at_hook=False, state="TCP_SYN_SENT"),
    Cause("NO_SOCKET", "DstPort = 9003", 6, to_ours(9003, 6), counter("UdpNoPorts")),
    Cause("NO_SOCKET", "DstPort = 9023 AND Etype = 34525", 6, to_ours(9023, 6, six=True),
          counter("Udp6NoPorts")),
    Cause("NO_SOCKET", "DstPort = 9020 AND Proto = 6", 1, closed_tcp, counter("TcpOutRsts"),
          function="tcp_v4_rcv"),
    Cause("SOCKET_RCVBUFF", "DstPort = 9004", 0, full_buffer, counter("UdpRcvbufErrors")),
    Cause("UDP_CSUM", "DstPort = 9005", 4, frames(4, 17, udp(9005, checksum=0x1234)),
          counter("UdpInCsumErrors")),
    Cause("TCP_CSUM", "DstPort = 9012", 3, frames(3, 6, tcp_syn(9012, checksum=0x4321)),
          counter("TcpInCsumErrors")),
    Cause("IP_CSUM", "DstPort = 9007", 3, frames(3, 17, udp(9007), header_sum=False),
          counter("IpExtInCsumErrors")),
    Cause("IP_NOPROTO", "Proto = 200", 3, frames(3, 200, bytes(20)),
          counter("IpInUnknownProtos")),
    Cause("IP_RPFILTER", f"SrcAddr = '{SPOOFED}'", 5, reverse_path,
          counter("TcpExtIPReversePathFilter")),
    Cause("IP_INNOROUTES", f"DstAddr = '{FOREIGN}'", 3, no_route, counter("IpExtInNoRoutes")),
    Cause("TCP_LISTEN_OVERFLOW", "DstPort = 9016", 0, listener_overflow,
          counter("TcpExtListenOverflows"), state="TCP_LISTEN"),
    Cause("QDISC_DROP", "DstPort = 9017", 20, queue_limit, queue_dropped),
]  # fmt: skip


def name_of(cause: Cause) -> str:
    return f"{cause.reason} {cause.flow}"
