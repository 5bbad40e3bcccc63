"""What each feature costs, on and off.

At the interfaces: the real programs over one frame, BPF_PROG_TEST_RUN, taking
turns. At the tracepoints: the kernel's own account of the programs' time
(kernel.bpf_stats_enabled) under real traffic on loopback; where a feature is
off its programs are attached nowhere, which the account shows as no run at all.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from agent.kernel.compile import Sizes
from agent.kernel.features import FEATURES
from tests.classifier import frames as f
from tests.kernel import LOOPBACK, Kernel
from tests.network import sh

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUNDS = 9
REPEAT = 100_000
EVENT_REPEAT = 4_000
"""Fewer, so that the event ring takes them all."""
STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")

A, B = "10.0.0.1", "10.0.1.1"
ACK = f.tcp4(A, B, payload=bytes(10))
UDP = f.udp4(A, B, sport=5000, dport=80, payload=bytes(22))
QUERY = f.udp4(
    A, B, sport=5000, dport=53, payload=struct.pack(">6H", 1, 256, 1, 0, 0, 0) + b"\1a\0\0\1\0\1"
)

CASES: dict[str, tuple[Sequence[str], bytes]] = {
    "TCP segment, all off": ([], ACK),
    "TCP segment, rtt on": (["rtt"], ACK),
    "TCP segment, dns on": (["dns"], ACK),
    "TCP segment, drops and tcp on": (["drops", "tcp"], ACK),
    "datagram, all off": ([], UDP),
    "datagram, all on": (["dns", "drops", "rtt", "tcp"], UDP),
    "DNS query, all off": ([], QUERY),
    "DNS query, dns on": (["dns"], QUERY),
}


def run() -> dict[str, float]:
    """Nanoseconds per packet or per run of a program: medians and means."""
    kernel = Kernel.open(Sizes())
    try:
        kernel.classifier.set_attached(LOOPBACK, attached=True)
        return _interfaces(kernel) | _tracepoints(kernel)
    finally:
        kernel.close()


def _interfaces(kernel: Kernel) -> dict[str, float]:
    samples: dict[str, list[int]] = {name: [] for name in CASES}
    for _ in range(ROUNDS):
        for name, (features, frame) in CASES.items():
            kernel.apply([], packets=False, features=features)
            kernel.run(frame, repeat=1000)
            kernel.read_events()
            repeat = EVENT_REPEAT if frame is QUERY else REPEAT
            samples[name].append(kernel.run(frame, repeat=repeat))
    return {name: float(median(values)) for name, values in samples.items()}


def _tracepoints(kernel: Kernel) -> dict[str, float]:
    figures: dict[str, float] = {}
    for feature, traffic in (("drops", _refused), ("rtt", _transfer), ("tcp", _connections)):
        for on in (False, True):
            kernel.apply([], packets=False, features=[feature] if on else [])
            with _statistics():
                before = _account(kernel, feature)
                traffic()
                runs, nanoseconds = (
                    now - then for now, then in zip(_account(kernel, feature), before, strict=True)
                )
            kernel.read_events()
            name = f"{feature}, a run at its tracepoint"
            if on:
                figures[name] = nanoseconds / runs
            else:
                figures[f"{feature} off, runs"] = float(runs)
    return figures


@contextlib.contextmanager
def _statistics() -> Iterator[None]:
    was = STATISTICS.read_text()
    STATISTICS.write_text("1")
    try:
        yield
    finally:
        STATISTICS.write_text(was)


def _account(kernel: Kernel, feature: str) -> tuple[int, int]:
    """Runs and nanoseconds of its programs so far."""
    runs = nanoseconds = 0
    (chosen,) = (each for each in FEATURES if each.name == feature)
    for program in chosen.programs:
        fd = kernel.hooks.loaded.loaded.programs[program]
        (number,) = (
            line.split()[1]
            for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
            if line.startswith("prog_id:")
        )
        told = json.loads(sh("bpftool", "-j", "prog", "show", "id", number))
        runs += told.get("run_cnt", 0)
        nanoseconds += told.get("run_time_ns", 0)
    return runs, nanoseconds


def _refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(EVENT_REPEAT):
            sender.sendto(bytes(10), ("127.0.0.1", 9))


def _transfer() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as serving,
    ):
        for _ in range(EVENT_REPEAT):
            client.sendall(bytes(1000))
            left = 1000
            while left:
                left -= len(serving.recv(left))


def _connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(500):
            with socket.create_connection(server.getsockname()):
                server.accept()[0].close()


if __name__ == "__main__":
    for case, value in run().items():
        print(f"{case:40} {value:7.0f}")
