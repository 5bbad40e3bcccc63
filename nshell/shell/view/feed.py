"""Fetches what is new: rows behind the last one seen, bounded at every turn."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.shell.sqltext import text_literal
from nshell.shell.view.rows import KEPT, Row, make_rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from nshell.shell.client import Client
    from nshell.shell.values import Cell

CONNECTION_ROWS = 1000
"""Packets of one connection that are fetched at a time."""
LOOKED_AT = 200_000
"""Of the newest packets, when those of one connection are wanted."""
_PIECE = 200
"""Rows that are worked on before keys get their turn."""


@dataclass(frozen=True, slots=True)
class News:
    """Rows that have arrived."""

    columns: tuple[str, ...]
    rows: Sequence[Row]
    """Oldest first."""
    skipped: int


class Feed:
    """The rows of one table, those of a condition or all."""

    def __init__(self, table: str, *, where: str = "", most: int = KEPT) -> None:
        self._table = table
        self._where = where
        self._most = most
        self._seen = -1
        """Rowid; -1: nothing was asked yet."""

    async def poll(self, client: Client, names: Mapping[str, str]) -> News:
        """What has come since the last time."""
        until = await self._newest(client) if self._where else 0
        if self._where and until <= self._seen:
            return News((), (), 0)
        columns: tuple[str, ...] = ()
        made: list[Row] = []
        async for columns, piece in _pieces(client, self._sql(until)):
            made += make_rows(columns, piece, names)
        skipped = 0
        if self._seen >= 0 and not self._where and len(made) == self._most:
            skipped = made[-1].id - self._seen - 1
        self._seen = max(self._seen, until, made[0].id if made else 0)
        made.reverse()
        return News(columns, made, skipped)

    async def _newest(self, client: Client) -> int:
        """So far the rows are looked at: those of a condition may be long ago."""
        sql = f"SELECT max(rowid) FROM {self._table}"  # noqa: S608 - a name of ours
        ((newest,),) = await whole(client, sql)
        return Row.number(newest)

    def _sql(self, until: int) -> str:
        condition, after = "", self._seen
        if self._where:
            after = max(after, until - LOOKED_AT)
            condition = f" AND rowid <= {until} AND ({self._where})"
        return (
            f"SELECT rowid, * FROM {self._table} WHERE rowid > {after}{condition}"  # noqa: S608
            f" ORDER BY rowid DESC LIMIT {self._most}"
        )


class NameFeed:
    """Names of addresses, as answers of DNS tell them."""

    def __init__(self) -> None:
        self._seen = 0

    async def poll(self, client: Client, names: dict[str, str]) -> None:
        """Learn the new ones; an address keeps the first that it had."""
        sql = (
            f"SELECT rowid, Address, Name FROM dns_name WHERE rowid > {self._seen}"  # noqa: S608
            f" ORDER BY rowid LIMIT {KEPT}"
        )
        for rowid, address, name in await whole(client, sql):
            self._seen = Row.number(rowid)
            names.setdefault(str(address), str(name))


async def whole(client: Client, sql: str) -> list[Sequence[Cell]]:
    """All rows of a small answer."""
    return [row async for _, piece in _pieces(client, sql) for row in piece]


async def _pieces(
    client: Client, sql: str
) -> AsyncIterator[tuple[tuple[str, ...], Sequence[Sequence[Cell]]]]:
    """The columns and some rows of an answer at a time; keys get their turn between."""
    answer = await client.query(sql)
    try:
        async with aclosing(answer.chunks) as chunks:
            async for chunk in chunks:
                for start in range(0, len(chunk), _PIECE):
                    yield answer.columns, chunk[start : start + _PIECE]
                    await asyncio.sleep(0)
    finally:
        await answer.close()


def of_connection(row: Row, ends: tuple[str, str]) -> str:
    """The condition for packets of a row's connection, either way."""
    one, other = ((row[f"{end}Addr"], row[f"{end}Port"]) for end in ends)
    ways = " OR ".join(f"({_from_to(a, b)})" for a, b in ((one, other), (other, one)))
    return f"Proto IS {_literal(row['Proto'])} AND ({ways})"


def _from_to(source: tuple[Cell, Cell], destination: tuple[Cell, Cell]) -> str:
    return (
        f"SrcAddr IS {_literal(source[0])} AND SrcPort IS {_literal(source[1])}"
        f" AND DstAddr IS {_literal(destination[0])} AND DstPort IS {_literal(destination[1])}"
    )


def _literal(cell: Cell) -> str:
    """As SQL has it."""
    if cell is None:
        return "NULL"
    if isinstance(cell, int):
        return str(cell)
    return text_literal(str(cell))
