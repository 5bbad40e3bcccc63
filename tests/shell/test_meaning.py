"""What a number means by its column's name, and how it is then read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from nshell.collector import schema
from nshell.shell.output.cells import Cells
from nshell.shell.output.meaning import reader

if TYPE_CHECKING:
    from collections.abc import Iterator

MOMENT_S = 1_764_000_000
MS, NS = MOMENT_S * 1000 + 123, MOMENT_S * 10**9 + 123_456_789


@pytest.fixture(autouse=True)
def in_nepal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock that is not UTC."""
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def read(column: str, number: float) -> str:
    (write,) = Cells(human=True).writers([column])
    return write(number)


@pytest.mark.parametrize(
    ("column", "number", "text"),
    [
        ("Bytes", 1_234_567, "1.2 MB"),
        ("PktDropBytes", 999, "999 B"),
        ("sum(Bytes)", 1500, "1.5 kB"),
        ("max( f.Bytes )", 1500, "1.5 kB"),
        ("round(avg(Bytes), 1)", 90.5, "90 B"),
        ("coalesce(sum(Bytes), 0)", 2000, "2.0 kB"),
        ("sum(DISTINCT Bytes)", 2000, "2.0 kB"),
        ('sum("Bytes")', 2000, "2.0 kB"),
        ("BytesSent", 2000, "2.0 kB"),
        ("total_bytes", 2000, "2.0 kB"),
        ("Bytes", -1500, "-1.5 kB"),
        ("TimeFlowRttNs", 850, "850 ns"),
        ("max(TimeFlowRttNs)", 12_345, "12.3 us"),
        ("TimeSynAckNs", 1_200_000, "1.20 ms"),
        ("DnsLatencyMs", 12.5, "12.5 ms"),
        ("RttMs", 0.042, "42.0 us"),
        ("DurationMs", 3_210, "3.21 s"),
        ("DurationMs", 125_000, "2m05s"),
        ("DurationMs", 93_600_000, "26h00m"),
        ("ClockOffsetMs", -1.5, "-1.50 ms"),
        ("CpuSeconds", 0.25, "250 ms"),
        ("DnsLatencyMs", 0, "0 ns"),
        ("TimeReceived", MOMENT_S, "2025-11-24 21:45:00"),
        ("TimeFlowStartMs", MS, "2025-11-24 21:45:00.123"),
        ("max(TimeFlowEndMs)", MS, "2025-11-24 21:45:00.123"),
        ("TimeNs", NS, "2025-11-24 21:45:00.123456789"),
        ("ValidFromMs", MS, "2025-11-24 21:45:00.123"),
    ],
)
def test_a_number_is_read_by_its_column(column: str, number: float, text: str) -> None:
    assert read(column, number) == text


@pytest.mark.parametrize(
    ("column", "number"),
    [
        ("Bytes * 8", 1500),
        ("Bytes > 1000", 1),
        ("count(Bytes)", 1500),
        ("max(Bytes) - min(Bytes)", 1500),
        ("sum(Bytes) / sum(Packets)", 1500),
        ("x", 1500),
        ("DstPort", 8080),
        ("Packets", 1500),
        ("NetNs", 4_026_531_840),
        ("Items", 1500),
        ("Generation", 1500),
        ("IfIndex", 1500),
        ("sum(TimeNs)", NS),
        ("TimeFlowStartMs", 0),
        ("TimeFlowEndMs", 10**30),
        ("Bytes", float("inf")),
        ("Bytes", float("nan")),
        ("hex(Bytes)", 1500),
        ("", 1500),
    ],
)
def test_what_is_not_known_stays_a_number(column: str, number: float) -> None:
    assert read(column, number) == str(number)


def test_text_and_null_in_such_a_column_are_as_they_are() -> None:
    (write,) = Cells(human=True).writers(["Bytes"])
    assert [write("1500"), write(None), write(b"\x01")] == ["1500", "NULL", "01"]


def test_every_column_that_says_its_unit_is_read_and_no_other() -> None:
    """The words in the schema: bytes, ms, ns, s, and moments since 1970."""
    for table in schema.RELATIONS:
        for column in table.columns:
            unit = "bytes" if column.name.endswith("Bytes") else ""
            for ending in ("ms since 1970", "ns since 1970", "s since 1970", ", ms", ", ns", ", s"):
                # What follows a semicolon tells of NULL.
                unit = unit or (ending if ending in f"{column.summary.split(';')[0]}" else "")
            known = reader(column.name) is not None
            if unit and column.type != "TEXT":
                assert known, f"{table.name}.{column.name}: {column.summary}"
            if column.type == "TEXT" or column.name.endswith(("Port", "Id", "Packets")):
                assert not known, f"{table.name}.{column.name}"
