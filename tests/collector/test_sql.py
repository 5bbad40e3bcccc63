"""The user's SQL: what it may do, how its errors read, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from nshell.collector.query.functions import (
    Functions,
    host_names,
    human_bytes,
    in_cidr,
    port_name,
    proto_name,
)
from nshell.collector.schema import RELATIONS
from nshell.proto import session_pb2 as pb
from tests.collector.probe import PATIENCE
from tests.collector.wiretap import Flow, flow_batch, many_flows

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.collector.conftest import Collector

READ_ONLY = "is not allowed: the rows of a capture are read-only (SELECT and WITH are)"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT {} FROM n"


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("DELETE FROM flow", "DELETE"),
        ("  -- c\n /* d */ delete from flow", "DELETE"),
        ("INSERT INTO flow(Node) VALUES ('x')", "INSERT"),
        ("REPLACE INTO flow(Node) VALUES ('x')", "REPLACE"),
        ("UPDATE flow SET Node = 'x'", "UPDATE"),
        ("WITH x AS (SELECT 1) DELETE FROM flow", "DELETE"),
        ("WITH x AS (SELECT 1) INSERT INTO flow(Node) SELECT 'x'", "INSERT"),
        ("WITH x AS (SELECT 1) UPDATE flow SET Node = 'x'", "UPDATE"),
        ("EXPLAIN DELETE FROM flow", "DELETE"),
        ("CREATE TABLE x(a)", "CREATE"),
        ("CREATE TEMP TABLE x(a)", "CREATE"),
        ("CREATE TEMP TABLE x AS SELECT * FROM flow", "CREATE"),
        ("CREATE TEMP VIEW x AS SELECT 1", "CREATE"),
        ("CREATE VIRTUAL TABLE temp.x USING fts5(a)", "CREATE"),
        ("CREATE TEMP TRIGGER x AFTER INSERT ON flow BEGIN SELECT 1; END", "CREATE"),
        ("DROP TABLE flow", "DROP"),
        ("ALTER TABLE flow ADD COLUMN x", "ALTER"),
        ("ATTACH ':memory:' AS x", "ATTACH"),
        ("ATTACH '/etc/passwd' AS x", "ATTACH"),
        ("DETACH main", "DETACH"),
        ("PRAGMA query_only = 0", "PRAGMA"),
        ("PRAGMA writable_schema = 1", "PRAGMA"),
        ("PRAGMA table_info(flow)", "PRAGMA"),
        ("SELECT * FROM pragma_table_info('flow')", "PRAGMA"),
        ("SELECT * FROM pragma_database_list", "PRAGMA"),
        ("VACUUM", "VACUUM"),
        ("VACUUM INTO '{out}'", "VACUUM"),
        ("BEGIN", "BEGIN"),
        ("BEGIN IMMEDIATE", "BEGIN"),
        ("COMMIT", "COMMIT"),
        ("ROLLBACK", "ROLLBACK"),
        ("SAVEPOINT x", "SAVEPOINT"),
        ("REINDEX", "REINDEX"),
        ("ANALYZE", "ANALYZE"),
        ("SELECT load_extension('x')", "load_extension()"),
        ("SELECT fts3_tokenizer('simple')", "fts3_tokenizer()"),
    ],
)
async def test_only_reading_is_allowed(collector: Collector, sql: str, word: str) -> None:
    agent = await collector.agent()
    await agent.send(flows=flow_batch([Flow()]))
    await collector.shell.until("SELECT count(*) FROM flow", 1)
    out = collector.directory.parent / "out.db"
    error = await collector.shell.refusal(collector.shell.rows(sql.replace("{out}", str(out))))
    assert (error.code(), error.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        f"{word} {READ_ONLY}",
    )
    assert not out.exists()
    assert await collector.shell.rows("SELECT Node FROM flow") == [["node-a"]]


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("SELECT SrcAdr FROM flow", "no such column: SrcAdr: did you mean SrcAddr?"),
        ("SELECT f.bites FROM flow f", "no such column: f.bites: did you mean Bytes?"),
        ("SELECT xyzzy FROM flow", "no such column: xyzzy"),
        ("SELECT 1 FROM flows", "no such table: flows: did you mean flow?"),
        ("SELECT in_cdir(1, 2)", "no such function: in_cdir: did you mean in_cidr?"),
        ("SELCT 1", 'near "SELCT": syntax error: did you mean SELECT?'),
        ("SELECT * FORM flow", 'near "FORM": syntax error: did you mean FROM?'),
        ("SELECT 1 +", "the query is not complete after '+'"),
        ("SELECT count(", "the query is not complete after 'count('"),
        ("", "no query: type SELECT ..."),
        (" ; -- nothing", "no query: type SELECT ..."),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("SELECT 1; DELETE FROM flow", "one statement at a time"),
        ("SELECT 1; garbage", "one statement at a time"),
        ("SELECT ?", "the query has ? or :name in it, and nothing to put there"),
        ("SELECT hex(zeroblob(100000000))", "a value is too large"),
        ("SELECT CAST(x'ff' AS TEXT)", "a text is not UTF-8: show it with hex()"),
        (
            "SELECT in_cidr('10.0.0.1', '10.0.0.1/8')",
            "in_cidr: '10.0.0.1/8' has host bits set: did you mean '10.0.0.0/8'?",
        ),
        (
            "SELECT in_cidr('10.0.0.1', 'ten')",
            "in_cidr: 'ten' is not a network, write it like '10.0.0.0/8'",
        ),
        ("SELECT abs(-9223372036854775807 - 1)", "integer overflow"),
    ],
)
async def test_an_error_is_one_line_that_names_the_word_at_fault(
    collector: Collector, sql: str, line: str
) -> None:
    error = await collector.shell.refusal(collector.shell.rows(sql))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert str(error.details()).startswith(line)
    assert "\n" not in str(error.details())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1;",
        "SELECT 1 ; -- done",
        "/* first */ SELECT 1",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "VALUES (1)",
        "SELECT ';' IS NOT NULL",
    ],
)
async def test_a_reading_statement_runs_however_it_is_dressed(
    collector: Collector, sql: str
) -> None:
    assert await collector.shell.rows(sql) == [[1]]


async def test_explain_is_allowed(collector: Collector) -> None:
    rows = await collector.shell.rows("EXPLAIN QUERY PLAN SELECT * FROM flow")
    assert len(rows) == 1


async def test_cells_keep_their_types(collector: Collector) -> None:
    row = await collector.shell.row(
        "SELECT NULL, 9223372036854775807, -1, 1.5, 'text', x'00ff', 'ü\u202e', 9e999"
    )
    assert row == [None, 2**63 - 1, -1, 1.5, "text", b"\x00\xff", "ü\u202e", float("inf")]


async def test_a_query_without_rows_still_names_its_columns(collector: Collector) -> None:
    call = collector.shell.stub.Query(pb.QueryRequest(sql="SELECT Node, 1 AS one FROM flow"))
    replies = [reply async for reply in call]  # type: ignore[attr-defined]
    assert [list(reply.columns) for reply in replies] == [["Node", "one"], []]


@pytest.mark.parametrize(
    ("limit", "count", "truncated"),
    [(0, 3500, False), (1, 1, True), (3499, 3499, True), (3500, 3500, False), (9999, 3500, False)],
)
async def test_a_limit_is_never_silent(
    collector: Collector, limit: int, count: int, truncated: bool
) -> None:
    sql = f"{ENDLESS.format('i')} LIMIT 3500"
    call = collector.shell.stub.Query(pb.QueryRequest(sql=sql, limit=limit))
    replies = [reply async for reply in call]  # type: ignore[attr-defined]
    assert replies[-1].truncated is truncated
    rows = await collector.shell.rows(sql, limit=limit)
    assert rows == [[i] for i in range(1, count + 1)]


async def test_a_row_too_large_for_a_message_is_refused(collector: Collector) -> None:
    blob = "randomblob(30000000)"
    error = await collector.shell.refusal(collector.shell.rows(f"SELECT {blob}, {blob}"))
    assert error.details() == "a row is too large: select fewer or shorter columns"
    (row,) = await collector.shell.rows(f"SELECT {blob}")
    assert len(bytes(row[0])) == 30_000_000  # type: ignore[arg-type]


def open_databases() -> int:
    """Descriptors of this process on a session's database."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            count += link.readlink().name == "session.db"
        except FileNotFoundError:
            continue
    return count


