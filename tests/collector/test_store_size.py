"""How much is stored: the status tells what the limits count."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from tests.collector.wiretap import many_flows, many_packets

if TYPE_CHECKING:
    from tests.collector.conftest import Collector


async def test_the_log_that_a_reader_holds_up_is_not_told_to_be_stored(
    collector: Collector,
) -> None:
    agent, database = await collector.agent(), collector.directory / "session.db"
    with closing(sqlite3.connect(database)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM flow").fetchone()  # a snapshot, which keeps the log
        for seed in range(5):
            await agent.send(flows=many_flows(2000, seed=seed))
        await agent.send(packets=many_packets(100, size=100))
        await collector.shell.status(lambda s: s.flow_rows == 10_000 and s.packet_rows == 100)
        assert database.with_name("session.db-wal").stat().st_size > 1 << 20
        reader.rollback()

        def stored() -> int:
            """As it is in the files."""
            sizes = [reader.execute(f"PRAGMA {what}").fetchone()[0]
                     for what in ("page_count", "freelist_count", "page_size")]  # fmt: skip
            packets = sum(path.stat().st_size for path in collector.directory.glob("*.pcapng"))
            return int((sizes[0] - sizes[1]) * sizes[2] + packets)

        await collector.shell.status(lambda s: s.store_bytes == stored())
