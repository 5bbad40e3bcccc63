"""What an earlier process left of a store: rows and files made to agree.

Invariant: a row that was committed stays, with its packet; nothing stays in a
file that no row refers to. Runs before the writer's thread does.
"""

from __future__ import annotations

import logging
import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.wire import NO_RULE
from nshell.collector import schema
from nshell.collector.relations import Table, columns
from nshell.collector.storage import pcapng
from nshell.collector.storage.database import DATABASE_NAME, Database
from nshell.collector.storage.segments import INTERFACES_NAME, segment_files, segment_path
from nshell.collector.storage.writer import EVENT_TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from pathlib import Path
    from typing import BinaryIO

    from nshell.collector.decode.rows import Cell
    from nshell.collector.storage.catalog import Catalog
    from nshell.collector.storage.segments import Segments
    from nshell.collector.storage.writer import Writer

    Row = dict[str, Cell]

_LOG = logging.getLogger(__name__)
_COUNTED = ("flow", "packet", *EVENT_TABLES)

PROGRESS = Table(
    "link_progress",
    "how far the rows of each agent have got; committed with them",
    columns(
        "Node TEXT node",
        "Run TEXT run of its agent",
        "Rows INTEGER of that run that have arrived or are known to be lost",
    ),
)
"""Ours alone: no user is told of it."""

_KEYS: dict[str, Callable[[Row], Hashable]] = {
    schema.AGENT.name: lambda row: row["Node"],
    schema.INTERFACE.name: lambda row: (row["Node"], row["IfIndex"] or row["Name"]),
    schema.COUNTER.name: lambda row: (row["Node"], row["Name"]),
    schema.FILTER_LOG.name: lambda row: (row["Generation"], position(row), row["Node"]),
    PROGRESS.name: lambda row: row["Node"],
}
"""What each small table's rows are known by; losses have no key."""


class UnreadableError(ValueError):
    """What is there is not a store of ours; str() says why."""


@dataclass(slots=True)
class Remains:
    """What was there."""

    small: dict[str, list[Row]] = field(default_factory=dict)
    """Rows of the small tables."""
    last_rowids: dict[str, int] = field(default_factory=dict)
    evicted_packets: int = 0
    lost: list[tuple[str, int, int]] = field(default_factory=list)
    """Node, packets and bytes that rows told of and the files no longer had."""
    sizes: dict[int, int] = field(default_factory=dict)
    """Bytes of each packet file."""
    last_segment: int = 0

    def progress(self, node: str) -> tuple[str, int]:
        """Run of a node's agent and how many rows of it are accounted for."""
        for row in self.small[PROGRESS.name]:
            if row["Node"] == node:
                return str(row["Run"]), _number(row["Rows"])
        return "", 0

    def dns_names(self) -> list[tuple[int, str, str, int]]:
        """Row, address, name and first time of each pair, the one seen last at the end."""
        rows = sorted(self.small[schema.DNS_NAME.name], key=lambda row: _number(row["TimeLastMs"]))
        return [
            (
                _number(row["rowid"]) - 1,
                str(row["Address"]),
                str(row["Name"]),
                _number(row["TimeFirstMs"]),
            )
            for row in rows
        ]


def position(row: Row) -> int:
    """Of a rule, as agents count, by its row in the filter log."""
    return _number(row["Position"]) - 1 if row["Position"] is not None else NO_RULE


@dataclass(frozen=True, slots=True)
class Found:
    """A store that was there already, or why there is none any more."""

    database: Database | None = None
    remains: Remains | None = None
    notice: str = ""


def open_again(directory: Path) -> Found:
    """What an earlier process left; what cannot be read is removed, for nobody would
    end a session whose collector does not start."""
    path = directory / DATABASE_NAME
    if not path.exists():
        return Found()
    database = None
    try:
        database = Database(path)
        if database.complete:
            return Found(database, _remains(database, directory))
        # The process ended while it made the tables: nothing was in them.
        notice = ""
    except Exception as error:  # noqa: BLE001  whatever it is, the next start would meet it again
        notice = f"the rows of the collector before this one are lost: {error}"
        _LOG.error("%s", notice)
    if database is not None:
        database.close()
    remove_store(directory)
    return Found(notice=notice)


def remove_store(directory: Path) -> None:
    """Delete the files of a store."""
    names = [DATABASE_NAME + suffix for suffix in ("", "-wal", "-shm", "-journal")]
    paths = [directory / name for name in (*names, INTERFACES_NAME)]
    for path in (*paths, *(path for _, path in segment_files(directory))):
        path.unlink(missing_ok=True)


def go_on(writer: Writer, database: Database, segments: Segments, remains: Remains) -> None:
    """Let everything count on from where it was."""
    _load_catalog(writer.catalog, database, remains)
    segments.go_on(remains.sizes, last=remains.last_segment)
    # Some of it may still stand in the log.
    database.bytes_at_start = database.used_bytes()
    writer.totals.committed.update(
        {name: count for name, count in remains.last_rowids.items() if name in _COUNTED}
    )
    writer.totals.evicted_packets = remains.evicted_packets
    for node, packets, size in remains.lost:
        writer.lose(node, packets, lost_bytes=size)