async def readers(expected: Callable[[int], bool]) -> None:
    """Return when the number of open databases is as expected."""
    async with asyncio.timeout(PATIENCE):
        while not expected(open_databases()):
            await asyncio.sleep(0.01)


async def assert_no_snapshot_is_held(collector: Collector) -> None:
    """The whole log can be moved into the database: no reader needs any of it."""
    store = collector.capture.store
    checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)"
    ((busy, _, _),) = await store.run(lambda: store._database.select(checkpoint))
    assert busy == 0


@pytest.mark.parametrize("expression", ["i", "count(*)", "sum(i * i) OVER (ORDER BY i)"])
async def test_a_query_that_is_called_off_ends_and_leaves_nothing_open(
    collector: Collector, expression: str
) -> None:
    before = open_databases()
    call = collector.shell.stub.Query(pb.QueryRequest(sql=ENDLESS.format(expression)))
    reading = asyncio.gather(collector.shell.refusal(call), return_exceptions=True)
    await readers(lambda count: count > before)
    call.cancel()
    (ending,) = await reading
    assert isinstance(ending, asyncio.CancelledError)
    await readers(lambda count: count == before)
    await assert_no_snapshot_is_held(collector)


async def test_queries_that_are_called_off_leave_every_reader_free(collector: Collector) -> None:
    before = open_databases()
    calls = [
        collector.shell.stub.Query(pb.QueryRequest(sql=ENDLESS.format("count(*)")))
        for _ in range(12)
    ]
    reading = asyncio.gather(
        *(collector.shell.refusal(call) for call in calls), return_exceptions=True
    )
    await readers(lambda count: count > before)
    for call in calls:
        call.cancel()
    await reading
    rows = await asyncio.gather(*(collector.shell.rows("SELECT 1") for _ in range(8)))
    assert rows == [[[1]]] * 8


