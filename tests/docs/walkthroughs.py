"""The scenes of docs/connectivity.md and docs/unknown-traffic.md.

Two hosts each: one with what is asked, a web server, a DNS server and a packet
filter that plays the NetworkPolicy, and that captures; one with who asks.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from tests import network

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDERS, STOCK, DNS = "10.129.0.48", "10.129.0.1", "10.129.0.10"
KNOWN_NAME, WRONG_NAME = "stock.shop.svc.cluster.local", "stock.shop.svc.cluster.loc"

SERVE = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = json.dumps({"item": 4711, "left": 3}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers(); self.wfile.write(body)
server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
print("ready"); server.serve_forever()
"""
"""address port"""

GET = """
import http.client, sys, time
for _ in range(1200):
    c = http.client.HTTPConnection(sys.argv[1], 80, timeout=2)
    c.request("GET", "/items/4711", headers={"Host": "stock.shop.svc",
        "Authorization": "Basic c2hvcDpzZXNhbWU=", "Cookie": "session=81f2"})
    c.getresponse().read(); c.close(); time.sleep(0.1)
"""
"""address: shop:sesame, in plain text; ten times a second."""

RESOLVE = """
import socket, sys
known = sys.argv[2]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], 53)); print("ready")
while True:
    query, client = s.recvfrom(512)
    end = query.index(0, 12) + 5
    name, at = [], 12
    while query[at]: name.append(query[at + 1 : at + 1 + query[at]].decode()); at += query[at] + 1
    found = ".".join(name) == known
    flags = b"\\x85\\x80" if found else b"\\x85\\x83"
    answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + socket.inet_aton(sys.argv[3])
    head = query[:2] + flags + bytes((0, 1, 0, found, 0, 0, 0, 0))
    s.sendto(head + query[12:end] + (answer if found else b""), client)
"""
"""address name address-of-name: NXDOMAIN for every other name."""

ASK = """
import http.client, socket, sys, time
server, dns, names = sys.argv[1], sys.argv[2], sys.argv[3:]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((dns, 53)); s.settimeout(1)
for number in range(1200):
    for name in names:
        labels = b"".join(bytes((len(l),)) + l.encode() for l in name.split("."))
        s.send((number & 0xffff).to_bytes(2, "big") + bytes((1, 0, 0, 1, 0, 0, 0, 0, 0, 0))
               + labels + bytes((0, 0, 1, 0, 1)))
        s.recv(512)
    try:
        c = http.client.HTTPConnection(server, 3001, timeout=0.3)
        c.request("GET", "/"); c.getresponse().read(); c.close()
    except OSError: pass
    time.sleep(0.05)
"""
"""server dns name...: like a program that looks for its server by each name, then calls it."""


@contextlib.contextmanager
def hosts() -> Iterator[network.Pair]:
    """Both with addresses as pods have them."""
    with network.pair() as pair:
        for address in (STOCK, DNS):
            pair.ours.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
        pair.peer.run("ip", "addr", "add", f"{ORDERS}/24", "dev", "eth0")
        yield pair


@contextlib.contextmanager
def orders(*, closed: bool = True) -> Iterator[network.Pair]:
    """Orders looks for stock under two names, one of them wrong, and is let in if it is open."""
    policy = (
        "add table inet netpol",
        "add chain inet netpol in { type filter hook input priority 0; }",
        "add rule inet netpol in tcp dport 3001 drop",
    )
    with hosts() as pair:
        for words in policy if closed else ():
            pair.ours.run("nft", words)
        pair.ours.start_python(RESOLVE, DNS, KNOWN_NAME, STOCK)
        pair.ours.start_python(SERVE, STOCK, 3001)
        names = (WRONG_NAME, KNOWN_NAME)
        pair.peer.start(sys.executable, "-c", ASK, STOCK, DNS, *names)
        yield pair


@contextlib.contextmanager
def port_80() -> Iterator[network.Pair]:
    """Somebody asks a web server in plain text, with a password."""
    with hosts() as pair:
        pair.ours.start_python(SERVE, STOCK, 80)
        pair.peer.start(sys.executable, "-c", GET, STOCK)
        yield pair
