"""The one connection that writes the capture's database.

Invariant: used by the writer's thread alone; between two calls there is at
most one open transaction, and after an error there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from nshell.collector.decode.rows import Cell, Rows
    from nshell.collector.relations import Table

DATABASE_NAME = "session.db"
_CHECKPOINT_PAGES = 1000
_WAL_KEPT_BYTES = 16 << 20
_CACHE_KIB = 32 << 10
_VACUUM_PAGES = 2048
_GROUP = 8
"""Rows per statement: what a statement costs beside its rows is shared."""


def insert_statement(rows: Rows, count: int) -> str:
    """SQL for so many rows at once, with the columns as bindings, row after row.

    Constants stand in its text, which is faster than binding them.
    """
    names = (*rows.columns, *rows.constants)
    values = ["?"] * len(rows.columns)
    values += [apsw.format_sql_value(value) for value in rows.constants.values()]
    verb = "INSERT OR REPLACE" if "rowid" in rows.columns else "INSERT"
    columns = ",".join(f'"{name}"' for name in names)
    each = ",".join([f"({','.join(values)})"] * count)
    return f'{verb} INTO "{rows.table}" ({columns}) VALUES {each}'


class Database:
    """Transactions, bulk inserts and space."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        self._connection.set_busy_timeout(5000)
        for pragma in (
            "journal_mode = WAL",
            "synchronous = NORMAL",
            f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
            f"journal_size_limit = {_WAL_KEPT_BYTES}",
            f"cache_size = -{_CACHE_KIB}",
            "temp_store = MEMORY",
        ):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self._page_bytes = self._number("PRAGMA page_size")
        # Not asked of SQLite: from its first look on, files of readers close late.
        self.bytes_at_start = path.stat().st_size
        """Of the file, before anything was written."""

    @property
    def in_transaction(self) -> bool:
        """Whether rows wait for a commit."""
        return bool(self._connection.in_transaction)

    def insert(self, rows: Rows) -> None:
        """All rows, in the open transaction or a new one."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
        columns = list(rows.columns.values())
        grouped = rows.count - rows.count % _GROUP
        if grouped:
            slices = [column[row:grouped:_GROUP] for row in range(_GROUP) for column in columns]
            self._connection.executemany(insert_statement(rows, _GROUP), zip(*slices, strict=True))
        if grouped < rows.count:
            rest = [column[grouped:] for column in columns]
            self._connection.executemany(insert_statement(rows, 1), zip(*rest, strict=True))

    def commit(self) -> None:
        """End the transaction, if there is one."""
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """Undo the transaction; SQLite has already done so after some errors."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def select(self, sql: str, bindings: tuple[Cell, ...] = ()) -> list[tuple[Cell, ...]]:
        """Rows of a query of ours."""
        return list(self._connection.execute(sql, bindings))

    @property
    def complete(self) -> bool:
        """Whether its schema was made to the end."""
        return bool(self._number("PRAGMA user_version"))

    def complete_with(self, table: Table) -> None:
        """The schema is there; add a table that is no user's business."""
        columns = ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
        self._connection.execute(f'CREATE TABLE "{table.name}" ({columns})')
        self._connection.execute("PRAGMA user_version = 1")

    def delete(self, sql: str, bindings: tuple[Cell, ...]) -> None:
        """A deletion of ours, in a transaction of its own."""
        self._connection.execute(sql, bindings)

    def revise(self, statements: Iterable[tuple[str, tuple[Cell, ...]]]) -> None:
        """Changes of rows that are there, in a transaction of their own."""
        self._connection.execute("BEGIN IMMEDIATE")
        for sql, bindings in statements:
            self._connection.execute(sql, bindings)
        self._connection.execute("COMMIT")

    @property
    def last_row(self) -> int:
        """Number of the row inserted last."""
        return self._connection.last_insert_rowid()

    def delete_up_to(self, table: str, rowid: int) -> None:
        """Delete the oldest rows, in the open transaction or a new one."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(f'DELETE FROM "{table}" WHERE rowid <= ?', (rowid,))  # noqa: S608

    def give_back_space(self) -> None:
        """Cut free pages off the file; outside a transaction."""
        self._connection.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()

    def used_bytes(self) -> int:
        """Of the pages in use."""
        free = self._number("PRAGMA freelist_count") * self._page_bytes
        return self.file_bytes() - free

    def file_bytes(self) -> int:
        """Of all pages."""
        return self._number("PRAGMA page_count") * self._page_bytes

    def close(self) -> None:
        """Commit nothing, move the log into the file, close."""
        self.rollback()
        self._connection.close()

    def _number(self, sql: str) -> int:
        value = self._connection.execute(sql).get
        assert isinstance(value, int)
        return value
