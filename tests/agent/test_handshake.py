"""Handshake times, from segments as the programs see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent import wire
from nshell.filters import Direction
from tests.classifier import frames as f

if TYPE_CHECKING:
    import numpy as np

    from tests.kernel import Kernel

pytestmark = pytest.mark.kernel

CLIENT, SERVER = "10.0.0.1", "10.0.1.1"
SYN_ACK = f.SYN | f.ACK


def out(flags: int) -> bytes:
    return f.tcp4(CLIENT, SERVER, flags=flags)


def back(flags: int) -> bytes:
    return f.tcp4(SERVER, CLIENT, sport=80, dport=40000, flags=flags)


def handshakes(kernel: Kernel) -> list[np.void]:
    return [e for e in kernel.extras().values() if e["seen"] & wire.EXTRA_HANDSHAKE]


def test_a_handshake_is_timed_on_the_clients_direction(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["rtt"])
    for frame in (out(f.SYN), back(SYN_ACK), out(f.ACK), out(f.ACK | f.PSH), back(f.ACK)):
        kernel.run(frame)
    ((key, extra),) = kernel.extras().items()
    assert key[12:16] == bytes([10, 0, 0, 1])
    assert 0 < extra["syn_ack_ns"] < extra["handshake_ns"]


def test_of_repeated_segments_the_last_counts(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["rtt"])
    kernel.run(out(f.SYN))
    for _ in range(2000):  # a while, in which nobody answers
        kernel.run(back(f.ACK))
    for frame in (out(f.SYN), back(SYN_ACK), out(f.ACK)):
        kernel.run(frame)
    (once,) = handshakes(kernel)
    for frame in (out(f.SYN), *[back(f.ACK)] * 2000, back(SYN_ACK), out(f.ACK)):
        kernel.run(frame)
    (slow,) = handshakes(kernel)
    assert once["handshake_ns"] < slow["handshake_ns"]


@pytest.mark.parametrize(
    "flags",
    [
        [("out", f.SYN), ("back", f.RST | f.ACK), ("out", f.ACK)],
        [("back", SYN_ACK), ("out", f.ACK)],
        [("out", f.SYN), ("out", f.ACK)],
        [("out", f.SYN), ("back", SYN_ACK), ("out", f.RST | f.ACK)],
    ],
)
def test_what_is_no_whole_handshake_has_no_time(
    kernel: Kernel, flags: list[tuple[str, int]]
) -> None:
    kernel.apply([], packets=False, features=["rtt"])
    for side, value in flags:
        kernel.run(out(value) if side == "out" else back(value))
    assert handshakes(kernel) == []


def test_each_packet_is_timed_where_its_flow_is_counted(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["rtt"])
    for frame in (out(f.SYN), back(SYN_ACK), out(f.ACK)):
        for direction in (Direction.INGRESS, Direction.EGRESS):
            kernel.run(frame, direction)
    assert len(handshakes(kernel)) == 1


def test_nothing_is_timed_while_it_is_off(kernel: Kernel) -> None:
    kernel.apply([], packets=False)
    for frame in (out(f.SYN), back(SYN_ACK), out(f.ACK)):
        kernel.run(frame)
    assert kernel.extras() == {}
