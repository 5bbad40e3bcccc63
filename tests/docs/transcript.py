"""What the documents show of sessions, really run: a web server, its client, a session between.

`python -m tests.docs.transcript [DOCUMENT...]` runs the commands that stand between
their ``console`` fences and writes what comes into them; the test compares.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect

from tests import network
from tests.docs import walkthroughs
from tests.session import NETOBSERV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    Scene = Callable[[], AbstractContextManager[network.Pair]]

PROMPT, SERVER_PROMPT, READER_PROMPT = "netobserv> ", "server# ", "$ "
"""Of the session, of a shell on the host that captures, of one where the files are."""
ELIDED = "[...]"
"""In a document: more came here."""
_BLOCK = re.compile(r"```console\n(.*?)\n?```", re.DOTALL)
ROOT = Path(__file__).resolve().parents[2]

SERVER, CLIENT = "10.129.0.1", "10.129.0.48"
SERVE = """
import http.server, sys
server = http.server.ThreadingHTTPServer((sys.argv[1], 8080), http.server.SimpleHTTPRequestHandler)
print("ready"); server.serve_forever()
"""
GET = """
import http.client, sys, time
for _ in range(1200):
    c = http.client.HTTPConnection(sys.argv[1], 8080, timeout=2)
    try: c.request("GET", "/"); c.getresponse().read()
    except (OSError, http.client.HTTPException): pass
    c.close(); time.sleep(0.1)
"""
TRY = """
import socket, sys, time
for _ in range(300):
    try: socket.create_connection((sys.argv[1], 8080), timeout=0.3).close()
    except OSError: pass
"""


@contextlib.contextmanager
def web() -> Iterator[network.Pair]:
    """A client that asks a web server for a page ten times a second, for two minutes at most."""
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


SCENES: dict[str, Scene] = {
    "README.md": web,
    "docs/what-happened.md": blocked_web,
    "docs/connectivity.md": walkthroughs.orders,
    "docs/unknown-traffic.md": walkthroughs.port_80,
}
"""What happens while the session of a document runs."""


@dataclass(slots=True)
class Exchange:
    """What was typed after a prompt, and what came."""

    command: str
    answer: list[str]
    prompt: str = PROMPT


def run(where: network.Host, commands: Sequence[str], folder: Path) -> list[Exchange]:
    """Each command of a local session with what it printed."""
    words = where.words("env", "TERM=dumb", NETOBSERV, "shell", "--local", "-i", "eth0",
                        "--packets")  # fmt: skip
    return converse(words, commands, folder, host=where)


def converse(
    words: Sequence[str], commands: Sequence[str], folder: Path, *, host: network.Host | None = None
) -> list[Exchange]:
    """Each command with what it printed, on stdout and stderr alike.

    On a terminal, so that a command that fails does not end the session, and a
    dumb one, so that what comes is lines. A command behind a prompt of its own is
    one of the host's, or of the reader's.
    """
    env = {**os.environ, "XDG_STATE_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    child = pexpect.spawn(words[0], list(words[1:]), cwd=str(folder), encoding="utf-8", env=env,
                          timeout=60, dimensions=(50, 200), echo=False)  # fmt: skip
    child.expect_exact(PROMPT)
    _await_agents(child)
    exchanges = []
    path = f"PATH={Path(NETOBSERV).parent}:{os.environ['PATH']}"
    try:
        for line in commands:
            prompt, command = _prompt_of(line)
            if prompt == PROMPT:
                child.sendline(command)
                child.expect(pexpect.EOF if command == "quit" else re.escape(PROMPT))
                answer = child.before
            else:
                on_host = host is not None and prompt == SERVER_PROMPT
                inside = host.words() if host is not None and on_host else []
                script = f"exec 2>&1; {command}" if on_host else command
                answer = network.sh(*inside, "env", "-C", str(folder), path, "sh", "-c", script)
            exchanges.append(Exchange(command, _lines(answer), prompt))
    finally:
        child.close(force=True)
    return exchanges


def _await_agents(child: pexpect.spawn[str]) -> None:
    """As somebody does who reads what stands there before typing."""
    answer = ""
    while not re.search(r"^\S+ +connected", answer, re.MULTILINE):
        time.sleep(0.5)
        child.sendline("agents")
        child.expect_exact(PROMPT)
        answer = child.before or ""


def _prompt_of(line: str) -> tuple[str, str]:
    for prompt in (PROMPT, SERVER_PROMPT, READER_PROMPT):
        if line.startswith(prompt):
            return prompt, line.removeprefix(prompt)
    return PROMPT, line


def _lines(text: str | None) -> list[str]:
    return [line.rstrip() for line in (text or "").splitlines() if line.strip()]


def show(exchanges: Sequence[Exchange]) -> str:
    return "\n".join(
        "\n".join([f"{exchange.prompt}{exchange.command}", *exchange.answer])
        for exchange in exchanges
    )


def parse(text: str) -> list[Exchange]:
    """A shown transcript taken apart again."""
    exchanges: list[Exchange] = []
    for line in text.splitlines():
        if line.startswith((PROMPT, SERVER_PROMPT, READER_PROMPT)):
            prompt, command = _prompt_of(line)
            exchanges.append(Exchange(command, [], prompt))
        elif exchanges and line.strip():
            exchanges[-1].answer.append(line.rstrip())
    return exchanges


def shown(text: str) -> str:
    """What stands in a document's transcripts, which are one session."""
    return "\n".join(_BLOCK.findall(text))


def rewritten(text: str, exchanges: Sequence[Exchange]) -> str:
    """A document with these answers, as much left out of each as there was."""
    came = iter(exchanges)

    def block(match: re.Match[str]) -> str:
        told = [_shortened(next(came), like=each) for each in parse(match[1])]
        return f"```console\n{show(told)}\n```"

    return _BLOCK.sub(block, text)


def _shortened(exchange: Exchange, *, like: Exchange) -> Exchange:
    if ELIDED not in like.answer:
        return exchange
    at = like.answer.index(ELIDED)
    end = len(exchange.answer) - (len(like.answer) - at - 1)
    return replace(exchange, answer=[*exchange.answer[:at], ELIDED, *exchange.answer[end:]])


def matches(answer: Sequence[str], shown: Sequence[str]) -> bool:
    """Whether an answer is what a document shows of it, ELIDED standing for any lines."""
    if ELIDED in shown:
        at = shown.index(ELIDED)
        after = len(shown) - at - 1
        if len(answer) < at + after:
            return False
        answer = [*answer[:at], ELIDED, *answer[len(answer) - after :]]
    return [alike(line) for line in answer] == [alike(line) for line in shown]


def alike(line: str) -> str:
    """A line without what differs from run to run: figures and widths; our node is `vm`."""
    line = re.sub(rf"\b{re.escape(platform.node())}\b", "vm", line)
    line = re.sub(r"\+0x[0-9a-f]+", "+N", line)
    line = re.sub(r"\d[\d,.]*( ?(us|ms|s|kB|MB|GB|B)\b)?", "N", line)
    return re.sub(r"[-\s]+", " ", line).strip()


def main(documents: Sequence[str]) -> None:
    """Run their sessions again and write down what came."""
    for document in documents or SCENES:
        path = ROOT / document
        text = path.read_text()
        with SCENES[document]() as pair, tempfile.TemporaryDirectory() as folder:
            commands = [each.prompt + each.command for each in parse(shown(text))]
            path.write_text(rewritten(text, run(pair.ours, commands, Path(folder))))


if __name__ == "__main__":
    main(sys.argv[1:])
