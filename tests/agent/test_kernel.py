"""What the programs keep of a packet and what they count, asked of this kernel."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agent import wire
from agent.filters.tables import Settings, build
from agent.kernel.compile import Sizes
from nshell.filters import Direction, parse_rule
from tests.classifier import frames as f
from tests.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

A, B = "10.0.0.1", "10.0.1.1"
VALUE = np.dtype(wire.FLOW_VALUE.dtype())
HEAD = np.dtype(wire.PACKET.dtype())


@pytest.fixture
def small() -> Iterator[Kernel]:
    """With room for 16 flows and a ring of one page."""
    opened = Kernel.open(Sizes(flow_capacity=16, ring_bytes=4096))
    yield opened
    opened.close()


def flow_values(kernel: Kernel) -> np.ndarray:
    return np.frombuffer(b"".join(value for _, value in kernel.flows()), dtype=VALUE)


def records(kernel: Kernel) -> list[tuple[np.void, bytes]]:
    """Everything in the ring: (head, captured bytes)."""
    found = []
    count, data = kernel.ring.read(1 << 30)
    at = 0
    while at < len(data):
        length, _ = struct.unpack_from("<II", data, at)
        head = np.frombuffer(data, dtype=HEAD, count=1, offset=at + 8)[0]
        start = at + 8 + wire.PACKET.size
        found.append((head, data[start : start + int(head["cap_len"])]))
        at += (length + 15) & ~7
    assert len(found) == count
    return found


def test_a_flow_sums_packets_bytes_and_flags(kernel: Kernel) -> None:
    kernel.apply([], packets=False)
    sent = [f.tcp4(A, B, flags=x) for x in (f.SYN, f.ACK, f.PSH | f.ACK, f.FIN | f.ACK)]
    for frame in sent:
        kernel.run(frame)
    (flow,) = flow_values(kernel)
    assert flow["packets"] == 4
    assert flow["bytes"] == sum(map(len, sent))
    assert flow["flags"] & 0xFF == f.SYN | f.ACK | f.PSH | f.FIN
    assert flow["flags"] & 0x200, "FIN+ACK came in one packet"
    assert not flow["flags"] & 0x100, "SYN+ACK did not"


def test_the_same_packet_on_another_interface_is_listed_and_not_counted(kernel: Kernel) -> None:
    kernel.apply([], packets=False)
    frame = f.tcp4(A, B)
    kernel.run(frame, Direction.INGRESS)
    kernel.run(frame, Direction.EGRESS)
    (flow,) = flow_values(kernel)
    assert (flow["packets"], flow["bytes"]) == (1, len(frame))
    assert flow["others"][0] == 1 | 1 << 31


def test_a_packet_that_meets_a_flip_between_two_interfaces_is_counted_once(kernel: Kernel) -> None:
    kernel.apply([], packets=False)
    frame = f.tcp4(A, B)
    kernel.run(frame, Direction.INGRESS)
    kernel.classifier.evict()
    # The flip waited for a grace period; here it is to have been just now.
    struct.pack_into("<QQ", kernel.classifier._control, 8, *[time.monotonic_ns()] * 2)
    kernel.run(frame, Direction.EGRESS)
    drained = [chunk.count for chunk in kernel.classifier.drain().flows]
    assert sum(drained) == 1
    assert kernel.flows() == []


def test_a_change_cuts_flows_by_generation(kernel: Kernel) -> None:
    kernel.apply([], packets=False)
    kernel.run(f.tcp4(A, B))
    kernel.generation += 1
    tables = build([parse_rule(["port", "80"])], Settings(kernel.generation))
    kernel.classifier.apply(tables, generation=kernel.generation, interfaces={})
    window = kernel.classifier.drain()
    assert window.generation == kernel.generation - 1
    assert [chunk.count for chunk in window.flows] == [1]


def test_a_full_flow_map_is_counted_and_no_packet_unaccounted_for(small: Kernel) -> None:
    small.apply([], packets=False)
    before = small.classifier.counters()
    for port in range(100):
        small.run(f.udp4(A, B, sport=1000 + port))
    flows = flow_values(small)
    after = small.classifier.counters()
    lost = after["flow_lost_full"] - before["flow_lost_full"]
    assert len(flows) <= 16
    assert int(flows["packets"].sum()) + lost == 100
    assert after["flow_lost_full_bytes"] - before["flow_lost_full_bytes"] == lost * len(
        f.udp4(A, B)
    )


def test_a_full_ring_is_counted_and_no_packet_unaccounted_for(small: Kernel) -> None:
    small.apply([], flows=False)
    for _ in range(100):
        small.run(f.udp4(A, B, payload=bytes(200)))
    lost = small.classifier.counters()["packet_lost_ring"]
    kept = len(records(small))
    assert lost > 0
    assert kept + lost == 100


def test_a_packet_is_kept_whole_with_its_facts(kernel: Kernel) -> None:
    kernel.apply([parse_rule(["port", "80"])], flows=False)
    frame = f.tcp4(A, B, flags=f.SYN, payload=bytes(range(256)), vlans=(42,))
    kernel.run(frame, Direction.EGRESS)
    ((head, data),) = records(kernel)
    assert data == frame
    assert head["orig_len"] == head["cap_len"] == len(frame)
    assert (head["sport"], head["dport"], head["proto"]) == (40000, 80, 6)
    assert (head["direction"], head["rule"], head["vlan_tci"]) == (1, 0, 42)
    assert head["flags"] == f.SYN
    assert head["generation"] == kernel.generation


@pytest.mark.parametrize("size", [15, 60, 1514])
def test_frames_of_every_size_come_out_as_they_went_in(kernel: Kernel, size: int) -> None:
    kernel.apply([], flows=False)
    frame = f.ethernet(0x88B5, bytes(i % 251 for i in range(size - 14)))
    kernel.run(frame)
    ((_, data),) = records(kernel)
    assert data == frame


def test_the_snap_length_cuts_and_the_original_length_stays(kernel: Kernel) -> None:
    kernel.apply([], flows=False, snaplen=64)
    frame = f.udp4(A, B, payload=bytes(500))
    kernel.run(frame)
    ((head, data),) = records(kernel)
    assert data == frame[:64]
    assert head["orig_len"] == len(frame)


def test_sampling_takes_one_in_n_and_counts_the_rest(kernel: Kernel) -> None:
    before = kernel.classifier.counters()
    kernel.apply([], packets=False, sampling=10)
    kernel.run(f.udp4(A, B), repeat=10_000)
    after = kernel.classifier.counters()
    taken = int(flow_values(kernel)["packets"].sum())
    assert taken + after["sampled_out"] - before["sampled_out"] == 10_000
    assert 700 < taken < 1300


def test_the_hits_of_every_rule_add_up_to_what_was_seen(kernel: Kernel) -> None:
    kernel.apply([parse_rule(["port", "80"]), parse_rule(["reject", "protocol", "udp"])])
    for _ in range(3):
        kernel.run(f.tcp4(A, B))
    kernel.run(f.udp4(A, B))
    kernel.run(f.icmp4(A, B))
    assert kernel.read_hits() == {
        ("flows", 0): 3, ("flows", 1): 1, ("flows", 64): 1,
        ("packets", 0): 3, ("packets", 1): 1, ("packets", 64): 1,
    }  # fmt: skip
    records(kernel)


def test_nothing_is_seen_before_the_first_generation(small: Kernel) -> None:
    small.run(f.tcp4(A, B))
    assert small.classifier.counters()["seen"] == 0
