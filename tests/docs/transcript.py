"""What the documents show of sessions, really run: a web server, its client, a session between.

`python -m tests.docs.transcript` prints what they show between their
``console`` fences; the test runs the documents' own commands and compares.
"""

from __future__ import annotations

import contextlib
import platform
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect

from tests import network
from tests.session import NETOBSERV

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROMPT = "netobserv> "
READING_SECONDS = 3
"""What a reader takes to look at the prompt; the agent is up by then."""

SERVER, CLIENT = "10.129.0.1", "10.129.0.48"
QUICK_START = (
    "filter peer_ip 10.129.0.48",
    "wait until SELECT count(*) > 4 FROM flow WHERE DstPort = 8080",
    "sql SELECT SrcAddr, DstAddr, DstPort, sum(Packets) AS Packets, human_bytes(sum(Bytes)) AS Sent"
    " FROM flow WHERE DstPort = 8080 GROUP BY 1, 2, 3",
    "filter reject protocol icmp",
    "filter",
    "export pcap web.pcap where 8080 IN (SrcPort, DstPort)",
    "sql SELECT prot FROM flow",
    "losses",
)
INCIDENT = (
    "why 10.129.0.48 10.129.0.1:8080 for 4s",
    "enable drops tcp",
    "wait until SELECT count(*) > 5 FROM packet_drop WHERE Loss",
    "SELECT Reason, Function, proto_name(Proto) AS Proto, Drops FROM drop_summary WHERE Loss",
    "SELECT DISTINCT SrcAddr, DstAddr, DstPort, PktDropLatestDropCause AS Cause FROM flow"
    " WHERE PktDropPackets > 0",
    "SELECT ServerPort, sum(PacketsOut) AS Sent, sum(PacketsIn) AS Answers, sum(Drops) AS Drops"
    " FROM conversation WHERE ServerPort = 8080",
    "disable drops tcp",
)

SERVE = """
import http.server, sys
server = http.server.ThreadingHTTPServer((sys.argv[1], 8080), http.server.SimpleHTTPRequestHandler)
print("ready"); server.serve_forever()
"""
GET = """
import http.client, sys, time
for _ in range(300):
    c = http.client.HTTPConnection(sys.argv[1], 8080, timeout=2)
    c.request("GET", "/"); c.getresponse().read(); c.close(); time.sleep(0.1)
"""
TRY = """
import socket, sys, time
for _ in range(300):
    try: socket.create_connection((sys.argv[1], 8080), timeout=0.3).close()
    except OSError: pass
"""


@contextlib.contextmanager
def web() -> Iterator[network.Pair]:
    """A client that asks a web server for a page ten times a second, for half a minute."""
    with network.pair() as pair:
        pair.ours.run("ip", "addr", "add", f"{SERVER}/24", "dev", "eth0")
        pair.peer.run("ip", "addr", "add", f"{CLIENT}/24", "dev", "eth0")
        pair.ours.start_python(SERVE, SERVER)
        pair.peer.start(sys.executable, "-c", GET, SERVER)
        yield pair


@contextlib.contextmanager
def blocked_web() -> Iterator[network.Pair]:
    """The same, and a packet filter on the server that lets nobody in."""
    with network.pair() as pair:
        pair.ours.run("ip", "addr", "add", f"{SERVER}/24", "dev", "eth0")
        pair.peer.run("ip", "addr", "add", f"{CLIENT}/24", "dev", "eth0")
        for words in (
            "add table inet t", "add chain inet t in { type filter hook input priority 0; }",
            "add rule inet t in tcp dport 8080 drop",
        ):  # fmt: skip
            pair.ours.run("nft", words)
        pair.ours.start_python(SERVE, SERVER)
        pair.peer.start(sys.executable, "-c", TRY, SERVER)
        yield pair


SCENES = {
    "README.md": (web, QUICK_START),
    "docs/what-happened.md": (blocked_web, INCIDENT),
}
"""What happens while the session of a document runs, and its commands but the last."""


@dataclass(slots=True)
class Exchange:
    command: str
    answer: list[str]


def run(where: network.Host, commands: Sequence[str], folder: Path) -> list[Exchange]:
    """Each command of a local session with what it printed."""
    words = where.words("env", "TERM=dumb", NETOBSERV, "shell", "--local", "-i", "eth0",
                        "--packets")  # fmt: skip
    return converse(words, commands, folder)


def converse(words: Sequence[str], commands: Sequence[str], folder: Path) -> list[Exchange]:
    """Each command with what it printed, on stdout and stderr alike.

    On a terminal, so that a command that fails does not end the session, and a
    dumb one, so that what comes is lines.
    """
    child = pexpect.spawn(words[0], list(words[1:]), cwd=str(folder), encoding="utf-8",
                          timeout=60, dimensions=(50, 200), echo=False)  # fmt: skip
    child.expect_exact(PROMPT)
    time.sleep(READING_SECONDS)
    exchanges = []
    try:
        for command in commands:
            child.sendline(command)
            child.expect_exact(PROMPT)
            lines = _lines(child.before)
            exchanges.append(Exchange(command, lines))
        child.sendline("quit")
        child.expect(pexpect.EOF)
        exchanges.append(Exchange("quit", _lines(child.before)))
    finally:
        child.close(force=True)
    return exchanges


def _lines(text: str | None) -> list[str]:
    return [line.rstrip() for line in (text or "").splitlines() if line.strip()]


def show(exchanges: Sequence[Exchange]) -> str:
    return "\n".join(
        "\n".join([f"{PROMPT}{exchange.command}", *exchange.answer]) for exchange in exchanges
    )


def parse(text: str) -> list[Exchange]:
    """A shown transcript taken apart again."""
    exchanges: list[Exchange] = []
    for line in text.splitlines():
        if line.startswith(PROMPT):
            exchanges.append(Exchange(line.removeprefix(PROMPT), []))
        elif exchanges and line.strip():
            exchanges[-1].answer.append(line.rstrip())
    return exchanges


def alike(line: str) -> str:
    """A line without what differs from run to run: figures and widths; our node is `vm`."""
    line = re.sub(rf"\b{re.escape(platform.node())}\b", "vm", line)
    line = re.sub(r"\+0x[0-9a-f]+", "+N", line)
    line = re.sub(r"\d[\d,.]*( ?(ms|s|kB|MB|B)\b)?", "N", line)
    return re.sub(r"[-\s]+", " ", line).strip()


if __name__ == "__main__":
    for document, (scene, commands) in SCENES.items():
        with scene() as pair_, tempfile.TemporaryDirectory() as folder_:
            shown = show(run(pair_.ours, commands, Path(folder_)))
            sys.stdout.write(f"{document}\n\n{shown}\n\n")
