"""DNS messages in frames, as the programs find and match them in this kernel."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import wire
from nshell.filters import Direction, parse_rule
from tests.classifier import frames as f

if TYPE_CHECKING:
    import numpy as np

    from tests.kernel import Kernel

pytestmark = pytest.mark.kernel

CLIENT, SERVER = "10.0.0.1", "10.0.1.53"
CLIENT6, SERVER6 = "fd00::1", "fd00::53"
SYN_ACK = f.SYN | f.ACK


def message(ident: int, *, response: bool = False, rcode: int = 0, size: int = 0) -> bytes:
    """A question for a.test, padded to a size."""
    flags = 0x0100 | response << 15 | rcode
    head = struct.pack(">6H", ident, flags, 1, 0, 0, 0)
    return (head + b"\1a\4test\0\0\1\0\1").ljust(size, b"\0")


def query(ident: int, *, sport: int = 40000, dport: int = 53) -> bytes:
    return f.udp4(CLIENT, SERVER, sport=sport, dport=dport, payload=message(ident))


def response(ident: int) -> bytes:
    answer = message(ident, response=True)
    return f.udp4(SERVER, CLIENT, sport=53, dport=40000, payload=answer)


def to_server(payload: bytes, *, seq: int = 1, flags: int = f.ACK) -> bytes:
    return f.tcp4(CLIENT, SERVER, dport=53, payload=payload, seq=seq, flags=flags)


def to_client(payload: bytes, *, seq: int = 1, flags: int = f.ACK) -> bytes:
    return f.tcp4(SERVER, CLIENT, sport=53, dport=40000, payload=payload, seq=seq, flags=flags)


def prefixed(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">H", len(each)) + each for each in messages)


def events(kernel: Kernel) -> list[np.void]:
    return [event for event, _ in kernel.read_events() if event["kind"] == wire.EVENT_DNS]


def ids(kernel: Kernel) -> list[int]:
    return [int(event["id"]) for event in events(kernel)]


@pytest.mark.parametrize("ident", [0, 1, 0xFFFF])
def test_a_response_is_matched_to_its_query(kernel: Kernel, ident: int) -> None:
    kernel.apply([], packets=False, features=["dns"])
    kernel.run(query(ident))
    kernel.run(response(ident), Direction.EGRESS)
    asked, answered = events(kernel)
    assert (asked["id"], asked["latency_ns"], asked["query_ns"]) == (ident, 0, asked["time_ns"])
    assert answered["query_ns"] == asked["time_ns"]
    assert answered["latency_ns"] == answered["time_ns"] - asked["time_ns"] > 0
    assert answered["errno"] == 0
    (extra,) = kernel.extras().values()
    assert extra["dns_latency_ns"] == answered["latency_ns"]
    assert extra["seen"] == wire.EXTRA_DNS
    assert extra["dns_id"] == ident


def test_both_families_are_matched_each_for_itself(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["dns"])
    kernel.run(f.udp6(CLIENT6, SERVER6, payload=message(7)))
    kernel.run(response(7))
    answer = message(7, response=True)
    kernel.run(f.udp6(SERVER6, CLIENT6, sport=53, dport=40000, payload=answer))
    _, other, answered = events(kernel)
    assert other["errno"] == 2
    assert answered["latency_ns"] > 0


def test_a_response_without_its_query_says_so(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["dns"])
    kernel.run(response(9))
    (answered,) = events(kernel)
    assert (answered["latency_ns"], answered["query_ns"], answered["errno"]) == (0, 0, 2)
    (extra,) = kernel.extras().values()
    assert (extra["dns_errno"], extra["dns_latency_ns"]) == (2, 0)


def test_repeated_queries_are_retries_and_time_runs_from_the_first(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["dns"])
    for _ in range(3):
        kernel.run(query(5))
    kernel.run(response(5))
    kernel.run(response(5))
    *asked, answered, again = events(kernel)
    assert [int(each["retries"]) for each in asked] == [0, 1, 2]
    assert answered["retries"] == 2
    assert answered["query_ns"] == asked[0]["time_ns"]
    assert again["errno"] == 2, "the first answer settled it"


def test_the_slowest_response_stands_in_the_flow(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["dns"])
    for ident in (1, 2, 3):
        kernel.run(query(ident))
    for ident in (3, 1, 2):
        kernel.run(response(ident))
    slowest = max(events(kernel), key=lambda each: int(each["latency_ns"]))
    (extra,) = kernel.extras().values()
    assert (extra["dns_id"], extra["dns_latency_ns"]) == (slowest["id"], slowest["latency_ns"])


@pytest.mark.parametrize("size", [513, 1400, 3000])
def test_large_payloads_are_kept_whole(kernel: Kernel, size: int) -> None:
    kernel.apply([], packets=False, features=["dns"])
    payload = message(1, response=True, size=size)
    kernel.run(f.udp4(SERVER, CLIENT, sport=53, dport=40000, payload=payload))
    ((event, kept),) = kernel.read_events()
    assert event["message_len"] == size
    assert event["cap_len"] == size
    assert kept[:size] == payload


def test_padding_of_a_short_frame_is_no_part_of_the_message(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["dns"])
    kernel.run(query(1).ljust(200, b"x"))
    ((event, kept),) = kernel.read_events()
    assert event["message_len"] == len(message(1))
    assert kept[: int(event["cap_len"])] == message(1)


def test_a_message_cut_short_by_its_packet_says_so(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["dns"])
    whole = response(1)
    kernel.run(whole[:-5])
    (event,) = events(kernel)
    assert event["errno"] == 22
    assert event["cap_len"] == len(message(1)) - 5


def test_other_ports_are_read_when_told_and_only_then(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["dns"], dns_ports=(5353, 9953))
    kernel.run(query(1))
    assert events(kernel) == []
    kernel.run(query(2, dport=9953))
    kernel.run(query(3, dport=5353))
    kernel.run(query(4, sport=0, dport=7))
    assert ids(kernel) == [2, 3]


def test_a_query_that_comes_from_the_server_is_no_query(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["dns"])
    before = kernel.classifier.counters()["dns_unread"]
    kernel.run(f.udp4(SERVER, CLIENT, sport=53, dport=40000, payload=message(1)))
    assert events(kernel) == []
    assert kernel.classifier.counters()["dns_unread"] == before + 1


def test_nothing_is_read_while_it_is_off_or_of_what_filters_reject(kernel: Kernel) -> None:
    kernel.apply([], packets=False)
    kernel.run(query(1))
    kernel.apply([parse_rule(["peer_ip", "10.9.9.9"])], packets=False, features=["dns"])
    kernel.run(query(2))
    kernel.apply([parse_rule(["peer_ip", CLIENT])], packets=False, features=["dns"])
    kernel.run(query(3))
    assert ids(kernel) == [3]


def test_a_packet_seen_on_two_interfaces_is_one_message(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["dns"])
    for direction in (Direction.INGRESS, Direction.EGRESS):
        kernel.run(query(1), direction)
    for direction in (Direction.INGRESS, Direction.EGRESS):
        kernel.run(response(1), direction)
    asked, answered = events(kernel)
    assert asked["retries"] == 0
    assert answered["errno"] == 0


@pytest.mark.parametrize(("flows", "packets"), [(False, True), (False, False)])
def test_messages_are_read_without_flow_capture(kernel: Kernel, flows: bool, packets: bool) -> None:
    kernel.apply([], flows=flows, packets=packets, features=["dns"])
    for direction in (Direction.INGRESS, Direction.EGRESS):
        kernel.run(query(1), direction)
    kernel.run(response(1))
    _, answered = events(kernel)
    assert answered["latency_ns"] > 0
    kernel.empty_ring()


def test_tcp_messages_are_found_wherever_segments_are_cut(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["dns"])
    stream = prefixed(message(1), message(2, size=300), message(3))
    kernel.run(to_server(b"", seq=100, flags=f.SYN))
    cut = [0, 2, 90, 350, len(stream)]  # the first length alone; inside the second message
    for start, end in pairwise(cut):
        kernel.run(to_server(stream[start:end], seq=101 + start))
    assert ids(kernel) == [1, 2, 3]


def test_a_header_cut_in_two_is_counted_and_the_next_message_read(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["dns"])
    before = kernel.classifier.counters()["dns_unread"]
    stream = prefixed(message(1), message(2))
    kernel.run(to_server(b"", seq=0, flags=f.SYN))
    for start, end in ((0, 8), (8, len(stream))):
        kernel.run(to_server(stream[start:end], seq=1 + start))
    assert ids(kernel) == [2]
    assert kernel.classifier.counters()["dns_unread"] == before + 1


def test_pipelined_and_repeated_segments_count_once(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["dns"])
    kernel.run(to_server(b"", seq=0xFFFFFFF0, flags=f.SYN))
    stream = prefixed(message(1), message(2))
    kernel.run(to_server(stream, seq=0xFFFFFFF1))
    kernel.run(to_server(stream, seq=0xFFFFFFF1))
    kernel.run(to_client(b"", seq=5, flags=SYN_ACK))
    answers = prefixed(message(2, response=True), message(1, response=True))
    kernel.run(to_client(answers, seq=6))
    found = events(kernel)
    assert [int(each["id"]) for each in found] == [1, 2, 2, 1]
    assert all(each["latency_ns"] for each in found[2:])


def test_a_response_over_several_segments_is_one_message(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["dns"])
    stream = prefixed(message(7, response=True, size=3000), message(8, response=True))
    kernel.run(to_client(b"", seq=0, flags=SYN_ACK))
    for start in range(0, len(stream), 1000):
        kernel.run(to_client(stream[start : start + 1000], seq=1 + start))
    found = events(kernel)
    assert [(int(each["id"]), int(each["message_len"])) for each in found] == [
        (7, 3000), (8, len(message(8))),
    ]  # fmt: skip


def test_a_connection_joined_midway_is_read_from_the_next_message(kernel: Kernel) -> None:
    kernel.apply([], packets=False, features=["dns"])
    kernel.run(to_server(b"\0" * 40, seq=1000))
    kernel.run(to_server(prefixed(message(4)), seq=1040))
    assert ids(kernel) == [4]


@given(st.binary(max_size=120), st.booleans(), st.booleans())
def test_no_payload_breaks_anything(kernel: Kernel, payload: bytes, tcp: bool, back: bool) -> None:
    if kernel.classifier.features != {"dns"}:
        kernel.apply([], packets=False, features=["dns"])
    counted = kernel.classifier.counters()
    if tcp:
        kernel.run(to_client(payload) if back else to_server(payload))
    else:
        ends = (SERVER, CLIENT) if back else (CLIENT, SERVER)
        ports = (53, 40000) if back else (40000, 53)
        kernel.run(f.udp4(*ends, sport=ports[0], dport=ports[1], payload=payload))
    now = kernel.classifier.counters()
    told = len(kernel.read_events())
    assert told == now["dns_messages"] - counted["dns_messages"]
    if not tcp:
        assert told + now["dns_unread"] - counted["dns_unread"] == 1
