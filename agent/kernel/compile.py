"""Compile and load the programs, in a child that hands over the descriptors.

clang and LLVM stay resident once used (about 120 MB), so a short-lived child
does it and gives back what the kernel made: map and program descriptors over a
Unix socket (SCM_RIGHTS). What every capture needs comes first; the features
follow, each compiled and loaded by itself, while the capture may begin.
"""

from __future__ import annotations

import array
import json
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agent import wire
from agent.kernel import btf, features
from agent.kernel.bpf import Map, possible_cpus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import bcc

CORE = ("maps.h", "frame.h", "parse.h", "link.h", "classify.h", "handshake.h", "capture.c")
PROGRAMS = ("nobs_eth_in", "nobs_eth_out", "nobs_ip_in", "nobs_ip_out")
MAPS = (
    "control", "rulesets", "ports", "small", "hosts", "prefixes", "if_vectors", "counters", "hits",
    "flows0", "flows1", "extras0", "extras1", "homes", "fragments", "handshakes", "attached",
    "tails", "ring", "events",
)  # fmt: skip

_HERE = Path(__file__).resolve().parent.parent / "bpf"
_MESSAGE_BYTES = 1 << 16
_NICE = 10
_PATIENCE_SECONDS = 5.0
"""Before the features are compiled that nobody has asked for: the start goes first."""


class CompileError(RuntimeError):
    """The programs could not be compiled or loaded; str() is one line for people."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the loader decides of the maps."""

    flow_capacity: int = 100_000
    """Flows held per eviction window."""
    ring_bytes: int = 16 << 20
    """Of the packet ring: a power of two and whole pages."""
    event_bytes: int = 2 << 20
    """Of the event ring, likewise."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Descriptors, owned by the holder; closing the last ones frees the kernel's memory."""

    programs: dict[str, int]
    maps: dict[str, Map]

    def close(self) -> None:
        for fd in (*self.programs.values(), *(m.fd for m in self.maps.values())):
            os.close(fd)


@dataclass(frozen=True, slots=True)
class LoadedFeatures:
    """What became of the features; the descriptors are the holder's."""

    loaded: Loaded
    problems: dict[str, str] = field(default_factory=dict)
    """Why one is not there, by its name."""
    drop_reasons: dict[int, str] = field(default_factory=dict)
    reset_reasons: dict[int, str] = field(default_factory=dict)


def source(names: Sequence[str]) -> str:
    """The C text of a unit."""
    parts = [(_HERE / name).read_text() for name in names]
    return "\n".join(["#include <linux/types.h>", wire.c_declarations(), *parts])


class Loading:
    """A compilation under way in its child; finish() it, then finish_features()."""

    def __init__(self, sizes: Sizes) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115  closed by finish_features()
        numbers = (
            theirs.fileno(), sizes.flow_capacity, sizes.ring_bytes, sizes.event_bytes,
        )  # fmt: skip
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "agent.kernel.compile", *map(str, numbers)],
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL,
                stdout=self._messages, stderr=self._messages,
            )  # fmt: skip

    def finish(self) -> Loaded:
        """What every capture needs; CompileError with the reason if the child has failed."""
        received = self._receive()
        if received is None:
            raise CompileError(self._last_words())
        names, fds = received
        return _loaded(names["programs"], names["maps"], fds)

    def hurry(self) -> None:
        """The features are wanted now; from any thread, as often as one likes."""
        with suppress(OSError):
            self._ours.send(b"\1")

    def finish_features(self) -> LoadedFeatures:
        """The features, once the child is through with them; call it after finish().

        Without hurry() it begins with them some seconds after the start.
        """
        programs: dict[str, int] = {}
        maps: dict[str, Map] = {}
        problems: dict[str, str] = {}
        texts: dict[str, dict[str, str]] = {}
        for feature in features.FEATURES:
            try:
                received = self._receive()
            except CompileError as error:
                problems[feature.name] = str(error)
                continue
            if received is None:
                problems[feature.name] = self._last_words()
                continue
            answer, fds = received
            if answer["problem"]:
                problems[feature.name] = answer["problem"]
                continue
            texts |= answer["texts"]
            part = _loaded(answer["programs"], answer["maps"], fds)
            programs |= part.programs
            maps |= part.maps
        self._ours.close()
        self._child.wait()
        self._messages.close()
        numbered = {
            name: {int(number): text for number, text in table.items()}
            for name, table in texts.items()
        }
        return LoadedFeatures(
            Loaded(programs, maps),
            problems,
            numbered.get("drop_reasons", {}),
            numbered.get("reset_reasons", {}),
        )

    def abandon(self) -> None:
        """Whatever is not compiled yet is not wanted any more; finish_features() returns."""
        if self._child.returncode is None:
            self._child.kill()

    def _receive(self) -> tuple[dict, list[int]] | None:  # type: ignore[type-arg]
        most = len(MAPS) + len(PROGRAMS)
        try:
            data, fds, _flags, _addr = socket.recv_fds(self._ours, _MESSAGE_BYTES, most)
        except ConnectionResetError:  # it ended before it read that we hurry
            return None
        if not data:
            return None
        answer = json.loads(data)
        expected = len(answer["programs"]) + len(answer["maps"])
        if len(fds) != expected:
            raise CompileError(f"{len(fds)} of {expected} descriptors arrived: raise `ulimit -n`")
        return answer, list(fds)

    def _last_words(self) -> str:
        self._child.wait()
        self._messages.seek(0)
        return _reason(self._messages.read().decode(errors="replace"))


