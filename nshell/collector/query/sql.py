"""The locked reader: the user's SQL over the rows, and nothing but reading.

Invariant: an authorizer decides what a statement may do, never its text; no
read transaction stays open when a query has ended, however it ended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import apsw
import msgpack  # it has none

from nshell.collector import schema
from nshell.collector.query.sqlerrors import Names, QueryError, explain, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nshell.collector.decode.rows import Cell
    from nshell.collector.query.functions import Functions

CHUNK_ROWS = 1000
_CHUNK_BYTES = 1 << 20
_ROW_BYTES = 48 << 20
"""A row must fit into one message of 64 MiB."""

_VALUE_BYTES = 32 << 20
_SQL_BYTES = 1 << 20
_EXPRESSION_DEPTH = 200
_PROGRESS_STEPS = 10_000

_ALLOWED = frozenset(
    (
        apsw.SQLITE_SELECT,
        apsw.SQLITE_READ,
        apsw.SQLITE_FUNCTION,
        apsw.SQLITE_RECURSIVE,
    )
)
_FORBIDDEN_FUNCTIONS = frozenset(
    ("load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "eval", "fsdir")
)
_NOTHING_MORE = re.compile(r"(?:\s|;|--[^\n]*(?:\n|$)|(?>/\*.*?(?:\*/|$)))*", re.DOTALL)
_LIMITS = (
    (apsw.SQLITE_LIMIT_ATTACHED, 0),
    (apsw.SQLITE_LIMIT_LENGTH, _VALUE_BYTES),
    (apsw.SQLITE_LIMIT_SQL_LENGTH, _SQL_BYTES),
    (apsw.SQLITE_LIMIT_EXPR_DEPTH, _EXPRESSION_DEPTH),
    (apsw.SQLITE_LIMIT_WORKER_THREADS, 0),
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a result, packed."""

    rows: bytes
    """msgpack: a list of rows, each a list of cells."""
    count: int
    last: bool
    truncated: bool
    """More rows were there than the limit."""


def _action(code: int) -> str:
    """What the authorizer calls an action, as a user would: SQLITE_CREATE_TABLE is CREATE."""
    name = apsw.mapping_authorizer_function.get(code)
    return str(name).removeprefix("SQLITE_").partition("_")[0]


def known_names(connection: apsw.Connection) -> Names:
    """Everything a query may name; asked before the lock is on."""
    functions = {str(row[0]) for row in connection.execute("SELECT name FROM pragma_function_list")}
    return Names(
        tuple(each.name for each in schema.RELATIONS),
        tuple(dict.fromkeys(name for each in schema.RELATIONS for name in each.names)),
        tuple(sorted(functions - _FORBIDDEN_FUNCTIONS)),
    )