def _remains(database: Database, directory: Path) -> Remains:
    """Make rows and files agree, and read what is small; UnreadableError where that fails."""
    _check(database)
    remains = Remains()
    present = dict(segment_files(directory))
    while (last := _last_packet(database)) is not None:
        path = segment_path(directory, last.segment)
        size = _valid_bytes(path, last)
        if size >= last.end:
            os.truncate(path, last.end)
            break
        remains.lost += _delete_beyond(database, last.segment, size)
    first, final = _segments_with_rows(database)
    remains.last_segment = max((final, *present))
    for number, path in present.items():
        if first <= number <= final:
            remains.sizes[number] = path.stat().st_size
        else:
            _LOG.info("removed %s: no committed row is in it", path.name)
            path.unlink()
    for table in (*schema.TABLES, PROGRESS):
        if table.name in _KEYS or table is schema.DNS_NAME:
            remains.small[table.name] = _rows(database, table)
    for name in (*_COUNTED, schema.LOSS.name):
        remains.last_rowids[name] = _rowid(database, "max", name)
    if remains.last_rowids["packet"]:
        remains.evicted_packets = _rowid(database, "min", "packet") - 1
    return remains


def _load_catalog(catalog: Catalog, database: Database, remains: Remains) -> None:
    """Let small tables go on where they are."""
    for name, rows in remains.small.items():
        key = _KEYS.get(name)
        if key is not None:
            catalog.know(name, {key(row): _number(row["rowid"]) for row in rows})
    catalog.know(
        schema.DNS_NAME.name,
        {
            _number(row["rowid"]) - 1: _number(row["rowid"])
            for row in remains.small[schema.DNS_NAME.name]
        },
    )
    catalog.know_count(schema.LOSS.name, remains.last_rowids[schema.LOSS.name])
    ((lost,),) = database.select("SELECT coalesce(sum(Count), 0) FROM loss")
    catalog.lost = _number(lost)


def _check(database: Database) -> None:
    for table in (*schema.TABLES, PROGRESS):
        found = database.select(f'PRAGMA table_info("{table.name}")')
        if tuple(row[1] for row in found) != table.names:
            raise UnreadableError(f"its table {table.name} is another version's")


@dataclass(frozen=True, slots=True)
class _LastPacket:
    """The newest committed one, and where its block stands."""

    segment: int
    end: int
    block_bytes: int


def _last_packet(database: Database) -> _LastPacket | None:
    found = database.select(
        "SELECT Segment, Offset, CapLen FROM packet ORDER BY rowid DESC LIMIT 1"
    )
    if not found:
        return None
    segment, offset, captured = map(_number, found[0])
    size = ((captured + 3) & ~3) + pcapng.EPB_OVERHEAD
    return _LastPacket(segment, offset + size, size)


def _valid_bytes(path: Path, last: _LastPacket) -> int:
    """How far a file can be read: to the end of that packet if its block stands there."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if size >= last.end:
                file.seek(last.end - 4)
                if file.read(4) == struct.pack("<I", last.block_bytes):
                    return last.end
            return _walk(file, size)
    except FileNotFoundError:
        return 0


def _walk(file: BinaryIO, size: int) -> int:
    """The end of the last whole block."""
    at = 0
    while at + 12 <= size:
        file.seek(at + 4)
        (total,) = struct.unpack("<I", file.read(4))
        if total < 12 or total % 4 or at + total > size:
            break
        file.seek(at + total - 4)
        if file.read(4) != struct.pack("<I", total):
            break
        at += total
    return at


def _delete_beyond(database: Database, segment: int, size: int) -> list[tuple[str, int, int]]:
    """Delete the rows whose packets a file lacks, and tell of them."""
    beyond = (
        "FROM packet WHERE Segment = ? AND "
        f"Offset + ((CapLen + 3) & ~3) + {pcapng.EPB_OVERHEAD} > ?"
    )
    found = database.select(
        f"SELECT Node, count(*), sum(CapLen) {beyond} GROUP BY Node", (segment, size)
    )
    database.delete(f"DELETE {beyond}", (segment, size))
    return [(str(node), _number(count), _number(length)) for node, count, length in found]


def _segments_with_rows(database: Database) -> tuple[int, int]:
    """Rows stand in the order of the files; (1, 0) when there are none."""
    ((first, last),) = database.select(
        "SELECT (SELECT Segment FROM packet ORDER BY rowid LIMIT 1),"
        " (SELECT Segment FROM packet ORDER BY rowid DESC LIMIT 1)"
    )
    return (_number(first), _number(last)) if first is not None else (1, 0)


def _rows(database: Database, table: Table) -> list[Row]:
    names = ("rowid", *table.names)
    quoted = ", ".join(f'"{name}"' for name in names)
    found = database.select(f'SELECT {quoted} FROM "{table.name}" ORDER BY rowid')  # noqa: S608
    return [dict(zip(names, row, strict=True)) for row in found]


def _rowid(database: Database, which: str, table: str) -> int:
    ((found,),) = database.select(f'SELECT {which}(rowid) FROM "{table}"')  # noqa: S608
    return _number(found or 0)


def _number(cell: Cell) -> int:
    assert isinstance(cell, int)
    return cell
