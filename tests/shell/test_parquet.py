"""Parquet files, read back by pyarrow."""

from __future__ import annotations

import io
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nshell.shell.errors import CommandError, Failure
from nshell.shell.output.parquet import ParquetRows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nshell.shell.values import Cell, Row
    from tests.shell.conftest import Shell


def written(columns: Sequence[str], *chunks: Sequence[Row]) -> Any:
    """The table that is in the file."""
    with closing(ParquetRows(columns)) as rows:
        for chunk in chunks:
            rows.add(chunk)
        return pq.read_table(io.BytesIO(b"".join(rows.pieces())))


def test_each_column_has_the_type_of_its_values() -> None:
    table = written(
        ("a", "b", "c", "d", "e"),
        [(1, 1, "x", b"\xff", None)],
        [(None, 2.5, None, None, None), (2**62, None, "é\0", b"", None)],
    )
    assert table.schema.types == [pa.int64(), pa.float64(), pa.string(), pa.binary(), pa.null()]
    assert table.to_pydict() == {
        "a": [1, None, 2**62], "b": [1.0, 2.5, None], "c": ["x", None, "é\0"],
        "d": [b"\xff", None, b""], "e": [None, None, None],
    }  # fmt: skip


def test_a_column_of_several_sorts_is_text() -> None:
    table = written(("a",), [(1,), ("x",)], [(2.5,), (b"\xffy",), (None,)])
    assert table.to_pydict() == {"a": ["1", "x", "2.5", "\\xffy", None]}


def test_names_that_come_twice_are_told_apart() -> None:
    assert written(("n", "n", "n_2"), [(1, 2, 3)]).column_names == ["n", "n_2", "n_2_2"]


def test_without_rows_there_are_columns() -> None:
    table = written(("a", "b"))
    assert (table.num_rows, table.column_names) == (0, ["a", "b"])


CELLS: st.SearchStrategy[Cell] = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(), st.binary()
)


@given(st.lists(st.lists(st.tuples(CELLS, CELLS), max_size=5), max_size=4))
def test_no_row_is_lost_and_null_stays_null(chunks: list[list[Row]]) -> None:
    rows = [row for chunk in chunks for row in chunk]
    table = written(("a", "b"), *chunks).to_pydict()
    for at, name in enumerate(("a", "b")):
        assert [cell is None for cell in table[name]] == [row[at] is None for row in rows]
        if len({type(row[at]) for row in rows} - {type(None)}) == 1:
            assert table[name] == [row[at] for row in rows]


async def test_a_query_is_exported_whole_or_not_at_all(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "flows.parquet"
    await shell.run(f"export parquet {file} SELECT SrcAddr, sum(Bytes) FROM flow GROUP BY 1")
    assert shell.seen.told[-1].startswith("wrote 2 rows (")
    assert pq.read_table(file).to_pydict() == {
        "SrcAddr": ["10.0.0.1", "10.0.0.3"], "sum(Bytes)": [1500, 90],
    }  # fmt: skip
    before = file.read_bytes()
    with pytest.raises(Failure):
        await shell.run(f"export parquet {file} SELECT nothing FROM flow")
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


async def test_where_it_cannot_be_written_nothing_is_asked(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Failure, match="needs pyarrow"):
        await shell.run(f"export parquet {tmp_path}/x.parquet SELECT 1")
    assert list(tmp_path.iterdir()) == []
    assert "Query" not in shell.capture.calls


def test_without_pyarrow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(CommandError, match="needs pyarrow, which is not installed"):
        ParquetRows(("a",))
