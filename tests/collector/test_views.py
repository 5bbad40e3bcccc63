"""Views answer what they promise, on rows made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest

from nshell.collector import schema
from nshell.collector.views import CONVERSATION, VIEWS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nshell.collector.decode.rows import Cell
    from nshell.collector.relations import View

Row = dict[str, "Cell"]

BLOG_QUERY = (
    "SELECT DnsLatencyMs, DnsFlagsResponseCode, DnsId, DstAddr, DstPort, Interface, Proto, "
    "SrcAddr, SrcPort, Bytes, Packets FROM flow WHERE DnsLatencyMs >10 LIMIT 10;"
)


class Capture:
    """A database with rows of the test."""

    def __init__(self, path: Path) -> None:
        schema.create(path)
        self.connection = apsw.Connection(str(path))

    def add(self, table: str, *rows: Row, **same: Cell) -> None:
        """Rows by column; what is the same in all of them stands once."""
        for row in rows:
            cells = same | row
            names = ", ".join(cells)
            marks = ", ".join("?" * len(cells))
            self.connection.execute(
                f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(cells.values())
            )

    def rows(self, view: str, *columns: str, where: str = "1") -> list[tuple[Cell, ...]]:
        """Of a view, in its own order."""
        wanted = ", ".join(columns)
        return list(self.connection.execute(f"SELECT {wanted} FROM {view} WHERE {where}"))


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    made = Capture(tmp_path / "session.db")
    yield made
    made.connection.close()


def flow(src: str, dst: str, sport: int | None, dport: int | None, **others: Cell) -> Row:
    """A row that one node saw."""
    usual: Row = {
        "Proto": 6, "Bytes": 100, "Packets": 1, "Node": "a", "TimeFlowStartMs": 1000,
        "TimeFlowEndMs": 2000,
    }  # fmt: skip
    ends: Row = {"SrcAddr": src, "DstAddr": dst, "SrcPort": sport, "DstPort": dport}
    return usual | ends | others


CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
ENDS = ("ClientAddr", "ClientPort", "ServerAddr", "ServerPort")


@pytest.mark.parametrize("view", VIEWS, ids=lambda each: each.name)
def test_a_view_has_the_columns_that_it_declares(capture: Capture, view: View) -> None:
    described = capture.connection.execute(f"PRAGMA table_info({view.name})")
    assert tuple(str(row[1]) for row in described) == view.names
    assert capture.rows(view.name, *view.names) == []


def test_both_directions_of_a_conversation_are_one_row(capture: Capture) -> None:
    capture.add(
        "flow",
        flow(CLIENT, SERVER, 40000, 443, Bytes=1000, Packets=10, TcpRetransmits=2,
             TimeHandshakeRttNs=1_500_000, PktDropPackets=0),
        flow(CLIENT, SERVER, 40000, 443, Bytes=500, Packets=5, TcpRetransmits=1,
             PktDropPackets=2, PktDropLatestDropCause="NETFILTER_DROP", TimeFlowEndMs=5000),
        flow(SERVER, CLIENT, 443, 40000, Bytes=70000, Packets=60, TimeFlowRttNs=12_345_678,
             TimeFlowStartMs=900),
        flow(SERVER, CLIENT, 443, 40001),
    )  # fmt: skip
    capture.add(
        "dns_name",
        {"Address": SERVER, "Name": "www.example"},
        {"Address": SERVER, "Name": "web.example"},
        {"Address": CLIENT, "Name": "me.example"},
    )
    ((*row,),) = capture.rows("conversation", "*", where="ClientPort = 40000")
    assert dict(zip(CONVERSATION.names, row, strict=True)) == {
        "ClientAddr": CLIENT,
        "ClientPort": 40000,
        "ServerAddr": SERVER,
        "ServerPort": 443,
        "Proto": 6,
        "BytesOut": 1500,
        "BytesIn": 70000,
        "PacketsOut": 15,
        "PacketsIn": 60,
        "RttMs": 12.346,
        "HandshakeRttMs": 1.5,
        "Retransmits": 3,
        "Drops": 2,
        "DropCause": "NETFILTER_DROP",
        "ClientNames": "me.example",
        "ServerNames": "www.example, web.example",
        "TimeStartMs": 900,
        "TimeEndMs": 5000,
        "Nodes": 1,
        "ClientName": None,
        "ServerName": None,
    }


def test_views_name_who_had_the_addresses_as_the_rows_do(capture: Capture) -> None:
    client = {"SrcK8S_Namespace": "team", "SrcK8S_Name": "web-1"}
    server = {"SrcK8S_Name": "node1"}
    capture.add(
        "flow",
        flow(CLIENT, SERVER, 40000, 443, **client),
        flow(SERVER, CLIENT, 443, 40000, **server),
    )
    capture.add("dns", {"ServerAddr": SERVER, "ServerK8S_Name": "dns", "ServerK8S_Namespace": "x"})
    assert capture.rows("conversation", "ClientName", "ServerName") == [("team/web-1", "node1")]
    assert sorted(capture.rows("top_talkers", "Address", "Name")) == [
        (CLIENT, "team/web-1"),
        (SERVER, "node1"),
    ]
    assert capture.rows("dns_slow", "ServerName") == [("x/dns",)]


def test_what_no_feature_observed_is_null_in_a_conversation(capture: Capture) -> None:
    capture.add("flow", flow(CLIENT, SERVER, 40000, 443))
    names = ("RttMs", "HandshakeRttMs", "Retransmits", "Drops", "DropCause", "ClientNames")
    assert capture.rows("conversation", *names) == [(None,) * len(names)]


@pytest.mark.parametrize(
    ("flags", "back", "client"),
    [
        (None, None, (SERVER, 9000)),
        (0x10, 0x10, (SERVER, 9000)),
        (0x12 | 2, 0x112, (CLIENT, 80)),
        (0x02, None, (CLIENT, 80)),
        (0x112, 0x1A, (SERVER, 9000)),
        (None, 0x02, (SERVER, 9000)),
    ],
)
def test_the_client_is_who_opened_the_connection_else_the_higher_port(
    capture: Capture, flags: int | None, back: int | None, client: tuple[str, int]
) -> None:
    capture.add(
        "flow",
        flow(CLIENT, SERVER, 80, 9000, Flags=flags),
        flow(SERVER, CLIENT, 9000, 80, Flags=back),
    )
    assert [row[:2] for row in capture.rows("conversation", *ENDS)] == [client]


def test_a_syn_that_was_dropped_on_the_node_tells_the_client_too(capture: Capture) -> None:
    capture.add("flow", flow(CLIENT, SERVER, 80, 9000, Bytes=0, PktDropLatestFlags=2))
    assert capture.rows("conversation", *ENDS) == [(CLIENT, 80, SERVER, 9000)]


def test_protocols_without_ports_are_paired_by_address(capture: Capture) -> None:
    capture.add(
        "flow",
        flow(CLIENT, SERVER, None, None, Proto=1, Bytes=10),
        flow(SERVER, CLIENT, None, None, Proto=1, Bytes=20),
        {"SrcAddr": None, "Etype": 0x0806, "Bytes": 1, "Node": "a"},
    )
    assert capture.rows("conversation", "BytesOut + BytesIn", "Proto") == [(30, 1)]


def test_what_two_nodes_saw_of_a_conversation_counts_once(capture: Capture) -> None:
    for node in ("a", "b"):
        capture.add("flow", flow(CLIENT, SERVER, 40000, 443, Bytes=100, Node=node))
        capture.add("flow", flow(SERVER, CLIENT, 443, 40000, Bytes=10, Node=node))
    capture.add("flow", flow(CLIENT, SERVER, 40000, 443, Bytes=1, Node="b"))
    rows = capture.rows("conversation", "BytesOut", "BytesIn", "Nodes")
    assert rows == [(101, 10, 2)]
    assert capture.rows("top_talkers", "Address", "BytesSent", "BytesReceived") == [
        (CLIENT, 101, 10),
        (SERVER, 10, 101),
    ]


def test_top_talkers_come_by_their_bytes(capture: Capture) -> None:
    capture.add(
        "flow",
        flow("10.0.0.3", SERVER, 1, 2, Bytes=5, Packets=1),
        flow(CLIENT, SERVER, 1, 2, Bytes=1000, Packets=3),
        flow(SERVER, CLIENT, 2, 1, Bytes=50, Packets=2),
    )
    capture.add("dns_name", {"Address": SERVER, "Name": "www.example"})
    assert capture.rows("top_talkers", "*") == [
        (SERVER, "www.example", 1055, 50, 1005, 2, 4, 2, None),
        (CLIENT, None, 1050, 1000, 50, 3, 2, 1, None),
        ("10.0.0.3", None, 5, 5, 0, 1, 0, 1, None),
    ]


def test_slow_names_come_first_and_unanswered_ones_before_them(capture: Capture) -> None:
    capture.add(
        "dns",
        {"Name": "slow", "Status": "answered", "Rcode": "NoError", "LatencyMs": 32.5},
        {"Name": "slow", "Status": "answered", "Rcode": "ServFail", "LatencyMs": 2.5, "Retries": 1},
        {"Name": "dead", "Status": "unanswered", "Retries": 2},
        {"Name": "late", "Status": "unanswered"},
        {"Name": "late", "Status": "late", "Rcode": "NoError", "LatencyMs": 9000.0},
        {"Name": "fast", "Status": "answered", "Rcode": "NXDomain", "LatencyMs": 0.25},
        Node="a", ServerAddr=SERVER, Type="A", TimeNs=1, Retries=0,
    )  # fmt: skip
    names = ("Name", "Exchanges", "Unanswered", "Errors", "Rcodes", "MeanMs", "MaxMs", "Retries")
    assert capture.rows("dns_slow", *names) == [
        ("late", 1, 1, 0, "NoError", 9000.0, 9000.0, 0),
        ("dead", 1, 1, 0, None, None, None, 2),
        ("slow", 2, 0, 1, "NoError,ServFail", 17.5, 32.5, 1),
        ("fast", 1, 0, 1, "NXDomain", 0.25, 0.25, 0),
    ]


def test_drops_are_summed_by_cause_losses_first(capture: Capture) -> None:
    capture.add(
        "packet_drop",
        {"Reason": "TCP_OLD_DATA", "Loss": 0, "TimeNs": 1},
        {"Reason": "TCP_OLD_DATA", "Loss": 0, "TimeNs": 4},
        {"Reason": "TCP_OLD_DATA", "Loss": 0, "TimeNs": 3},
        {"Reason": "NETFILTER_DROP", "Loss": 1, "TimeNs": 7},
        {"Reason": "NETFILTER_DROP", "Loss": 1, "TimeNs": 8},
        {"Reason": "NO_SOCKET", "Loss": 1, "Function": "udp_rcv+0x1", "Proto": 17, "TimeNs": 9},
        Node="a", Length=60, Proto=6, Function=None,
    )  # fmt: skip
    assert capture.rows("drop_summary", "*") == [
        ("a", "NETFILTER_DROP", 1, None, 6, 2, 120, 7, 8),
        ("a", "NO_SOCKET", 1, "udp_rcv+0x1", 17, 1, 60, 9, 9),
        ("a", "TCP_OLD_DATA", 0, None, 6, 3, 180, 1, 4),
    ]


def test_the_query_of_netobservs_blog_runs_as_it_is(capture: Capture) -> None:
    dns: Row = {"DnsFlagsResponseCode": "NoError", "DnsId": 31_319, "Interface": "eth0"}
    capture.add(
        "flow",
        flow(SERVER, CLIENT, 53, 40000, Proto=17, DnsLatencyMs=12.345, **dns),
        flow(SERVER, CLIENT, 53, 40001, Proto=17, DnsLatencyMs=9.9, **dns),
        flow(CLIENT, SERVER, 40000, 53, Proto=17),
    )
    assert list(capture.connection.execute(BLOG_QUERY)) == [
        (12.345, "NoError", 31_319, CLIENT, 40000, "eth0", 17, SERVER, 53, 100, 1)
    ]
