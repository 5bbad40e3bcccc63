"""What features saw of flows is joined to their rows, by eviction window and key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent import wire
from agent.proto import agentlink_pb2 as pb
from nshell.collector.decode.flows import FlowDecoder, check_flow_batch
from nshell.collector.decode.rows import Cell, DecodeError, GenerationKey, NodeContext
from nshell.collector.decode.texts import Texts
from nshell.collector.dns.exchanges import Answered
from nshell.collector.interfaces import Interface
from tests.collector.test_decoding_events import cells_of
from tests.collector.wiretap import Extra, Flow, address, extra_batch, flow_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

GENERATIONS = {1: GenerationKey((7,), 1), 2: GenerationKey((8,), 1)}
FEATURE_COLUMNS = (
    "TimeFlowRttNs", "TimeHandshakeRttNs", "TimeSynAckNs", "DnsId", "DnsLatencyMs",
    "DnsFlagsResponseCode", "DnsErrno", "DnsName", "PktDropBytes", "PktDropPackets",
    "PktDropLatestDropCause", "PktDropLatestState", "PktDropLatestFlags", "TcpRetransmits",
)  # fmt: skip
DROP = Extra(
    seen=wire.EXTRA_DROP,
    drop_bytes=120,
    drop_packets=2,
    drop_reason=12,
    drop_flags=2,
    drop_state=2,
    rule=0,
)


class Node:
    """One node's flows as the store's thread deals with them."""

    def __init__(self) -> None:
        self.context = NodeContext("node-a", "192.0.2.1")
        self.context.interfaces.replace([Interface(2, "eth0", addresses=(address("10.0.0.1"),))])
        self.context.names.add(pb.Names(drop_reasons={12: "NETFILTER_DROP"}))
        self.said: dict[tuple[str, bytes, int], Answered] = {}
        self.decoder = FlowDecoder(Texts(), GENERATIONS, lambda *key: self.said.get(key))

    def rows(self, *batches: pb.FlowBatch) -> Sequence[dict[str, Cell]]:
        """Of batches, in order; a column that none has reads as NULL."""
        made: list[dict[str, Cell]] = []
        for batch in batches:
            check_flow_batch(batch)
            for rows in self.decoder.rows(batch, self.context, received_s=1_700_000_003):
                made += [dict.fromkeys(FEATURE_COLUMNS) | row for row in cells_of(rows)]
        return made


def features_of(row: dict[str, Cell]) -> dict[str, Cell]:
    """The columns that are not NULL."""
    return {name: row[name] for name in FEATURE_COLUMNS if row[name] is not None}


def test_without_features_a_batch_has_no_columns_of_theirs() -> None:
    decoder = Node().decoder
    (rows,) = decoder.rows(flow_batch([Flow()]), Node().context, received_s=0)
    assert not set(FEATURE_COLUMNS) & {*rows.columns, *rows.constants}


def test_a_feature_in_force_that_saw_nothing_says_zero_and_one_that_is_off_null() -> None:
    flows = [Flow(), Flow(proto=17), Flow(etype=0x0806, proto=0)]
    tcp, udp, arp = Node().rows(extra_batch([], flows, features=["drops", "tcp", "dns", "rtt"]))
    assert features_of(tcp) == {"PktDropBytes": 0, "PktDropPackets": 0, "TcpRetransmits": 0}
    assert features_of(udp) == {"PktDropBytes": 0, "PktDropPackets": 0}
    assert features_of(arp) == {}
    (row,) = Node().rows(extra_batch([], [Flow()], features=["dns", "rtt"]))
    assert features_of(row) == {}


def test_each_feature_fills_its_columns() -> None:
    rtt, handshake, drop, retransmit, dns = (
        Extra(sport=1, seen=wire.EXTRA_RTT, srtt_us=1500),
        Extra(sport=2, seen=wire.EXTRA_HANDSHAKE, handshake_ns=1234, syn_ack_ns=1000),
        Extra(sport=3, seen=wire.EXTRA_DROP, drop_bytes=60, drop_packets=1, drop_reason=12,
              drop_flags=0x112, drop_state=1),
        Extra(sport=4, seen=wire.EXTRA_RETRANSMIT, retransmits=3),
        Extra(sport=5, seen=wire.EXTRA_DNS, dns_latency_ns=12_345_678, dns_id=0,
              dns_flags=0x8183),
    )  # fmt: skip
    extras = [rtt, handshake, drop, retransmit, dns]
    rows = Node().rows(extra_batch(extras, [Flow(sport=n) for n in range(1, 6)], features=[]))
    assert [features_of(row) for row in rows] == [
        {"TimeFlowRttNs": 1_500_000},
        {"TimeHandshakeRttNs": 1234, "TimeSynAckNs": 1000},
        {
            "PktDropBytes": 60,
            "PktDropPackets": 1,
            "PktDropLatestDropCause": "NETFILTER_DROP",
            "PktDropLatestState": "TCP_ESTABLISHED",
            "PktDropLatestFlags": 0x112,
        },
        {"TcpRetransmits": 3},
        {"DnsId": 0, "DnsLatencyMs": 12.346, "DnsFlagsResponseCode": "NXDomain", "DnsErrno": 0},
    ]


def test_a_response_whose_query_was_not_seen_has_no_latency() -> None:
    extra = Extra(seen=wire.EXTRA_DNS, dns_id=7, dns_flags=0x8180, dns_errno=2)
    (row,) = Node().rows(extra_batch([extra], [Flow()], features=["dns"]))
    assert features_of(row) == {"DnsId": 7, "DnsFlagsResponseCode": "NoError", "DnsErrno": 2}


def test_the_name_of_a_response_comes_from_its_message() -> None:
    node = Node()
    key = address("10.0.0.2") + address("10.0.0.1") + bytes.fromhex("3500 409c 11000000")
    node.said["node-a", key, 7] = Answered("example.com", "BADVERS")
    flow = {"src": "10.0.0.2", "dst": "10.0.0.1", "sport": 53, "dport": 40000, "proto": 17}
    extra = Extra(**flow, seen=wire.EXTRA_DNS, dns_id=7, dns_flags=0x8180)  # type: ignore[arg-type]
    (row,) = node.rows(extra_batch([extra], [Flow(**flow)]))  # type: ignore[arg-type]
    assert (row["DnsName"], row["DnsFlagsResponseCode"]) == ("example.com", "BADVERS")


def test_a_drop_without_flags_and_socket_has_neither() -> None:
    extra = Extra(proto=17, seen=wire.EXTRA_DROP, drop_bytes=60, drop_packets=1, drop_reason=7)
    (row,) = Node().rows(extra_batch([extra], [Flow(proto=17)], features=[]))
    assert features_of(row) == {
        "PktDropBytes": 60, "PktDropPackets": 1, "PktDropLatestDropCause": "7",
    }  # fmt: skip


def test_extras_of_a_window_wait_for_flows_of_later_messages() -> None:
    rows = Node().rows(
        extra_batch([Extra(sport=1, seen=wire.EXTRA_RTT, srtt_us=1)], features=[]),
        extra_batch([Extra(sport=3, seen=wire.EXTRA_RTT, srtt_us=3)], [Flow(sport=2)], features=[]),
        extra_batch([], [Flow(sport=3)], features=[]),
        extra_batch([], [Flow(sport=1), Flow(sport=4)], last=True, features=[]),
        extra_batch([], [Flow(sport=1)], last=True, features=[]),
    )
    assert [(row["SrcPort"], row["TimeFlowRttNs"]) for row in rows] == [
        (2, None), (3, 3000), (1, 1000), (4, None), (1, None),
    ]  # fmt: skip


def test_what_no_flow_of_its_window_has_becomes_a_row_of_its_own() -> None:
    node = Node()
    assert node.rows(extra_batch([DROP], features=["drops"])) == []
    flow, row = node.rows(extra_batch([], [Flow(sport=1)], last=True, features=["drops"]))
    assert flow["Packets"] == 3
    assert {name: row[name] for name in row if row[name] is not None} == {
        "SrcAddr": "10.0.0.1",
        "DstAddr": "10.0.0.2",
        "SrcPort": 40000,
        "DstPort": 443,
        "Proto": 6,
        "Etype": 0x0800,
        "Bytes": 0,
        "Packets": 0,
        "FlowDirection": 1,
        "AgentIP": "192.0.2.1",
        "Sampling": 1,
        "TimeFlowStartMs": 1_700_000_001_000,
        "TimeFlowEndMs": 1_700_000_002_000,
        "TimeReceived": 1_700_000_003,
        "PktDropBytes": 120,
        "PktDropPackets": 2,
        "PktDropLatestDropCause": "NETFILTER_DROP",
        "PktDropLatestState": "TCP_SYN_SENT",
        "PktDropLatestFlags": 2,
        "Node": "node-a",
        "Generation": 1,
        "FilterId": 7,
    }


def test_a_window_of_extras_alone_ends_with_its_only_message() -> None:
    (row,) = Node().rows(extra_batch([DROP], last=True))
    assert (row["Packets"], row["PktDropPackets"], row["TcpRetransmits"]) == (0, 2, 0)


def test_a_window_without_end_ends_when_the_next_filter_set_begins() -> None:
    node = Node()
    assert node.rows(extra_batch([DROP], generation=1)) == []
    rows = node.rows(extra_batch([DROP], [Flow()], generation=2, last=True))
    assert [(row["Generation"], row["FilterId"], row["Packets"]) for row in rows] == [
        (1, 7, 0), (2, None, 3),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["extra_keys", "extra_values"])
def test_extras_whose_bytes_are_not_their_count_are_refused(name: str) -> None:
    batch = extra_batch([DROP, DROP])
    setattr(batch, name, getattr(batch, name)[:-1])
    with pytest.raises(DecodeError, match=f"bytes of {name.replace('_', ' ')}, not"):
        check_flow_batch(batch)
