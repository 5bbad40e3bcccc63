"""Hosts of the tests' own: network namespaces joined by veth pairs, and traffic between them.

Everything is made on entry and removed on exit; names carry the process id, so
that two runs do not meet. Traffic stays inside and is bounded by count.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_numbers = itertools.count()

SCENARIOS = Path(__file__).parent / "scenarios"
"""Programs that a host runs."""


def sh(*words: str, check: bool = True) -> str:
    """Standard output of a command."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Returns once it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


@dataclass(slots=True)
class Host:
    """One namespace. Programs in it are started with run() or start()."""

    name: str
    started: list[subprocess.Popen[Any]] = field(default_factory=list)

    def words(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, *command: str, check: bool = True) -> str:
        return sh(*self.words(*command), check=check)

    def start(self, *command: str, **how: Any) -> subprocess.Popen[Any]:
        """A program that close() ends, if it has not ended by itself."""
        how.setdefault("stdout", subprocess.DEVNULL)
        how.setdefault("stderr", subprocess.DEVNULL)
        how.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(self.words(*command), **how)
        self.started.append(process)
        return process

    def python(self, script: str, *arguments: object) -> str:
        return self.run(sys.executable, "-c", script, *map(str, arguments))

    def start_python(self, script: str, *arguments: object, **how: Any) -> subprocess.Popen[Any]:
        """Returns once the script has printed its first line."""
        return self._start_ready(sys.executable, "-u", "-c", script, *map(str, arguments), **how)

    def start_talking(self, script: str, *arguments: object) -> tuple[subprocess.Popen[Any], Any]:
        """A script that is told lines; also what its first line, JSON, says."""
        command = [sys.executable, "-u", "-c", script, *map(str, arguments)]
        process = self.start(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())

    def start_program(self, file: str, *arguments: object, **how: Any) -> subprocess.Popen[Any]:
        """One of SCENARIOS; returns once it has printed its first line."""
        return self._start_ready(
            sys.executable, "-u", str(SCENARIOS / file), *map(str, arguments), **how
        )

    def _start_ready(self, *command: str, **how: Any) -> subprocess.Popen[Any]:
        process = self.start(*command, stdout=subprocess.PIPE, **how)
        assert process.stdout is not None
        assert process.stdout.readline(), "the script ended before it was ready"
        return process

    def counter(self, name: str) -> int:
        """One of the stack's own, by the name that nstat gives it."""
        lines = self.run("nstat", "-asz", name).splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(name + " "))

    def inode(self) -> int:
        """Of the namespace."""
        return int(self.run("stat", "-L", "-c", "%i", "/proc/self/ns/net"))

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.terminate()
            process.wait(10)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        sh("ip", "netns", "del", self.name, check=False)


@contextlib.contextmanager
def host(label: str) -> Iterator[Host]:
    made = Host(f"nobs{os.getpid()}-{next(_numbers)}-{label}")
    sh("ip", "netns", "add", made.name)
    try:
        made.run("ip", "link", "set", "lo", "up")
        yield made
    finally:
        made.close()


def join(a: Host, b: Host, *, names: tuple[str, str], network: int) -> None:
    """A veth pair between two hosts: 10.77.NETWORK.1 and .2, fd77:NETWORK::1 and ::2."""
    sh("ip", "link", "add", names[0], "netns", a.name, "type", "veth", "peer", "name", names[1],
       "netns", b.name)  # fmt: skip
    for end, (place, name) in enumerate(((a, names[0]), (b, names[1])), start=1):
        place.run("ip", "addr", "add", f"10.77.{network}.{end}/24", "dev", name)
        place.run("ip", "addr", "add", f"fd77:{network}::{end}/64", "dev", name, "nodad")
        place.run("ip", "link", "set", name, "up")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two hosts on one wire; ours is the one that captures, on eth0."""

    peer: Host
    ours: Host

    peer4: str = "10.77.1.1"
    ours4: str = "10.77.1.2"
    peer6: str = "fd77:1::1"
    ours6: str = "fd77:1::2"


@contextlib.contextmanager
def pair() -> Iterator[Pair]:
    with host("peer") as peer, host("ours") as ours:
        join(peer, ours, names=("eth0", "eth0"), network=1)
        yield Pair(peer, ours)


@dataclass(frozen=True, slots=True)
class Routed:
    """Client, router and server; the router captures on left and right."""

    client: Host
    router: Host
    server: Host

    client4: str = "10.77.1.1"
    server4: str = "10.77.2.2"


@contextlib.contextmanager
def routed() -> Iterator[Routed]:
    with host("client") as client, host("router") as router, host("server") as server:
        join(client, router, names=("eth0", "left"), network=1)
        join(router, server, names=("right", "eth0"), network=2)
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        client.run("ip", "route", "add", "default", "via", "10.77.1.2")
        server.run("ip", "route", "add", "default", "via", "10.77.2.1")
        yield Routed(client, router, server)


@contextlib.contextmanager
def relayed(*, delay_ms: float, lose_every: int = 0) -> Iterator[Relayed]:
    """Peer and ours with a wire between them that delays each frame, each way.

    Of the segments with data that ours sends every so many are lost.
    """
    with host("peer") as peer, host("wire") as wire, host("ours") as ours:
        for end, (place, name) in enumerate(((peer, "left"), (ours, "right")), start=1):
            sh("ip", "link", "add", "eth0", "netns", place.name, "type", "veth", "peer", "name",
               name, "netns", wire.name)  # fmt: skip
            place.run("ip", "addr", "add", f"10.77.1.{end}/24", "dev", "eth0")
            place.run("ip", "addr", "add", f"fd77:1::{end}/64", "dev", "eth0", "nodad")
            # One segment a frame: the stack's counters and the frames then agree.
            place.run("ip", "link", "set", "eth0", "up", "gso_max_segs", "1")
            wire.run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
            wire.run("ip", "link", "set", name, "up")
        relay = wire.start_program(
            "relay.py", "left", "right", delay_ms, lose_every, stdin=subprocess.PIPE
        )
        yield Relayed(peer, ours, relay=relay)


@dataclass(frozen=True, slots=True)
class Relayed(Pair):
    """Two hosts as in Pair; what goes between them passes a program."""

    relay: subprocess.Popen[Any] | None = None

    def lost(self) -> int:
        """Frames that the relay did not pass on; it ends."""
        assert self.relay is not None
        out, _ = self.relay.communicate(timeout=10)
        return int(out)


TCP_ECHO = """
import socket, sys, threading
def serve(c):
    with c:
        while d := c.recv(65536): c.sendall(d)
s = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=128,
    family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print("ready")
while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"""

TCP_TALK = """
import socket, sys
host, port, times, size = sys.argv[1], *map(int, sys.argv[2:5])
for _ in range(times):
    with socket.create_connection((host, port)) as c:
        c.sendall(bytes(size)); got = 0
        while got < size: got += len(c.recv(65536))
"""

TCP_EXCHANGES = """
import json, os, socket, sys
host, port, rounds = sys.argv[1], *map(int, sys.argv[2:4])
c = socket.create_connection((host, port))
def exchange():
    for _ in range(rounds): c.sendall(bytes(100)); assert c.recv(100)
    print(json.dumps({"pid": os.getpid(), "comm": open("/proc/self/comm").read().strip(),
                      "port": c.getsockname()[1]}))
exchange()
for line in sys.stdin: exchange()
c.close()
"""
"""host port rounds: says who it is after the rounds, and again for each line it is told."""

UDP_ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2]))); print("ready")
while True:
    d, a = s.recvfrom(65536); s.sendto(d, a)
"""

UDP_TALK = """
import socket, sys, time
host, port, times, size, gap = sys.argv[1], *map(int, sys.argv[2:5]), float(sys.argv[5])
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2); s.connect((host, port))
for i in range(times):
    s.send(i.to_bytes(4, "big") + bytes(size - 4)); s.recv(65536)
    if gap: time.sleep(gap)
"""

UDP_SEND = """
import socket, sys, time
host, ports, times, size, rate = sys.argv[1], [int(p) for p in sys.argv[2].split(",")], \
    int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
start = time.monotonic(); print("ready")
for i in range(times):
    for p in ports: s.sendto(i.to_bytes(4, "big") + bytes(size - 4), (host, p))
    ahead = (i + 1) * len(ports) / rate - (time.monotonic() - start)
    if ahead > 0.001: time.sleep(ahead)
"""
"""host ports times size rate: numbered datagrams to each port in turn, never answered."""

UDP_TRY = """
import contextlib, socket, sys
host, port, times, size = sys.argv[1], *map(int, sys.argv[2:5])
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
for i in range(times):
    with contextlib.suppress(OSError): s.sendto(bytes(size), (host, port))
"""
"""host port times size: datagrams, whatever the stack says to them."""

TCP_TRY = """
import socket, sys
host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET); s.settimeout(seconds)
try: s.connect((host, port)); print("connected")
except OSError as e: print(type(e).__name__)
"""
"""host port seconds: connects once; prints `connected` or the name of the error."""

SINK = """
import socket, sys
for p in sys.argv[2].split(","):
    s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((sys.argv[1], int(p))); globals()["s" + p] = s
print("ready"); import signal; signal.pause()
"""

RAW_FRAMES = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind((sys.argv[1], 0))
for frame in sys.argv[2:]: s.send(bytes.fromhex(frame))
"""


class Tcpdump:
    """tcpdump on one interface of a host, into a file: the oracle."""

    def __init__(self, where: Host, interface: str, file: str, *words: str) -> None:
        self.file = file
        self._process = where.start(
            "tcpdump", "-i", interface, "-w", file, "-U", "-n", "-B", "65536", "-Z", "root",
            "--immediate-mode", "--time-stamp-precision=nano", *words,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if "listening on" in line:
                break

    def stop(self) -> None:
        """Once what was captured so far is in the file."""
        time.sleep(0.3)
        self._process.terminate()
        assert self._process.stderr is not None
        said = self._process.stderr.read()
        self._process.wait(10)
        assert "0 packets dropped by kernel" in said, said


def tshark(
    file: str, fields: Sequence[str], *, where: str = "", options: Sequence[str] = ()
) -> list[tuple[str, ...]]:
    """The fields of each packet of a file, first value each."""
    words = ["tshark", "-n", "-r", file, "-T", "fields", "-E", "occurrence=f", "-E", "separator=|"]
    for name in fields:
        words += ["-e", name]
    words += options
    if where:
        words += ["-Y", where]
    return [tuple(line.split("|")) for line in sh(*words).splitlines()]
