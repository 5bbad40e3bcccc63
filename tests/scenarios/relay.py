"""A wire between two interfaces that delays frames and loses some of them.

    relay.py LEFT RIGHT DELAY_MS LOSE_EVERY

Frames from each interface leave by the other one DELAY_MS later, in order. Of
the TCP segments with data that come from RIGHT every LOSE_EVERY-th is lost
(0: none). Offload metadata travels with the frames (struct virtio_net_hdr), so
that neither checksums nor segmentation have to be done here. Prints `ready`,
and once its input is closed how many it lost. Runs by itself.
"""

from __future__ import annotations

import collections
import select
import socket
import struct
import sys
import time

SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
VNET_HDR_SIZE = 10
ETH_P_ALL = 0x0003


def open_port(interface: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind((interface, ETH_P_ALL))
    return sock


def has_tcp_data(frame: bytes) -> bool:
    """Of IPv4 without options and IPv6 without extension headers."""
    packet = frame[VNET_HDR_SIZE + 14 :]
    kind = struct.unpack_from(">H", frame, VNET_HDR_SIZE + 12)[0]
    if kind == 0x0800 and packet[9] == socket.IPPROTO_TCP:
        tcp, end = 20, struct.unpack_from(">H", packet, 2)[0]
    elif kind == 0x86DD and packet[6] == socket.IPPROTO_TCP:
        tcp, end = 40, 40 + struct.unpack_from(">H", packet, 4)[0]
    else:
        return False
    return bool(end > tcp + (packet[tcp + 12] >> 4) * 4)


def main() -> None:
    left, right = open_port(sys.argv[1]), open_port(sys.argv[2])
    delay, every = float(sys.argv[3]) / 1000, int(sys.argv[4])
    other = {left: right, right: left}
    held: collections.deque[tuple[float, socket.socket, bytes]] = collections.deque()
    seen = lost = 0
    print("ready", flush=True)
    while True:
        timeout = max(0, held[0][0] - time.monotonic()) if held else None
        ready, _, _ = select.select([left, right, sys.stdin], [], [], timeout)
        if sys.stdin in ready:
            break
        for port in (p for p in other if p in ready):
            frame = port.recv(1 << 17)
            if port is right and every and has_tcp_data(frame):
                seen += 1
                if seen % every == 0:
                    lost += 1
                    continue
            held.append((time.monotonic() + delay, other[port], frame))
        while held and held[0][0] <= time.monotonic():
            _, port, frame = held.popleft()
            port.send(frame)
    print(lost, flush=True)


if __name__ == "__main__":
    main()