def _loaded(programs: Sequence[str], maps: Sequence[str], fds: Sequence[int]) -> Loaded:
    made = {name: Map.from_fd(fd) for name, fd in zip(maps, fds, strict=False)}
    return Loaded(dict(zip(programs, fds[len(maps) :], strict=True)), made)


def _reason(text: str) -> str:
    """The line of a compiler's or verifier's output that says most."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if "error:" in line or line.startswith("netobserv:"):
            return line.removeprefix("netobserv:").strip()
    return lines[-1] if lines else "the compiler ended without a word"


class _Child:
    """The compiling process."""

    def __init__(self, sock: socket.socket, sizes: Sizes) -> None:
        self._socket = sock
        page = os.sysconf("SC_PAGE_SIZE")
        self._flags = [
            f"-DFLOW_CAPACITY={sizes.flow_capacity}",
            f"-DRING_PAGES={sizes.ring_bytes // page}",
            f"-DEVENT_PAGES={sizes.event_bytes // page}",
            f"-DPAGE_SIZE={page}",
            f"-DCPUS={possible_cpus()}",
        ]
        self._units: list[bcc.BPF] = []  # the core's maps are found while it lives

    def run(self, bpf: type[bcc.BPF]) -> None:
        core = self._compile(bpf, CORE, self._flags)
        self._send(core, PROGRAMS, MAPS, bpf.SCHED_CLS)
        if not self._wanted():
            return
        os.nice(_NICE)  # the capture that begins meanwhile goes first
        try:
            types = btf.kernel()
        except btf.BtfError:
            types = None
        for feature in features.FEATURES:
            try:
                self._load(bpf, feature, types)
            except Exception as error:  # noqa: BLE001  whatever it is, the others go on
                self._answer(problem=_one_line(error))

    def _wanted(self) -> bool:
        """Wait a while, or until somebody hurries; False where nobody is there any more."""
        self._socket.settimeout(_PATIENCE_SECONDS)
        try:
            return bool(self._socket.recv(1))
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(None)

    def _compile(self, bpf: type[bcc.BPF], names: Sequence[str], flags: list[str]) -> bcc.BPF:
        unit = bpf(text=source(names), cflags=flags)
        self._units.append(unit)
        return unit

    def _load(self, bpf: type[bcc.BPF], feature: features.Feature, types: btf.Types | None) -> None:
        unit = self._compile(bpf, feature.sources, self._flags + features.flags(feature, types))
        texts: dict[str, Mapping[int, str]] = {}
        if types is not None and feature.name == "drops":
            texts = {"drop_reasons": features.drop_reasons(types)}
        elif types is not None and feature.name == "tcp":
            texts = {"reset_reasons": features.reset_reasons(types)}
        kind = bpf.RAW_TRACEPOINT if feature.tracepoints else bpf.SCHED_CLS
        self._send(unit, feature.programs, feature.maps, kind, texts=texts)

    def _send(
        self, unit: bcc.BPF, programs: Sequence[str], maps: Sequence[str], kind: int,
        *, texts: Mapping[str, Mapping[int, str]] | None = None,
    ) -> None:  # fmt: skip
        fds = [unit[name].map_fd for name in maps]
        fds += [unit.load_func(name, kind).fd for name in programs]
        self._answer(programs=programs, maps=maps, texts=texts or {}, fds=fds)

    def _answer(
        self, *, problem: str = "", programs: Sequence[str] = (), maps: Sequence[str] = (),
        texts: Mapping[str, Mapping[int, str]] | None = None, fds: Sequence[int] = (),
    ) -> None:  # fmt: skip
        answer = {"problem": problem, "programs": programs, "maps": maps, "texts": texts}
        socket.send_fds(self._socket, [json.dumps(answer).encode()], array.array("i", fds))


def _one_line(error: Exception) -> str:
    if isinstance(error, btf.BtfError):
        return str(error)
    return " ".join(str(error).split())[:200] or type(error).__name__


def _child(fd: int, flow_capacity: int, ring_bytes: int, event_bytes: int) -> None:
    os.environ["BCC_KERNEL_SOURCE"] = str(_HERE / "shim")
    try:
        import bcc  # noqa: PLC0415  the one place that needs it, in a process of its own
    except ImportError:
        sys.exit("netobserv: no module bcc: install the distribution's python3-bpfcc")
    if not hasattr(bcc, "BPF"):
        sys.exit("netobserv: this bcc is another package: install the distribution's python3-bpfcc")
    with socket.socket(fileno=fd) as sock:
        _Child(sock, Sizes(flow_capacity, ring_bytes, event_bytes)).run(bcc.BPF)
    os._exit(0)  # LLVM takes its time to tear down what goes anyway


if __name__ == "__main__":
    _child(*(int(word) for word in sys.argv[1:5]))
