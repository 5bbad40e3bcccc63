"""Commands that write files, while the capture goes on."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.errors import CommandError
from nshell.shell.kinds import Sql, Where
from nshell.shell.kinds.files import File
from nshell.shell.output.outfile import OutFile
from nshell.shell.output.render import format_named
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
    registry.add("export db", db)


async def pcap(
    ctx: Context,
    file: Annotated[str | None, File("pcap")] = None,
    where: Annotated[str | None, Where()] = None,
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
    where: Annotated[str | None, Where()] = None,
) -> Result:
    """Write captured packets as pcapng, with the interface of each.

    Examples:
        export pcapng
        export pcapng dns.pcapng where SrcPort = 53 OR DstPort = 53
    """
    return await _capture_file(ctx, "pcapng", file=file, where=where)


async def csv(
    ctx: Context, file: Annotated[str, File("csv")], statement: Annotated[str, Sql()]
) -> Result:
    """Write every row of a query as csv; NULL is an empty field.

    Examples:
        export csv flows.csv SELECT * FROM flow
        export csv talkers.csv SELECT SrcAddr, sum(Bytes) FROM flow GROUP BY 1
    """
    return await _rows_file(ctx, "csv", file=file, statement=statement)


async def json(
    ctx: Context, file: Annotated[str, File("json")], statement: Annotated[str, Sql()]
) -> Result:
    """Write every row of a query as a json array of objects.

    Examples:
        export json flows.json SELECT * FROM flow
        export json drops.json SELECT * FROM drop_summary
    """
    return await _rows_file(ctx, "json", file=file, statement=statement)


async def db(ctx: Context, file: Annotated[str | None, File("db")] = None) -> Result:
    """Write the whole store as an SQLite database.

    Examples:
        export db
        export db incident.db
    """
    return await _capture_file(ctx, "db", file=file, where=None)


async def _capture_file(ctx: Context, kind: str, *, file: str | None, where: str | None) -> Result:
    name = file or default_name(kind, when=time.localtime())
    summary: pb.ExportSummary | None = None
    with OutFile(name, stdout=not ctx.interactive) as out:
        async with aclosing(ctx.client.export(kind, where=where or "")) as replies:
            async for reply in replies:
                await out.write(reply.data)
                summary = reply.summary if reply.HasField("summary") else summary
        if summary is None:
            raise CommandError("the collector broke off: nothing was written")
        await out.commit()
    what = "the store" if kind == "db" else plural(summary.packets, "packet")
    gone = f"; {plural(summary.evicted, 'older packet')} had made room" if summary.evicted else ""
    return Notice(f"wrote {what} ({human_bytes(out.size)}) to {out.name}{gone}")


async def _rows_file(ctx: Context, kind: str, *, file: str, statement: str) -> Result:
    with OutFile(file, stdout=not ctx.interactive) as out:
        answer = await ctx.client.query(statement)
        try:
            rows = await _write_rows(out, kind, answer)
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


def default_name(kind: str, *, when: time.struct_time) -> str:
    """A name in the current directory that no file has yet."""
    stem = time.strftime("netobserv-%Y%m%d-%H%M%S", when)
    name, count = f"{stem}.{kind}", 1
    with suppress(OSError):
        while Path(name).exists():
            count += 1
            name = f"{stem}-{count}.{kind}"
    return name
