"""Sends DNS messages as told and prints what came back.

    dns_client.py '[{"to": ADDRESS, "port": N, "via": "udp"|"tcp", "messages": [HEX...],
                     "how": "whole"|"split"|"pieces"|"together", "times": N, "gap": S,
                     "wait": S}...]'

One socket per entry, one entry after the other. Over UDP each message is sent
`times` times, `gap` seconds apart; `wait` is for the responses (0: none is
awaited, the socket stays open). Over TCP `how` says into which segments the
messages go. Prints a JSON list of lists of responses in hex. Runs by itself.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from typing import Any


def segments(messages: list[bytes], how: str) -> list[bytes]:
    framed = [struct.pack(">H", len(m)) + m for m in messages]
    if how == "together":
        return [b"".join(framed)]
    if how == "split":
        return [part for m in framed for part in (m[:2], m[2:])]
    if how == "pieces":
        return [part for m in framed for part in (m[:16], m[16:24], m[24:])]
    return framed


def over_udp(ask: dict[str, Any], sock: socket.socket, messages: list[bytes]) -> list[str]:
    for turn in range(ask["times"]):
        if turn:
            time.sleep(ask["gap"])
        for message in messages:
            sock.send(message)
    found = []
    if ask["wait"]:
        sock.settimeout(ask["wait"])
        found = [sock.recv(65536).hex() for _ in messages]
    return found


def over_tcp(ask: dict[str, Any], sock: socket.socket, messages: list[bytes]) -> list[str]:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for part in segments(messages, ask["how"]):
        sock.sendall(part)
    found = []
    if ask["wait"]:
        sock.settimeout(ask["wait"])
        with sock.makefile("rb") as stream:
            found = [stream.read(int.from_bytes(stream.read(2), "big")).hex() for _ in messages]
    return found


def main() -> None:
    held, found = [], []
    for ask in json.loads(sys.argv[1]):
        family = socket.AF_INET6 if ":" in ask["to"] else socket.AF_INET
        udp = ask["via"] == "udp"
        sock = socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        sock.connect((ask["to"], ask["port"]))
        held.append(sock)
        messages = [bytes.fromhex(m) for m in ask["messages"]]
        found.append((over_udp if udp else over_tcp)(ask, sock, messages))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
