"""The images of the documents: the real program over a real capture, drawn as SVG.

`python -m tests.docs.pictures [NAME...]` makes docs/images/NAME.svg again. What is
on them differs from run to run, so no test compares them.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from typing import TYPE_CHECKING

from tests.docs import walkthroughs
from tests.docs.svg import svg
from tests.docs.transcript import ROOT
from tests.session import NETOBSERV
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests import network

COLUMNS, ROWS = 120, 26
TALKERS = {"10.129.0.48": 30_000, "10.129.0.49": 14_000, "10.129.0.52": 5_000}
"""Who sends, and how many bytes a time."""

SEND = """
import http.client, math, random, socket, sys, time
host, port, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[4])
for n in range(3000):
    size = int(most * (1.1 + math.sin(n / 12 + most)) * random.uniform(0.6, 1))
    with socket.create_connection((host, port), source_address=(sys.argv[3], 0)) as c:
        c.sendall(bytes(size))
    time.sleep(random.uniform(0.1, 0.4))
"""
"""host port source most: connections with so much data at most, in waves."""

SINK = """
import socket, sys, threading
def take(c):
    with c:
        while c.recv(65536): pass
s = socket.create_server((sys.argv[1], int(sys.argv[2]))); print("ready")
while True: threading.Thread(target=take, args=(s.accept()[0],), daemon=True).start()
"""


@contextlib.contextmanager
def shop() -> Iterator[network.Pair]:
    """Three pods that talk to two servers, and the names that one of them asks for."""
    with walkthroughs.orders(closed=False) as pair:
        for port in (8080, 5432):
            pair.ours.start_python(SINK, walkthroughs.STOCK, port)
        for address, most in TALKERS.items():
            pair.peer.run("ip", "addr", "replace", f"{address}/24", "dev", "eth0")
            for port, part in ((8080, 1), (5432, 4)):
                pair.peer.start(sys.executable, "-c", SEND, walkthroughs.STOCK, str(port), address,
                                str(most // part))  # fmt: skip
        yield pair


@contextlib.contextmanager
def shell(where: network.Host) -> Iterator[Terminal]:
    """Somebody at a prompt who has captured for a while."""
    with tempfile.TemporaryDirectory() as folder:
        command = where.words(NETOBSERV, "shell", "--local", "-i", "eth0", "--packets")
        env = {"XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder, "COLORTERM": "truecolor"}
        with Terminal(command, cwd=folder, env=env, columns=COLUMNS, rows=ROWS) as opened:
            opened.wait_for("agents 1/1")
            opened.type("enable dns drops rtt tcp\n")
            opened.wait_for("(generation 2)")
            yield opened


def at_prompt(shell: Terminal) -> None:
    """The prompt again, and nothing above it."""
    shell.press("ctrl-l")
    shell.wait_until(lambda: shell.cells.cursor.y == 0, "an empty screen")


def prompt(shell: Terminal) -> None:
    """Filters, an answer, and a query that is being typed, with what it could become."""
    shell.rest(10)
    at_prompt(shell)
    shell.type("filter reject protocol icmpv6\n")
    shell.wait_for("filter 1 added")
    shell.type("SELECT SrcAddr, sum(Bytes) AS Bytes, max(TimeFlowRttNs) AS RttNs FROM flow"
               " WHERE DstPort = 8080 GROUP BY 1\n")  # fmt: skip
    shell.wait_for("rows in")
    shell.rest(1)
    shell.type("SELECT Name, Rcode, LatencyMs FROM dns WHERE Rcode = ")
    shell.rest(1.5)


def watch(shell: Terminal) -> None:
    """A query asked again and again, with what its numbers were."""
    at_prompt(shell)
    shell.type("watch 1s SELECT SrcAddr, DstPort, sum(Bytes) AS Bytes, sum(Packets) AS Packets,"
               " max(TimeFlowRttNs) AS RttNs FROM flow"
               " WHERE TimeFlowEndMs > (SELECT max(TimeFlowEndMs) FROM flow) - 1000"
               " AND DstPort IN (5432, 8080, 3001) GROUP BY 1, 2 ORDER BY 3 DESC\n")  # fmt: skip
    shell.rest(16)


def view(shell: Terminal) -> None:
    """The newest flows, with two keywords."""
    at_prompt(shell)
    shell.type("view flows\n")
    shell.rest(2)
    shell.type("10.129.0.48")
    shell.press("enter")
    shell.rest(1.5)


def chart(shell: Terminal) -> None:
    """Bytes per second by sender."""
    view(shell)
    shell.press("backspace")
    shell.rest(1)
    shell.type("s")
    shell.rest(3)


def leave(shell: Terminal) -> None:
    shell.press("ctrl-c")
    shell.wait_until(lambda: not shell.cells.alternate, "the prompt")
    shell.rest(0.5)


PICTURES: dict[str, tuple[Callable[[Terminal], None], str, int]] = {
    "prompt": (prompt, "netobserv shell --local", ROWS),
    "watch": (watch, "watch 1s SELECT ...", 12),
    "view-flows": (view, "view flows", ROWS),
    "view-chart": (chart, "view flows, s: chart", ROWS),
}
"""What is done at the prompt, the title of the window, and how much is shown of it."""


def main(names: Sequence[str]) -> None:
    images = ROOT / "docs/images"
    images.mkdir(exist_ok=True)
    with shop() as pair, shell(pair.ours) as opened:
        for name in names or PICTURES:
            draw, title, rows = PICTURES[name]
            draw(opened)
            (images / f"{name}.svg").write_text(svg(opened.cells, title=title, rows=rows))
            leave(opened)


if __name__ == "__main__":
    main(sys.argv[1:])
