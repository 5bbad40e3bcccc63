"""Kernel cost of one packet: the real programs over one frame, BPF_PROG_TEST_RUN.

Frames and tables stay in cache here, so these are costs of the instructions,
not of a busy machine's memory. Cases take turns, so that a noisy moment does
not fall on one of them alone.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from agent.kernel.compile import Sizes
from nshell.filters import parse_rule
from tests.classifier import frames as f
from tests.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 9
REPEAT = 100_000
RING_REPEAT = 4_000
"""Fewer, so that the ring takes them all."""

A, B = "10.0.0.1", "10.0.1.1"
FRAME_64 = f.udp4(A, B, sport=5000, dport=80, payload=bytes(22))
FRAME_1500 = f.udp4(A, B, sport=5000, dport=80, payload=bytes(1458))
OTHERS = ",".join(f"10.{2 + i // 60000}.{i // 250 % 240}.{i % 250}" for i in range(9_999))

CASES: dict[str, tuple[list[str], bytes, bool, bool]] = {
    # name: rules, frame, flows, packets
    "filter off": ([], FRAME_64, True, False),
    "1 rule": (["protocol udp port 80"], FRAME_64, True, False),
    "16 rules": ([f"protocol udp port {1000 + i}" for i in range(15)], FRAME_64, True, False),
    "64 rules": ([f"protocol udp port {1000 + i}" for i in range(63)], FRAME_64, True, False),
    "1 rule, peer": ([f"peer_ip {A}"], FRAME_64, True, False),
    "1 rule, a peer among 10,000": ([f"peer_ip {OTHERS},{A}"], FRAME_64, True, False),
    "1 rule, prefix": (["cidr 10.0.0.0/24"], FRAME_64, True, False),
    "rejected": (["protocol udp port 443"], FRAME_64, True, False),
    "packets too, 64 B": ([], FRAME_64, True, True),
    "packets too, 1,500 B": ([], FRAME_1500, True, True),
}


def run() -> dict[str, float]:
    """Nanoseconds per packet by case: medians."""
    kernel = Kernel.open(Sizes())
    try:
        samples: dict[str, list[int]] = {name: [] for name in CASES}
        for _ in range(ROUNDS):
            for name, nanoseconds in _round(kernel):
                samples[name].append(nanoseconds)
        return {name: float(median(values)) for name, values in samples.items()}
    finally:
        kernel.close()


def _round(kernel: Kernel) -> Iterator[tuple[str, int]]:
    for name, (rules, frame, flows, packets) in CASES.items():
        # The last one decides.
        more = ["protocol udp port 80"] if name in {"16 rules", "64 rules"} else []
        parsed = [parse_rule(rule.split()) for rule in rules + more]
        kernel.apply(parsed, flows=flows, packets=packets)
        kernel.run(frame, repeat=1000)
        kernel.empty_ring()
        lost = kernel.classifier.counters()["packet_lost_ring"]
        yield name, kernel.run(frame, repeat=RING_REPEAT if packets else REPEAT)
        assert kernel.classifier.counters()["packet_lost_ring"] == lost


if __name__ == "__main__":
    for case, value in run().items():
        print(f"{case:30} {value:7.0f} ns")
