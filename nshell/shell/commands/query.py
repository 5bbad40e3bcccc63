"""Commands that ask the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.kinds import Sql, TableName
from nshell.shell.sqltext import has_limit
from nshell.shell.values import Answer, Result, Table

if TYPE_CHECKING:
    from nshell.proto import session_pb2 as pb
    from nshell.shell.registry import Registry

FETCHED_ROWS = 1000
"""Of a query at the prompt that does not say how many it wants."""


def register(registry: Registry) -> None:
    """Add this group."""
    registry.add("sql", sql)
    registry.add("tables", tables)
    registry.add("schema", schema)


async def sql(ctx: Context, statement: Annotated[str, Sql()]) -> Result:
    """Ask the rows captured so far; the word `sql` may be left out.

    The capture goes on meanwhile. The store cannot be changed this way.
    `tables` and `schema` show what there is. `\\G` in place of the semicolon
    shows a block a row. On a terminal bytes, durations and times are written as
    people read them, by the column's name: `set human off` shows the numbers.

    Examples:
        sql SELECT SrcAddr, DstAddr, sum(Bytes) FROM flow GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10
        SELECT count(*) FROM packet
    """
    if not statement:
        raise CommandError("a statement must follow `sql`")
    return await ask(ctx, statement)


async def ask(ctx: Context, statement: str) -> Answer:
    """Its rows; somebody at a prompt gets the first ones, unless he says how many."""
    cut = ctx.interactive and not has_limit(statement)
    answer = await ctx.client.query(statement, limit=FETCHED_ROWS if cut else 0)
    ctx.recall.statement = statement
    return answer


async def tables(ctx: Context) -> Result:
    """List the tables that SQL can ask, and the views, which have no rows of their own.

    Examples:
        tables
    """
    described = await ctx.client.describe()
    return Table(
        ("table", "rows", "what is in it"),
        [(t.name, None if t.view else t.rows, t.summary) for t in described.tables],
    )


async def schema(ctx: Context, table: Annotated[str | None, TableName()] = None) -> Result:
    """List the columns of a table, or of all.

    Examples:
        schema flow
        schema
    """
    described = await ctx.client.describe()
    chosen = described.tables if table is None else [_table(described, table)]
    return Table(
        ("table", "column", "type", "what is in it"),
        [(t.name, c.name, c.type, c.summary) for t in chosen for c in t.columns],
    )


def _table(described: pb.Description, name: str) -> pb.Table:
    by_folded = {table.name.lower(): table for table in described.tables}
    try:
        return by_folded[name.lower()]
    except KeyError:
        near = did_you_mean(name, [table.name for table in described.tables])
        raise CommandError(f"no table named {name!r}{near}") from None
