"""The real programs and maps without an agent: for tests and benches that ask the kernel itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from agent import wire
from agent.filters import tables
from agent.kernel.bpf import run_program
from agent.kernel.classifier import Classifier
from agent.kernel.compile import Loaded, Loading, Sizes
from agent.kernel.hooks import FeatureHooks
from agent.kernel.ring import Ring
from nshell.filters import Direction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nshell.filters import Rule

LOOPBACK = 1
EXTRA = np.dtype(wire.FLOW_EXTRA.dtype())
EVENT_HEAD = np.dtype(wire.EVENT_HEAD.dtype())
EVENTS = {
    wire.EVENT_DNS: np.dtype(wire.DNS_EVENT.dtype()),
    wire.EVENT_DROP: np.dtype(wire.DROP_EVENT.dtype()),
    wire.EVENT_TCP: np.dtype(wire.TCP_EVENT.dtype()),
}

Kind = Literal["flows", "packets"]
Verdict = tuple[bool, int]
"""(accepted, index of the rule that decided or wire.NO_RULE)."""


@dataclass
class Kernel:
    """Programs in this kernel, on no interface: frames come from the caller."""

    loading: Loading
    loaded: Loaded
    classifier: Classifier
    ring: Ring
    events: Ring
    generation: int = 0
    hits: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Of the active generation as counted when last read."""

    @classmethod
    def open(cls, sizes: Sizes) -> Kernel:
        loading = Loading(sizes)
        loaded = loading.finish()
        return cls(
            loading, loaded, Classifier(loaded), Ring(loaded.maps["ring"]),
            Ring(loaded.maps["events"]),
        )  # fmt: skip

    @cached_property
    def hooks(self) -> FeatureHooks:
        """The features, waited for when they are asked for."""
        self.loading.hurry()
        return FeatureHooks(self.loading.finish_features(), self.loaded.maps["tails"])

    def close(self) -> None:
        self.loading.abandon()
        self.hooks.close()
        self.events.close()
        self.ring.close()
        self.classifier.close()
        self.loaded.close()

    def apply(
        self, rules: Sequence[Rule], *, ifname: str = "lo", flows: bool = True,
        packets: bool = True, snaplen: int = 0, sampling: int = 1, features: Sequence[str] = (),
        dns_ports: tuple[int, ...] = (53,),
    ) -> None:  # fmt: skip
        """A new generation and nothing left of the last one's; frames arrive on ifname."""
        self.generation += 1
        settings = tables.Settings(
            self.generation, flows=flows, packets=packets, snaplen=snaplen, sampling=sampling,
            features=frozenset(features), dns_ports=dns_ports,
        )  # fmt: skip
        if features:
            problems = self.hooks.switch_on(features)
            assert not problems, problems
        built = tables.build(rules, settings)
        self.classifier.apply(built, generation=self.generation, interfaces={LOOPBACK: ifname})
        self.classifier.drain()
        self.forget("fragments", "homes", "handshakes")
        if "hooks" in self.__dict__:
            self.hooks.switch_off(features)
            self.forget("queries", "streams")
        self.empty_ring()
        self.read_events()
        self.hits = Counter()

    def run(
        self, frame: bytes, direction: Direction = Direction.INGRESS, *, repeat: int = 1
    ) -> int:
        """Mean ns of one run."""
        program = "nobs_eth_in" if direction is Direction.INGRESS else "nobs_eth_out"
        returned, duration = run_program(
            self.loaded.programs[program], frame, repeat=repeat, ifindex=LOOPBACK
        )
        assert returned == -1, "the traffic must pass on, whatever the verdict"
        return duration

    def decide(self, frame: bytes, direction: Direction = Direction.INGRESS) -> dict[Kind, Verdict]:
        """What the kernel decides on one frame, read from its own counters.

        "flows" is missing for frames that are not IP.
        """
        counted = self.classifier.counters()
        self.run(frame, direction)
        now = self.classifier.counters()
        read = self.read_hits()
        new = read - self.hits
        self.hits = read
        assert sum(new.values()) <= 2
        verdicts: dict[Kind, Verdict] = {}
        for kind, index in new:
            name = "flow_accepted" if kind == "flows" else "packet_accepted"
            verdicts["flows" if kind == "flows" else "packets"] = (
                now[name] == counted[name] + 1, index,
            )  # fmt: skip
        return verdicts

    def read_hits(self) -> Counter[tuple[str, int]]:
        return Counter(
            {
                ("packets" if hit.packets_kind else "flows", hit.index): hit.packets
                for hit in self.classifier.hits()
            }
        )

    def empty_ring(self) -> None:
        while self.ring.read(1 << 30)[0]:
            pass

    def forget(self, *maps: str) -> None:
        """Empty what the programs remember between packets."""
        for name in maps:
            table = self.loaded.maps.get(name) or self.hooks.loaded.loaded.maps[name]
            for _ in table.drain(1024):
                pass

    def read_events(self) -> list[tuple[np.void, bytes]]:
        """Everything in the event ring: (record of its kind, bytes behind it)."""
        found = []
        _, data = self.events.read(1 << 30)
        at = 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 4], "little")
            record = data[at + 8 : at + 8 + length]
            kind = int(np.frombuffer(record, EVENT_HEAD, 1)[0]["kind"])
            dtype = EVENTS[kind]
            found.append((np.frombuffer(record, dtype, 1)[0], record[dtype.itemsize :]))
            at += (length + 15) & ~7
        return found

    def extras(self) -> dict[bytes, np.void]:
        """What features saw of each flow since the last change or call, by its key."""
        self.classifier.evict()
        found = {}
        for chunk in self.classifier.drain().extras:
            values = np.frombuffer(chunk.values, EXTRA)
            for index in range(chunk.count):
                key = chunk.keys[index * wire.FLOW_KEY.size : (index + 1) * wire.FLOW_KEY.size]
                found[key] = values[index]
        return found

    def flows(self) -> list[tuple[bytes, bytes]]:
        """(key, value) of every flow since the last change or call."""
        self.classifier.evict()
        found = []
        for chunk in self.classifier.drain().flows:
            key, value = wire.FLOW_KEY.size, wire.FLOW_VALUE.size
            found += [
                (chunk.keys[i * key : (i + 1) * key], chunk.values[i * value : (i + 1) * value])
                for i in range(chunk.count)
            ]
        return found


@pytest.fixture(scope="session")
def kernel() -> Iterator[Kernel]:
    opened = Kernel.open(Sizes(flow_capacity=4096, ring_bytes=1 << 20))
    yield opened
    opened.close()