async def test_a_reader_that_lags_does_not_hold_up_the_writer(collector: Collector) -> None:
    agent = await collector.agent()
    await agent.send(flows=many_flows(50_000))
    await collector.shell.until("SELECT count(*) FROM flow", 50_000)
    sql = "SELECT a.*, b.* FROM flow a JOIN flow b ON a.rowid <> b.rowid"
    call = collector.shell.stub.Query(pb.QueryRequest(sql=sql))
    async for _ in call:  # type: ignore[attr-defined]
        break
    for seed in range(10):
        await agent.send(flows=many_flows(5000, seed=seed))
    await collector.shell.until("SELECT count(*) FROM flow", 100_000)
    call.cancel()
    assert await collector.shell.rows("SELECT * FROM loss") == []


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM flow", "SELECT SrcAdr FROM flow", "DELETE FROM flow"]
)
async def test_a_query_that_ends_gives_its_snapshot_back(collector: Collector, sql: str) -> None:
    agent = await collector.agent()
    await agent.send(flows=many_flows(5000))
    await collector.shell.until("SELECT count(*) FROM flow", 5000)
    await collector.shell.rows("SELECT * FROM flow", limit=10)
    with contextlib.suppress(grpc.aio.AioRpcError):
        await collector.shell.rows(sql)
    await assert_no_snapshot_is_held(collector)


async def test_the_tables_are_described_as_they_are(collector: Collector) -> None:
    agent = await collector.agent()
    await agent.send(flows=flow_batch([Flow(), Flow()]))
    await collector.shell.until("SELECT count(*) FROM flow", 2)
    description = await collector.shell.stub.Describe(pb.DescribeRequest())  # type: ignore[misc]
    assert [table.name for table in description.tables] == [each.name for each in RELATIONS]
    assert {table.name: table.rows for table in description.tables}["flow"] == 2
    assert list(description.functions[:6]) == [
        "in_cidr", "ip_name", "port_name", "human_bytes", "proto_name",
        "filter_name",
    ]  # fmt: skip
    assert "count" in description.functions
    assert "load_extension" not in description.functions
    assert list(description.interfaces) == ["eth0"]
    for table in description.tables:
        assert table.summary
        names = ", ".join(column.name for column in table.columns)
        assert await collector.shell.rows(f"SELECT {names} FROM {table.name} LIMIT 0") == []
        assert all(column.summary for column in table.columns)


@pytest.mark.parametrize(
    ("address", "cidr", "inside"),
    [
        ("10.1.2.3", "10.0.0.0/8", 1),
        ("11.1.2.3", "10.0.0.0/8", 0),
        ("10.0.0.7", "10.0.0.7", 1),
        ("2001:db8::1", "2001:db8::/32", 1),
        ("::ffff:10.1.2.3", "10.0.0.0/8", 0),
        ("10.1.2.3", "::/0", 0),
        (None, "10.0.0.0/8", None),
        ("10.1.2.3", None, None),
        ("no address", "10.0.0.0/8", None),
        (7, "10.0.0.0/8", None),
    ],
)
def test_in_cidr(address: str | None, cidr: str | None, inside: int | None) -> None:
    assert in_cidr(address, cidr) == inside


def test_ip_name_knows_the_hosts_file_and_nothing_else() -> None:
    functions = Functions(host_names("# c\n10.0.0.1 db db.example # main\n::1 localhost\nbad\n"))
    assert [functions.ip_name(each) for each in ("10.0.0.1", "::1", "10.0.0.2", None)] == [
        "db",
        "localhost",
        "10.0.0.2",
        None,
    ]


@pytest.mark.parametrize(
    ("port", "proto", "name"),
    [
        (443, 6, "https"),
        (443, "tcp", "https"),
        (53, 17, "domain"),
        (6443, 6, "kube-apiserver"),
        (40001, 6, "40001"),
        (443, 1, "443"),
        (None, 6, None),
        (443, None, None),
        (70000, 6, None),
    ],
)
def test_port_name(port: int | None, proto: int | str | None, name: str | None) -> None:
    assert port_name(port, proto) == name


def test_proto_name() -> None:
    assert [proto_name(each) for each in (6, 58, 253, None, "tcp")] == [
        "TCP",
        "ICMPv6",
        "253",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (3 * 1024**3, "3.0 GiB"),
        (-2048, "-2.0 KiB"),
        (2**63 - 1, "8.0 EiB"),
        (None, None),
        ("x", None),
    ],
)
def test_human_bytes(count: int | str | None, text: str | None) -> None:
    assert human_bytes(count) == text


async def test_the_functions_are_there_in_queries(collector: Collector) -> None:
    row = await collector.shell.row(
        "SELECT in_cidr('10.0.0.1', '10.0.0.0/8'), ip_name('192.0.2.77'), port_name(443, 6), "
        "human_bytes(2048), proto_name(17), in_cidr(NULL, '10.0.0.0/8')"
    )
    assert row == [1, "192.0.2.77", "https", "2.0 KiB", "UDP", None]