@dataclass(slots=True)
class LockedReader:
    """One connection for one query; a context manager that closes it.

    QueryError when the database cannot be opened.

    Every method but interrupt runs in one thread at a time.
    """

    path: Path
    functions: Functions
    one_moment: bool = False
    """All statements see the rows as of the first one."""
    names: Names = field(init=False)
    columns: tuple[str, ...] = ()
    """Of the statement that was started last."""
    _connection: apsw.Connection = field(init=False)
    _denied: str = ""
    _interrupted: bool = False
    _statement: str = ""

    def __post_init__(self) -> None:
        try:
            self._connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        except apsw.Error as error:
            raise QueryError(f"the rows cannot be read: {error}") from error
        self._connection.set_busy_timeout(5000)
        self.functions.register(self._connection)
        # Reads the schema too, which the lock would not allow.
        self.names = known_names(self._connection)
        if self.one_moment:
            self._connection.execute("BEGIN")
        self._lock()

    def __enter__(self) -> LockedReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the snapshot back."""
        self._connection.close(force=True)

    def interrupt(self) -> None:
        """From any thread: end the query that runs or is about to."""
        self._interrupted = True
        self._connection.interrupt()

    def execute(self, sql: str) -> apsw.Cursor:
        """Start one statement; QueryError says what is wrong with it."""
        self._denied = self._statement = ""
        self.columns = ()
        if _NOTHING_MORE.fullmatch(sql):
            raise QueryError("no query: type SELECT ...")
        try:
            cursor = self._connection.cursor()
            cursor.exec_trace = self._trace(sql)
            cursor.execute(sql, can_cache=False)
        except (apsw.Error, ValueError) as error:
            raise self._explained(error, sql) from None
        return cursor

    def rows(self, cursor: apsw.Cursor) -> Iterator[tuple[Cell, ...]]:
        """Of a statement that was started."""
        try:
            yield from cursor
        except (apsw.Error, ValueError) as error:
            raise self._explained(error, self._statement) from None

    def _lock(self) -> None:
        connection = self._connection
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0)
        for limit, value in _LIMITS:
            connection.limit(limit, value)
        connection.set_progress_handler(lambda: self._interrupted, _PROGRESS_STEPS)
        connection.authorizer = self._authorize

    def _authorize(self, action: int, first: str | None, second: str | None, *_: object) -> int:
        if action in _ALLOWED and not (
            action == apsw.SQLITE_FUNCTION and (second or "").lower() in _FORBIDDEN_FUNCTIONS
        ):
            return apsw.SQLITE_OK
        if action == apsw.SQLITE_FUNCTION:
            self._denied = f"{second}()"
        elif action == apsw.SQLITE_TRANSACTION:
            self._denied = first or "BEGIN"
        else:
            self._denied = self._denied or _action(action)
        return apsw.SQLITE_DENY

    def _trace(self, sql: str) -> Callable[[apsw.Cursor, str, object], bool]:
        def begin(cursor: apsw.Cursor, statement: str, _: object) -> bool:
            if _NOTHING_MORE.fullmatch(statement):
                return True
            rest = sql[sql.find(statement) + len(statement) :]
            if self._statement or _NOTHING_MORE.fullmatch(rest) is None:
                raise QueryError("one statement at a time")
            self._statement = statement
            self.columns = tuple(str(column[0]) for column in cursor.get_description())
            return True

        return begin

    def _explained(self, error: Exception, sql: str) -> QueryError:
        if isinstance(error, QueryError):
            return error
        if isinstance(error, UnicodeDecodeError):
            return QueryError("a text is not UTF-8: show it with hex()")
        if isinstance(error, apsw.AuthError) or self._denied:
            return refusal(sql, self._denied)
        if isinstance(error, apsw.Error):
            return explain(error, sql, self.names)
        return QueryError(" ".join(str(error).split()))


class Query:
    """One query of the user, read in chunks."""

    def __init__(self, path: Path, sql: str, *, limit: int, functions: Functions) -> None:
        """limit: rows at most, 0 for all."""
        self._sql = sql
        self._left = limit or None
        self._reader = LockedReader(path, functions)
        self._rows: Iterator[tuple[Cell, ...]] = iter(())
        self._packer = msgpack.Packer()

    def start(self) -> tuple[str, ...]:
        """Run it up to its first row; names of the columns."""
        self._rows = self._reader.rows(self._reader.execute(self._sql))
        return self._reader.columns

    def chunk(self) -> Chunk:
        """The next rows."""
        packed: list[bytes] = []
        size = 0
        while len(packed) < CHUNK_ROWS and size < _CHUNK_BYTES:
            # One row more than the limit, to know whether it cut anything off.
            row = next(self._rows, None)
            if row is None or self._left == 0:
                return self._packed(packed, last=True, truncated=row is not None)
            if self._left is not None:
                self._left -= 1
            packed.append(self._pack(row))
            size += len(packed[-1])
        return self._packed(packed, last=False, truncated=False)

    def interrupt(self) -> None:
        """From any thread: end it."""
        self._reader.interrupt()

    def close(self) -> None:
        """Give the snapshot back."""
        self._reader.close()

    def _pack(self, row: tuple[Cell, ...]) -> bytes:
        packed: bytes = self._packer.pack(row)
        if len(packed) > _ROW_BYTES:
            raise QueryError("a row is too large: select fewer or shorter columns")
        return packed

    def _packed(self, rows: list[bytes], *, last: bool, truncated: bool) -> Chunk:
        header: bytes = self._packer.pack_array_header(len(rows))
        return Chunk(header + b"".join(rows), len(rows), last, truncated)
