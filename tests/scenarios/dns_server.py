"""A DNS server that does what the labels of the name it is asked for say.

    dns_server.py ADDRESS[,ADDRESS...] PORT[,PORT...]

It answers over UDP and TCP. Labels, in any order and number:

    waitNms waitNus      before it answers
    aN aaaaN             N addresses: 192.0.2.1 and on, 2001:db8::1 and on
    cname                an alias for real.test before them
    nxdomain servfail refused    the response code
    badvers              code 16, of which four bits stand in the OPT record
    silent               no answer
    loop garbage cut short       an answer that is malformed
    split pieces         over TCP: the length in a segment of its own; three segments

Prints `ready` once it listens. Runs by itself, without the project.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
import socket
import struct
import sys
import threading
import time

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
CODES = {"nxdomain": NXDOMAIN, "servfail": SERVFAIL, "refused": REFUSED}
A, CNAME, AAAA, OPT = 1, 5, 28, 41
FIRST_NAME = b"\xc0\x0c"
"""A pointer to the first question's name, RFC 1035 4.1.4."""


def labels_at(message: bytes, at: int) -> tuple[list[str], int]:
    """Of an uncompressed name, and where it ends."""
    found = []
    while length := message[at]:
        found.append(message[at + 1 : at + 1 + length].decode("latin-1").lower())
        at += 1 + length
    return found, at + 1


def record(name: bytes, kind: int, data: bytes, *, klass: int = 1, ttl: int = 60) -> bytes:
    return name + struct.pack(">HHIH", kind, klass, ttl, len(data)) + data


def addresses(labels: list[str], word: str, first: str) -> list[bytes]:
    """Packed, as many as the label says."""
    for label in labels:
        if found := re.fullmatch(rf"{word}(\d+)", label):
            start = ipaddress.ip_address(first)
            return [(start + n).packed for n in range(int(found[1]))]
    return []


def answers(labels: list[str]) -> list[bytes]:
    found, owner = [], FIRST_NAME
    if "cname" in labels:
        owner = b"\x04real\x04test\0"
        found.append(record(FIRST_NAME, CNAME, owner))
    found += [record(owner, A, data) for data in addresses(labels, "a", "192.0.2.1")]
    found += [record(owner, AAAA, data) for data in addresses(labels, "aaaa", "2001:db8::1")]
    return found


def respond(query: bytes) -> tuple[list[str], bytes]:
    """The labels of the first question, and the response; empty: none."""
    ident, flags, questions = struct.unpack_from(">HHH", query)
    labels, at = labels_at(query, 12)
    at += 4
    for _ in range(questions - 1):
        at = labels_at(query, at)[1] + 4
    asked = query[12:at]
    code = next((CODES[label] for label in labels if label in CODES), NOERROR)
    found, more = answers(labels), []
    if "loop" in labels:  # the question's name points at itself, the answer's to it
        asked = struct.pack(">HHH", 0xC00C, A, 1)
        found.append(record(FIRST_NAME, A, bytes(4)))
    if "badvers" in labels:
        more.append(record(b"\0", OPT, b"", klass=1232, ttl=1 << 24))
    head = struct.pack(
        ">6H", ident, 0x8000 | flags & 0x7900 | 0x80 | code, questions, len(found), 0, len(more)
    )
    if "garbage" in labels:
        return labels, head + bytes((n * 37 + 255) & 0xFF for n in range(80))
    whole = head + asked + b"".join(found + more)
    if "cut" in labels:
        return labels, whole[:20]
    if "short" in labels:
        return labels, whole[:7]
    return labels, b"" if "silent" in labels else whole


def wait(labels: list[str]) -> None:
    for label in labels:
        if found := re.fullmatch(r"wait(\d+)(us|ms)", label):
            time.sleep(int(found[1]) / (1e6 if found[2] == "us" else 1e3))


def serve_datagram(sock: socket.socket, query: bytes, client: tuple[object, ...]) -> None:
    labels, response = respond(query)
    wait(labels)
    if response:
        sock.sendto(response, client)


def serve_datagrams(sock: socket.socket) -> None:
    while True:
        threading.Thread(
            target=serve_datagram, args=(sock, *sock.recvfrom(65536)), daemon=True
        ).start()


def send(connection: socket.socket, labels: list[str], framed: bytes) -> None:
    """Each part in its own segment: Nagle's algorithm is off."""
    cuts = [0, 2, len(framed)] if "split" in labels else [0, len(framed)]
    if "pieces" in labels:
        cuts = [0, 20, 40, len(framed)]
    for start, end in itertools.pairwise(cuts):
        connection.sendall(framed[start:end])


def serve_stream(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    held = b""
    with connection:
        while more := connection.recv(65536):
            held += more
            together = b""
            while len(held) > 2 and len(held) >= 2 + int.from_bytes(held[:2], "big"):
                end = 2 + int.from_bytes(held[:2], "big")
                labels, response = respond(held[2:end])
                held = held[end:]
                wait(labels)
                framed = struct.pack(">H", len(response)) + response if response else b""
                if {"split", "pieces"} & set(labels):
                    send(connection, labels, framed)
                else:
                    together += framed
            if together:
                connection.sendall(together)


def serve_streams(sock: socket.socket) -> None:
    while True:
        threading.Thread(target=serve_stream, args=(sock.accept()[0],), daemon=True).start()


def main() -> None:
    for address in sys.argv[1].split(","):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for port in map(int, sys.argv[2].split(",")):
            datagrams = socket.socket(family, socket.SOCK_DGRAM)
            datagrams.bind((address, port))
            streams = socket.create_server((address, port), family=family)
            for serve, sock in ((serve_datagrams, datagrams), (serve_streams, streams)):
                threading.Thread(target=serve, args=(sock,), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
