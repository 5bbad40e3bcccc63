"""Flow batches become rows as NetObserv would show them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agent import wire
from nshell.collector.decode.flows import FlowDecoder, check_flow_batch
from nshell.collector.decode.rows import Cell, DecodeError, GenerationKey, NodeContext
from nshell.collector.decode.texts import TextCache, Texts, address_text
from nshell.collector.interfaces import RAW_IP, Interface
from tests.collector.wiretap import Flow, address, flow_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

EGRESS = 1 << 31
GENERATION = GenerationKey(rule_ids=(7, 9), sampling=5)


def node(*listed: Interface) -> NodeContext:
    """With eth0 as number 2 unless told otherwise."""
    context = NodeContext("node-a", "192.0.2.1")
    context.interfaces.replace(listed or (Interface(2, "eth0"),))
    return context


def decode(
    *flows: Flow,
    context: NodeContext | None = None,
    generation: GenerationKey | None = GENERATION,
) -> Sequence[dict[str, Cell]]:
    """Rows by column."""
    batch = flow_batch(flows, generation=3)
    check_flow_batch(batch)
    generations = {3: generation} if generation else {}
    decoder = FlowDecoder(Texts(), generations, lambda *_: None)
    (rows,) = decoder.rows(batch, context or node(), received_s=1_700_000_003)
    names = list(rows.columns)
    return [
        dict(zip(names, cells, strict=True)) | dict(rows.constants)
        for cells in zip(*rows.columns.values(), strict=True)
    ]


def test_a_tcp_flow_has_every_value_in_its_column() -> None:
    (row,) = decode(Flow(rule=1, dscp=10, direction=1))
    assert row == {
        "SrcAddr": "10.0.0.1",
        "DstAddr": "10.0.0.2",
        "SrcPort": 40000,
        "DstPort": 443,
        "Proto": 6,
        "Etype": 0x0800,
        "SrcMac": "02:00:00:00:00:0A",
        "DstMac": "02:00:00:00:00:0B",
        "Bytes": 1500,
        "Packets": 3,
        "Flags": 0x12,
        "Dscp": 10,
        "IcmpType": None,
        "IcmpCode": None,
        "Interface": "eth0",
        "Interfaces": '["eth0"]',
        "IfDirections": "[1]",
        "IfDirection": 1,
        "FlowDirection": None,
        "AgentIP": "192.0.2.1",
        "Sampling": 5,
        "TimeFlowStartMs": 1_700_000_001_000,
        "TimeFlowEndMs": 1_700_000_002_000,
        "TimeReceived": 1_700_000_003,
        "Node": "node-a",
        "Generation": 3,
        "FilterId": 9,
    }


@pytest.mark.parametrize(
    ("flow", "known"),
    [
        (Flow(proto=6), {"SrcPort", "DstPort", "Flags"}),
        (Flow(proto=17), {"SrcPort", "DstPort"}),
        (Flow(proto=132), {"SrcPort", "DstPort"}),
        (Flow(proto=136), {"SrcPort", "DstPort"}),
        (Flow(proto=33), {"SrcPort", "DstPort"}),
        (Flow(proto=1), {"IcmpType", "IcmpCode"}),
        (Flow(proto=58, etype=0x86DD), {"IcmpType", "IcmpCode"}),
        (Flow(proto=50), set()),
        (Flow(proto=6, headless=1), set()),
        (Flow(proto=1, headless=1), set()),
    ],
)
def test_what_a_protocol_does_not_have_is_null_and_not_zero(flow: Flow, known: set[str]) -> None:
    # A second row of another kind keeps a whole column from being NULL.
    row = decode(flow, Flow(proto=6), Flow(proto=1))[0]
    columns = ("SrcPort", "DstPort", "Flags", "IcmpType", "IcmpCode")
    assert {name for name in columns if row[name] is not None} == known


def test_icmp_type_zero_and_code_zero_are_values() -> None:
    (row,) = decode(Flow(proto=1, icmp_type=0, icmp_code=0))
    assert (row["IcmpType"], row["IcmpCode"]) == (0, 0)


def test_a_frame_that_is_not_ip_has_no_addresses() -> None:
    arp, _ = decode(Flow(etype=0x0806, proto=0), Flow())
    assert [arp[name] for name in ("SrcAddr", "DstAddr", "Proto", "Dscp")] == [None] * 4
    assert arp["Etype"] == 0x0806
    assert arp["SrcMac"] == "02:00:00:00:00:0A"


@pytest.mark.parametrize(
    ("packed", "text"),
    [
        (address("10.1.2.3"), "10.1.2.3"),
        (address("0.0.0.0"), "0.0.0.0"),
        (address("2001:db8::1"), "2001:db8::1"),
        (address("::"), "::"),
        # Looks like IPv4 at its end, but is not.
        (address("::0a01:0203"), "::a01:203"),
        (address("fe80::ffff:a01:203"), "fe80::ffff:a01:203"),
    ],
)
def test_addresses_are_written_as_people_write_them(packed: bytes, text: str) -> None:
    assert address_text(packed) == text


def test_a_text_cache_that_is_full_goes_on_giving_right_texts() -> None:
    made: list[bytes] = []

    def render(key: bytes) -> str:
        made.append(key)
        return key.hex()

    cache = TextCache(render, limit=2)
    keys = [b"\x01", b"\x02", b"\x01", b"\x03", b"\x01"]
    assert cache.texts(keys) == ["01", "02", "01", "03", "01"]
    assert made == [b"\x01", b"\x02", b"\x03", b"\x01"]
    assert len(cache) <= 2


@pytest.mark.parametrize("rule", [2, 63, wire.NO_RULE, 255])
def test_a_rule_that_is_none_of_the_generation_leaves_the_filter_null(rule: int) -> None:
    row, _ = decode(Flow(rule=rule), Flow(rule=0))
    assert row["FilterId"] is None


def test_rows_of_an_unknown_generation_keep_its_number_and_no_filter() -> None:
    (row,) = decode(Flow(rule=0), generation=None)
    assert (row["Generation"], row["FilterId"], row["Sampling"]) == (3, None, None)


def test_every_interface_that_saw_the_flow_is_listed_once_the_counted_one_first() -> None:
    context = node(Interface(2, "eth0"), Interface(3, 'v"1'), Interface(5, "br0"))
    (row,) = decode(Flow(ifindex=3, others=(5 | EGRESS, 2, 3 | EGRESS, 9)), context=context)
    assert row["Interface"] == 'v"1'
    assert json.loads(str(row["Interfaces"])) == ['v"1', "br0", "eth0", "if9"]
    assert json.loads(str(row["IfDirections"])) == [3, 1, 0, 0], "in and out at the first"


def test_a_renamed_interface_has_its_new_name_from_then_on() -> None:
    context = node()
    (before,) = decode(Flow(), context=context)
    context.interfaces.replace([Interface(2, "lan0")])
    (after,) = decode(Flow(), context=context)
    assert [row["Interface"] for row in (before, after)] == ["eth0", "lan0"]
    assert [row["Interfaces"] for row in (before, after)] == ['["eth0"]', '["lan0"]']


def test_an_interface_that_is_gone_keeps_its_name() -> None:
    context = node()
    context.interfaces.replace([Interface(3, "eth1")])
    (row,) = decode(Flow(), context=context)
    assert row["Interface"] == "eth0"


def test_frames_without_a_link_header_have_no_mac_addresses() -> None:
    context = node(Interface(2, "eth0"), Interface(7, "tun0", link_type=RAW_IP))
    tun, eth = decode(Flow(ifindex=7), Flow(ifindex=2), context=context)
    assert (tun["SrcMac"], tun["DstMac"]) == (None, None)
    assert eth["SrcMac"] == "02:00:00:00:00:0A"


def test_the_direction_of_a_flow_is_told_by_the_addresses_of_the_node() -> None:
    own = (address("10.0.0.1"), address("2001:db8::1"))
    context = node(Interface(2, "eth0", addresses=own))
    rows = decode(
        Flow(src="10.0.0.9", dst="10.0.0.1"),
        Flow(src="10.0.0.1", dst="10.0.0.9"),
        Flow(src="10.0.0.1", dst="2001:db8::1"),
        Flow(src="10.0.0.8", dst="10.0.0.9"),
        context=context,
    )
    assert [row["FlowDirection"] for row in rows] == [0, 1, 2, None]


def test_a_batch_whose_bytes_are_not_its_count_is_refused() -> None:
    batch = flow_batch([Flow(), Flow()])
    batch.count = 3
    with pytest.raises(DecodeError, match="flow batch of 3 has 80 bytes of keys, not 120"):
        check_flow_batch(batch)
