"""Ends that do or do not reach each other, each for a real cause on ports of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests import network
from tests.network import SCENARIOS, Host, sh
from tests.scenarios import dns
from tests.session import Session, session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OURS4, OURS6, PEER4, PEER6 = "10.77.1.2", "fd77:1::2", "10.77.1.1", "fd77:1::1"
TO_FAR, FAR, TO_LOSSY, LOSSY = "10.77.2.2", "10.77.2.1", "10.77.3.2", "10.77.3.1"
"""Ours and the other end, on the wire that delays and on the one that loses."""
NAMED = "192.0.2.1"
"""That the resolver at the peer gives for names with the label a1; the peer has it too."""
DELAY_MS, LOSE_EVERY = 60, 8
"""Each way; of the segments with data that ours sends."""
ECHO, RESETTING, CLOSED = 8080, 8081, 8090
SWALLOWED, UNHEARD, NO_ENTRY, IGNORED = 9011, 9012, 9013, 9014
RULES_OURS = f"""
add table inet t
add chain inet t in {{ type filter hook input priority 0; }}
add chain inet t out {{ type filter hook output priority 0; }}
add rule inet t out tcp dport {SWALLOWED} counter drop
add rule inet t in tcp sport {UNHEARD} counter drop
add rule inet t in udp dport {NO_ENTRY} counter drop
add rule inet t out ip daddr {FAR} udp dport 53 counter drop
"""
RULES_PEER = f"""
add table inet t
add chain inet t in {{ type filter hook input priority 0; }}
add rule inet t in tcp dport {IGNORED} counter drop
"""

RESETTER = """
import socket, struct, sys
s = socket.create_server((sys.argv[1], int(sys.argv[2]))); print("ready")
while True:
    c, _ = s.accept(); c.recv(100)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); c.close()
"""
"""Reads once and resets."""

TCP_SAY = """
import contextlib, socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as c:
    c.sendall(b"x")
    with contextlib.suppress(ConnectionResetError): c.recv(100)
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A session of ours and all whom it may ask about."""

    ours: Host
    peer: Host
    live: Session

    def connect(self, address: str, port: int, *, seconds: float = 1.5) -> None:
        """One try; long enough for a SYN and one more."""
        self.ours.python(network.TCP_TRY, address, port, seconds)

    def talk(self, address: str, port: int = ECHO, *, size: int = 1000) -> None:
        self.ours.python(network.TCP_TALK, address, port, 1, size)

    def ask(self, *labels: str, to: str = PEER4, times: int = 1, wait: float = 5) -> None:
        """A question for an A record; see dns_server.py for what labels do."""
        message = dns.query(7, (dns.name(*labels), dns.TYPES["A"]))
        words = {"to": to, "port": 53, "via": "udp", "messages": [message.hex()], "how": "whole",
                 "times": times, "gap": 0.1, "wait": wait}  # fmt: skip
        # A rule on output makes send() fail.
        self.ours.run(
            sys.executable, str(SCENARIOS / "dns_client.py"), json.dumps([words]), check=bool(wait)
        )

    def resolve_and_talk(self, name: str, address: str) -> None:
        self.ask(*name.split("."))
        self.talk(address)


def counted(host: Host, rule: str) -> int:
    """Packets that met a rule of RULES."""
    found = re.search(rf"{rule} counter packets (\d+) ", host.run("nft", "list", "ruleset"))
    assert found
    return int(found[1])


def why(
    live: Session, ends: str, traffic: Callable[[], object] = lambda: None, *, seconds: float = 0
) -> dict[str, Any]:
    """The document that `why` prints about traffic that begins with the watching.

    Without `seconds` a Ctrl-C ends it when the traffic is through.
    """
    told = len(live.narration)
    live.tell(f"why {ends} for {seconds or 100:g}s")
    network.until(lambda: any(line.startswith("watching") for line in live.narration[told:]), 20)
    traffic()
    if not seconds:
        os.kill(live.pid, signal.SIGINT)
    (document,) = live.do()
    assert isinstance(document, dict)
    return document


@contextmanager
def scene() -> Iterator[Scene]:
    """Everything at its place, and the ends acquainted."""
    with ExitStack() as stack:
        peer, far, lossy, ours = (
            stack.enter_context(network.host(name)) for name in ("peer", "far", "lossy", "ours")
        )
        network.join(peer, ours, names=("eth0", "eth0"), network=1)
        _wire(stack, far, ours, number=2, delay_ms=DELAY_MS, lose_every=0)
        _wire(stack, lossy, ours, number=3, delay_ms=1, lose_every=LOSE_EVERY)
        peer.run("ip", "addr", "add", f"{NAMED}/32", "dev", "lo")
        ours.run("ip", "route", "add", NAMED, "via", PEER4)
        for place, rules in ((ours, RULES_OURS), (peer, RULES_PEER)):
            for line in rules.strip().splitlines():
                place.run("nft", line)
        for place, address, port in (
            (peer, PEER4, ECHO), (peer, PEER6, ECHO), (peer, NAMED, ECHO), (peer, PEER4, UNHEARD),
            (ours, OURS4, ECHO), (far, FAR, ECHO), (lossy, LOSSY, ECHO),
        ):  # fmt: skip
            place.start_python(network.TCP_ECHO, address, port)
        peer.start_python(network.UDP_ECHO, PEER4, ECHO)
        peer.start_python(RESETTER, PEER4, RESETTING)
        peer.start_program("dns_server.py", PEER4, 53)
        for address in (PEER4, PEER6, FAR, LOSSY):
            ours.run("ping", "-q", "-c", "2", "-i", "0.2", address)
        yield Scene(ours, peer, stack.enter_context(session(ours)))


def _wire(
    stack: ExitStack, far: Host, ours: Host, *, number: int, delay_ms: float, lose_every: int
) -> None:
    """eth0 of another host and ethNUMBER of ours, with a relay between."""
    wire = stack.enter_context(network.host("wire"))
    for end, (place, own, name) in enumerate(
        ((far, "eth0", "left"), (ours, f"eth{number}", "right")), start=1
    ):
        sh("ip", "link", "add", own, "netns", place.name, "type", "veth", "peer", "name", name,
           "netns", wire.name)  # fmt: skip
        place.run("ip", "addr", "add", f"10.77.{number}.{end}/24", "dev", own)
        # One segment a frame: the stack's counters and the frames then agree.
        place.run("ip", "link", "set", own, "up", "gso_max_segs", "1")
        wire.run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
        wire.run("ip", "link", "set", name, "up")
    wire.start_program("relay.py", "left", "right", delay_ms, lose_every, stdin=subprocess.PIPE)
