"""Compile and load the programs, in a child that hands over the descriptors.

clang and LLVM stay resident once used (about 120 MB), so a short-lived child
does it and gives back what the kernel made: map and program descriptors over a
Unix socket (SCM_RIGHTS).
"""

from __future__ import annotations

import array
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agent import wire
from agent.kernel.bpf import Map, possible_cpus

SOURCES = ("maps.h", "parse.h", "classify.h", "capture.c")
PROGRAMS = ("nobs_eth_in", "nobs_eth_out", "nobs_ip_in", "nobs_ip_out")
MAPS = (
    "control", "rulesets", "ports", "small", "hosts", "prefixes", "if_vectors", "counters", "hits",
    "flows0", "flows1", "homes", "fragments", "ring",
)  # fmt: skip

_HERE = Path(__file__).resolve().parent.parent / "bpf"


class CompileError(RuntimeError):
    """The programs could not be compiled or loaded; str() is one line for people."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the loader decides of the maps."""

    flow_capacity: int = 100_000
    """Flows held per eviction window."""
    ring_bytes: int = 16 << 20
    """Of the packet ring: a power of two and whole pages."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Descriptors, owned by the holder; closing the last ones frees the kernel's memory."""

    programs: dict[str, int]
    maps: dict[str, Map]

    def close(self) -> None:
        for fd in (*self.programs.values(), *(m.fd for m in self.maps.values())):
            os.close(fd)


def source() -> str:
    """The C text of the whole unit."""
    parts = [(_HERE / name).read_text() for name in SOURCES]
    return "\n".join(["#include <linux/types.h>", wire.c_declarations(), *parts])


class Loading:
    """A compilation under way in its child; finish() it once."""

    def __init__(self, sizes: Sizes) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115  closed by finish()
        numbers = (theirs.fileno(), sizes.flow_capacity, sizes.ring_bytes)
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "agent.kernel.compile", *map(str, numbers)],
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL,
                stdout=self._messages, stderr=self._messages,
            )  # fmt: skip

    def finish(self) -> Loaded:
        """CompileError with the reason if the child has failed."""
        with self._ours, self._messages:
            fds = _receive(self._ours)
            self._child.wait()
            if fds is None:
                self._messages.seek(0)
                raise CompileError(_reason(self._messages.read().decode(errors="replace")))
        maps = {name: Map.from_fd(fd) for name, fd in zip(MAPS, fds, strict=False)}
        return Loaded(dict(zip(PROGRAMS, fds[len(MAPS) :], strict=True)), maps)


def load(sizes: Sizes) -> Loaded:
    """Compile and load; CompileError with the reason if that fails."""
    return Loading(sizes).finish()


def _receive(sock: socket.socket) -> list[int] | None:
    expected = len(MAPS) + len(PROGRAMS)
    data, fds, _flags, _addr = socket.recv_fds(sock, 4096, expected)
    if not data:
        return None
    if len(fds) != expected:
        raise CompileError(f"{len(fds)} of {expected} descriptors arrived: raise `ulimit -n`")
    return list(fds)


def _reason(text: str) -> str:
    """The line of a compiler's or verifier's output that says most."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if "error:" in line or line.startswith("netobserv:"):
            return line.removeprefix("netobserv:").strip()
    return lines[-1] if lines else "the compiler ended without a word"


def _child(fd: int, flow_capacity: int, ring_bytes: int) -> None:
    os.environ["BCC_KERNEL_SOURCE"] = str(_HERE / "shim")
    try:
        import bcc  # noqa: PLC0415  the one place that needs it, in a process of its own
    except ImportError:
        sys.exit("netobserv: no module bcc: install the distribution's python3-bpfcc")
    if not hasattr(bcc, "BPF"):
        sys.exit("netobserv: this bcc is another package: install the distribution's python3-bpfcc")
    page = os.sysconf("SC_PAGE_SIZE")
    flags = [
        f"-DFLOW_CAPACITY={flow_capacity}",
        f"-DRING_PAGES={ring_bytes // page}",
        f"-DPAGE_SIZE={page}",
        f"-DCPUS={possible_cpus()}",
    ]
    unit = bcc.BPF(text=source(), cflags=flags)
    programs = [unit.load_func(name, bcc.BPF.SCHED_CLS).fd for name in PROGRAMS]
    maps = [unit[name].map_fd for name in MAPS]
    with socket.socket(fileno=fd) as sock:
        socket.send_fds(sock, [b"loaded"], array.array("i", maps + programs))
    os._exit(0)  # LLVM takes its time to tear down what goes anyway


if __name__ == "__main__":
    _child(*(int(word) for word in sys.argv[1:4]))
