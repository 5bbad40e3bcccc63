"""Commands about the session itself."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Annotated

from nshell.shell.commands.acks import applied
from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.errors import CommandError
from nshell.shell.escape import escape
from nshell.shell.help import text as helptext
from nshell.shell.kinds import Duration, Pattern, UntilSql
from nshell.shell.kinds.files import File
from nshell.shell.kinds.help import HelpTopic
from nshell.shell.settings import DNS_PORT, Setting, SettingWords, give, words_of
from nshell.shell.statustext import agent_rows, status_text
from nshell.shell.units import parse_duration, plural
from nshell.shell.values import Answer, Notice, Quit, Result, Source, Table, Text

if TYPE_CHECKING:
    from nshell.shell.client import Client
    from nshell.shell.registry import Registry

POLL_SECONDS = 0.2

_LOSSES = (
    "SELECT Node, Stage, sum(Count) AS Count, sum(Bytes) AS Bytes, min(TimeFromMs) AS TimeFromMs, "
    "max(TimeToMs) AS TimeToMs FROM loss GROUP BY Node, Stage ORDER BY Count DESC"
)
_TIMEOUT = re.compile(r"\s+timeout\s+(\S+)\s*;?\s*$", re.IGNORECASE)


def register(registry: Registry) -> None:
    """Add this group."""
    registry.add("status", status)
    registry.add("agents", agents)
    registry.add("losses", losses)
    registry.add("wait", wait)
    registry.add("wait until", wait_until)
    registry.add("source", source)
    registry.add("set", set_)
    registry.add("history", history)
    registry.add("help", help_)
    registry.add("detach", detach)
    registry.add("quit", quit_)
    registry.add("exit", exit_)


async def status(ctx: Context) -> Result:
    """Show what is captured, how much so far, and what was lost.

    Examples:
        status
    """
    return Text(status_text(await ctx.client.status()))


async def agents(ctx: Context) -> Result:
    """List the agents: one per node, with what each has applied.

    Examples:
        agents
    """
    columns, rows = agent_rows(await ctx.client.status())
    return Table(columns, rows, empty="no agent has connected yet")


async def losses(ctx: Context) -> Result:
    """Show what was lost on the way, by node and place.

    Examples:
        losses
    """
    found = await _all_rows(await ctx.client.query(_LOSSES))
    if not found.rows:
        return Text("no loss")
    total = sum(row[2] for row in found.rows if isinstance(row[2], int))
    return Table(found.columns, [*found.rows, ("total", "", total, None, None, None)])


async def _all_rows(answer: Answer) -> Table:
    try:
        rows = [row async for chunk in answer.chunks for row in chunk]
    finally:
        await answer.close()
    return Table(answer.columns, rows)


async def wait(ctx: Context, duration: Annotated[float, Duration()]) -> Result:  # noqa: ARG001
    """Do nothing for a while; the capture goes on.

    Examples:
        wait 10s
        wait 1m30s
    """
    await asyncio.sleep(duration)
    return None


async def wait_until(ctx: Context, statement: Annotated[str, UntilSql()]) -> Result:
    """Wait until the first cell that a query gives is true.

    The query is asked five times a second. Without a timeout it may wait for
    ever; Ctrl-C ends it.

    Examples:
        wait until SELECT count(*) >= 100 FROM flow
        wait until SELECT count(*) FROM packet WHERE DstPort = 53 timeout 30s
    """
    sql, seconds = _split_timeout(statement)
    try:
        async with asyncio.timeout(seconds):
            while not await _is_true(ctx.client, sql):
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise CommandError(f"not true within {seconds:g} s: {sql}") from None
    return None


def _split_timeout(statement: str) -> tuple[str, float | None]:
    match = _TIMEOUT.search(statement)
    if match is None:
        return statement.rstrip("; \n"), None
    try:
        return statement[: match.start()], parse_duration(match[1])
    except ValueError as error:
        raise CommandError(str(error)) from None


async def _is_true(client: Client, sql: str) -> bool:
    found = await _all_rows(await client.query(sql, limit=1))
    return bool(found.rows) and bool(found.rows[0][0])


async def source(ctx: Context, file: Annotated[str, File()]) -> Result:  # noqa: ARG001
    """Run the commands of a file, up to the first that fails.

    One command a line; `#` begins a comment; SQL may span lines until `;`.

    Examples:
        source morning-check.nsh
    """
    return Source(file)


async def set_(ctx: Context, setting: Annotated[Setting | None, SettingWords()] = None) -> Result:
    """Choose how the shell behaves and what is taken for DNS, or see what is chosen.

    Alone it lists every setting with its value and where that came from. What is
    chosen here holds for this session; `help config` says how to keep it.

    format    table, json, csv, markdown or vertical
    expanded  auto, on or off: a row a block; auto: where rows are wider than the screen
    pager     auto or off: results higher than the screen go through one
    timing    on or off: how long a query took
    human     on or off: bytes and durations in units, on a terminal
    theme     auto, dark, light or mono
    keys      emacs or vi; F4 changes it too
    color     auto or never
    dns_port  one port or up to 8, 53 at first

    Examples:
        set
        set format json
        set theme light
        set keys vi
        set dns_port 53,5353
    """
    if setting is None:
        return await _every_setting(ctx)
    if setting.ports:
        reply = await ctx.client.set_dns_ports(setting.ports)
        return applied(f"DNS on port {', '.join(map(str, setting.ports))}", reply)
    if setting.name == DNS_PORT:
        return Text(f"{DNS_PORT} {await _dns_ports(ctx)}")
    if setting.value:
        give(ctx.settings, setting.name, setting.value, origin="set")
    return Text(f"{setting.name} {words_of(ctx.settings)[setting.name]}")


async def _every_setting(ctx: Context) -> Table:
    origins = ctx.settings.origins
    rows = [
        (name, word, origins.get(name, "default")) for name, word in words_of(ctx.settings).items()
    ]
    session = (DNS_PORT, await _dns_ports(ctx), "the session")
    return Table(("setting", "value", "from"), [*rows, session])


async def _dns_ports(ctx: Context) -> str:
    return ",".join(map(str, (await ctx.client.status()).dns_ports))


async def history(ctx: Context, text: Annotated[str | None, Pattern()] = None) -> Result:
    """List the lines typed at the prompt, oldest first, or those with some text in them.

    Examples:
        history
        history filter
    """
    lines = [line for line in ctx.history() if text is None or text in line]
    return Text("\n".join(escape(line) for line in lines[-1000:])) if lines else None


async def help_(ctx: Context, command: Annotated[str | None, HelpTopic()] = None) -> Result:
    """List the commands, explain one, or find those that speak of a word.

    Three pages are of no command: `help keys`, `help sql` and `help config`.

    Examples:
        help
        help filter
        help export pcap
        help keys
        help sql
        help dropped
    """
    if command is None:
        return Text(helptext.overview(ctx.registry))
    if command in helptext.PAGES:
        return Text(await _page(ctx, command))
    return Text(helptext.about(ctx.registry, command))


async def _page(ctx: Context, name: str) -> str:
    from nshell.shell.help import pages as helppages  # noqa: PLC0415 - only when asked for

    if name == "keys":
        return helppages.keys_page()
    if name == "config":
        return helppages.config_page()
    described = await ctx.client.describe() if ctx.client.connected else None
    return helppages.sql_page(described)


async def detach(ctx: Context) -> Result:
    """Leave the session on the cluster, where it goes on capturing within its limits.

    `netobserv attach` comes back to it. One that nobody comes back to ends by itself.

    Examples:
        detach
    """
    return_by = ctx.host.return_by if ctx.host is not None else ""
    if not return_by:
        raise CommandError("a session on this host ends with its shell: `quit` ends both")
    reply = await ctx.client.detach()
    until = f", until {_local_time(reply.ends_ns)} at the latest" if reply.ends_ns else ""
    if reply.kept_until_ns and not reply.ends_ns:
        until = f" till {_local_time(reply.kept_until_ns)}, capturing nothing more"
    ctx.narrate(f"the session goes on{until}: {return_by} comes back to it")
    return Quit()


def _local_time(ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(ns / 1e9))


async def quit_(ctx: Context) -> Result:  # noqa: ARG001
    """Stop the capture and leave; nothing stays behind.

    Examples:
        quit
    """
    return Quit()


async def exit_(ctx: Context) -> Result:
    """The same as quit.

    Examples:
        exit
    """
    return await quit_(ctx)


def totals(*, flow_rows: int, packet_rows: int, lost: int) -> Notice:
    """The last line of a session."""
    rows = f"{plural(flow_rows, 'flow row')}, {plural(packet_rows, 'packet')}"
    return Notice(
        f"session ended: {rows}, {lost:,} lost" if lost else f"session ended: {rows}, no loss"
    )
