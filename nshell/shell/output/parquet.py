"""Rows of a query as an Apache Parquet file; pyarrow, which is optional, writes it.

SQLite has types by value and Parquet by column: rows are put aside until all are there,
then each column gets the narrowest type that holds all of its values.
"""

# ruff: noqa: PLC0415 - pyarrow is large, and may not be there

from __future__ import annotations

import io
import tempfile
from typing import TYPE_CHECKING, Any

import msgpack

from nshell.shell.errors import CommandError, why

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nshell.shell.values import Cell, Row

    Column = tuple[Cell, ...]

_MISSING = (
    "needs pyarrow, which is not installed: pip install pyarrow, where netobserv is installed"
)
_NUMBERS = frozenset({int, float})


def ensure_arrow() -> Any:
    """pyarrow; CommandError where it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise CommandError(_MISSING) from error
    return pyarrow


class ParquetRows:
    """Rows put aside in a temporary file, and the file that they become."""

    def __init__(self, columns: Sequence[str]) -> None:
        """CommandError where there is no pyarrow."""
        self._arrow = ensure_arrow()
        self.count = 0
        self._columns = _distinct(columns)
        self._types: list[set[type]] = [set() for _ in columns]
        self._aside = tempfile.TemporaryFile()  # noqa: SIM115 - see close()
        self._packer = msgpack.Packer()

    def close(self) -> None:
        """What was put aside is gone."""
        self._aside.close()

    def add(self, rows: Sequence[Row]) -> None:
        """Put them aside; CommandError where there is no room."""
        if not rows:
            return
        self.count += len(rows)
        columns = list(zip(*rows, strict=True))
        for known, column in zip(self._types, columns, strict=True):
            known.update(map(type, column))
        try:
            self._aside.write(self._packer.pack(columns))
        except OSError as error:
            where = tempfile.gettempdir()
            raise CommandError(f"cannot put rows aside in {where}: {why(error)}") from error

    def pieces(self) -> Iterator[bytes]:
        """The bytes of the file: all rows, a row group for each time they were added."""
        pa = self._arrow
        casts = [_cast(known - {type(None)}) for known in self._types]
        schema = pa.schema(
            [(name, kind(pa)) for name, (kind, _) in zip(self._columns, casts, strict=True)]
        )
        sink = _Sink()
        with pa.parquet.ParquetWriter(
            pa.PythonFile(sink, "w"), schema, compression="zstd"
        ) as writer:
            for columns in self._put_aside():
                arrays = [
                    pa.array(convert(column), type=field.type)
                    for column, field, (_, convert) in zip(columns, schema, casts, strict=True)
                ]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                yield sink.taken()
        yield sink.taken()

    def _put_aside(self) -> Iterator[Sequence[Column]]:
        self._aside.seek(0)
        yield from msgpack.Unpacker(self._aside, use_list=False, max_buffer_size=0)


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._at += len(data)
        return len(data)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _distinct(columns: Sequence[str]) -> list[str]:
    """Names that come again get a number: readers look columns up by name."""
    names: list[str] = []
    for name in columns:
        free, count = name, 1
        while free in names:
            count += 1
            free = f"{name}_{count}"
        names.append(free)
    return names


def _cast(types: set[type]) -> tuple[Any, Any]:
    """How Arrow calls the type that holds all of these, and what makes a column of it."""
    if not types:
        return lambda pa: pa.null(), _as_is
    if types == {int}:
        return lambda pa: pa.int64(), _as_is
    if types <= _NUMBERS:
        return lambda pa: pa.float64(), _floats
    if types == {bytes}:
        return lambda pa: pa.binary(), _as_is
    return lambda pa: pa.string(), _as_is if types <= {str} else _texts


def _as_is(column: Column) -> Column:
    return column


def _floats(column: Column) -> list[float | None]:
    return [None if value is None else float(value) for value in column]


def _texts(column: Column) -> list[str | None]:
    return [None if value is None else _text(value) for value in column]


def _text(value: Cell) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
