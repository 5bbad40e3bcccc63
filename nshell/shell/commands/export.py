"""Commands that write files, while the capture goes on."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.errors import CommandError
from nshell.shell.kinds import Where
from nshell.shell.kinds.files import File
from nshell.shell.kinds.queries import RUN, Asked, QueryWords
from nshell.shell.output.outfile import OutFile
from nshell.shell.output.render import format_named
from nshell.shell.sqltext import STARTERS
from nshell.shell.units import human_bytes, plural
from nshell.shell.values import Notice, Result

if TYPE_CHECKING:
    from nshell.proto import session_pb2 as pb
    from nshell.shell.registry import Registry
    from nshell.shell.values import Answer


def register(registry: Registry) -> None:
    """Add this group."""
    registry.add("export pcap", pcap)
    registry.add("export pcapng", pcapng)
    registry.add("export csv", csv)
    registry.add("export json", json)
    registry.add("export parquet", parquet)
    registry.add("export db", db)


async def pcap(
    ctx: Context,
    file: Annotated[str | None, File("pcap")] = None,
    where: Annotated[str, Where()] = "",
) -> Result:
    """Write captured packets as pcap.

    The expression is SQL over the columns of `packet`. Without a name the file
    is netobserv-DATE-TIME.pcap in the current directory; a file of that name is
    replaced. `-` is standard output, in scripts.

    Examples:
        export pcap
        export pcap web.pcap where DstPort = 443
    """
    return await _capture_file(ctx, "pcap", file=file, where=where)


async def pcapng(
    ctx: Context,
    file: Annotated[str | None, File("pcapng")] = None,
    where: Annotated[str, Where()] = "",
) -> Result:
    """Write captured packets as pcapng, with the interface of each.

    Examples:
        export pcapng
        export pcapng dns.pcapng where SrcPort = 53 OR DstPort = 53
    """
    return await _capture_file(ctx, "pcapng", file=file, where=where)


async def csv(
    ctx: Context, file: Annotated[str, File("csv")], query: Annotated[Asked, QueryWords()]
) -> Result:
    """Write every row of a query as csv; NULL is an empty field.

    The query is SQL or, behind `run`, one that has a name.

    Examples:
        export csv flows.csv SELECT * FROM flow
        export csv talkers.csv run top_talkers rows=100
    """
    return await _rows_file(ctx, "csv", file=file, query=query)


async def json(
    ctx: Context, file: Annotated[str, File("json")], query: Annotated[Asked, QueryWords()]
) -> Result:
    """Write every row of a query as a json array of objects.

    The query is SQL or, behind `run`, one that has a name.

    Examples:
        export json flows.json SELECT * FROM flow
        export json slow.json run slow_dns ms=50
    """
    return await _rows_file(ctx, "json", file=file, query=query)


async def parquet(
    ctx: Context, file: Annotated[str, File("parquet")], query: Annotated[Asked, QueryWords()]
) -> Result:
    """Write every row of a query as Apache Parquet, for DuckDB, pandas and the like.

    It needs pyarrow beside netobserv. A column of numbers is one of numbers there;
    one that mixes numbers and text is text.

    Examples:
        export parquet flows.parquet SELECT * FROM flow
        export parquet talkers.parquet run top_talkers rows=1000
    """
    from nshell.shell.output.parquet import ensure_arrow  # noqa: PLC0415 - seldom wanted

    await asyncio.to_thread(ensure_arrow)
    return await _rows_file(ctx, "parquet", file=file, query=query)


async def db(ctx: Context, file: Annotated[str | None, File("db")] = None) -> Result:
    """Write the whole store as an SQLite database.

    Examples:
        export db
        export db incident.db
    """
    return await _capture_file(ctx, "db", file=file)


async def _capture_file(ctx: Context, kind: str, *, file: str | None, where: str = "") -> Result:
    name = file or default_name(kind, when=time.localtime())
    summary: pb.ExportSummary | None = None
    with OutFile(name, stdout=not ctx.interactive) as out:
        async with aclosing(ctx.client.export(kind, where=where)) as replies:
            async for reply in replies:
                await out.write(reply.data)
                summary = reply.summary if reply.HasField("summary") else summary
        if summary is None:
            raise CommandError("the collector broke off: nothing was written")
        await out.commit()
    what = "the store" if kind == "db" else plural(summary.packets, "packet")
    gone = f"; {plural(summary.evicted, 'older packet')} had made room" if summary.evicted else ""
    if kind != "db" and not summary.packets and not (await ctx.client.status()).packets:
        gone += ": packets are not being captured, `capture packets on` starts that"
    return Notice(f"wrote {what} ({human_bytes(out.size)}) to {out.name}{gone}")


async def _rows_file(ctx: Context, kind: str, *, file: str, query: Asked) -> Result:
    if file.lower() == RUN or file.upper() in STARTERS:
        raise CommandError(f"a file must be named before the query: export {kind} FILE {file} ...")
    statement = ctx.queries.sql_of(query)
    with OutFile(file, stdout=not ctx.interactive) as out:
        answer = await ctx.client.query(statement)
        try:
            write = _write_parquet if kind == "parquet" else _write_rows
            rows = await write(out, kind, answer)
        finally:
            await answer.close()
        await out.commit()
    return Notice(f"wrote {plural(rows, 'row')} ({human_bytes(out.size)}) to {out.name}")


async def _write_rows(out: OutFile, kind: str, answer: Answer) -> int:
    form, rows = format_named(kind, answer.columns), 0
    await out.write(form.head().encode())
    async for chunk in answer.chunks:
        rows += len(chunk)
        text = await asyncio.to_thread(form.chunk, chunk)
        await out.write(text.encode("utf-8", "backslashreplace"))
    await out.write(form.tail().encode())
    return rows


async def _write_parquet(out: OutFile, _: str, answer: Answer) -> int:
    from nshell.shell.output.parquet import ParquetRows  # noqa: PLC0415 - seldom wanted

    with closing(ParquetRows(answer.columns)) as rows:
        async for chunk in answer.chunks:
            await asyncio.to_thread(rows.add, chunk)
        pieces = rows.pieces()
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            await out.write(piece)
        return rows.count


def default_name(kind: str, *, when: time.struct_time) -> str:
    """A name in the current directory that no file has yet."""
    stem = time.strftime("netobserv-%Y%m%d-%H%M%S", when)
    name, count = f"{stem}.{kind}", 1
    with suppress(OSError):
        while Path(name).exists():
            count += 1
            name = f"{stem}-{count}.{kind}"
    return name
