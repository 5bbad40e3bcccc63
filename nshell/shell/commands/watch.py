"""Commands that ask the same query again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.errors import CommandError
from nshell.shell.units import brief, clock, plural
from nshell.shell.values import Notice, Result, Table
from nshell.shell.watch.alerts import holds, is_nothing, short
from nshell.shell.watch.asking import ask
from nshell.shell.watch.live import Watch
from nshell.shell.watch.words import (
    AlertIds,
    EveryWhen,
    NothingMore,
    Watching,
    WatchWords,
    WhenQuery,
    show_interval,
)

if TYPE_CHECKING:
    from nshell.shell.registry import Registry

_LAST = Watching("")
_LISTED = 48
"""Characters of a statement in a list: a row is to fit on a line."""


def register(registry: Registry) -> None:
    """Add this group."""
    registry.add("watch", watch)
    registry.add("alert", alert)
    registry.add("alert when", alert_when)
    registry.add("alert every", alert_every)
    registry.add("alert list", alert_list)
    registry.add("alert del", alert_delete)
    registry.add("alert clear", alert_clear)
    registry.add("alerts", alerts)


async def watch(ctx: Context, words: Annotated[Watching, WatchWords()] = _LAST) -> Result:
    """Ask a query again and again, every 2s unless told else, and show what changes in place.

    Values that have changed stand out, a `+` marks rows that were not there before,
    and beside a number that changes is its history, each row scaled to itself. Rows
    are told apart by the texts that they begin with and by what follows, as far as
    that is needed. Space pauses, + and - change the interval, arrows move, any other
    key ends it; the last result stays. Without a query it is the last one that was
    asked. A query is never asked twice at once: one that takes longer than the
    interval gets as long a rest. The first 1,000 rows are fetched. Where nothing can
    be drawn each result is appended, its time told on stderr.

    Examples:
        watch SELECT SrcAddr, DstAddr, sum(Bytes) AS Bytes FROM flow GROUP BY 1, 2 ORDER BY 3 DESC
        watch 500ms SELECT Name, Value FROM counter
        watch 5s run top_talkers
        watch 1s count 10 SELECT max(TimeNs) FROM packet
    """
    statement = _statement(ctx, words)
    first = await ask(ctx.client, statement)
    ctx.recall.statement = statement
    wanted = Watching(statement, every=words.every, times=words.times)
    return Watch(ctx, wanted, first)


def _statement(ctx: Context, watching: Watching) -> str:
    statement = ctx.queries.sql_of(watching) or ctx.recall.statement
    if not statement:
        raise CommandError("a query must follow: none has been asked yet")
    return statement


async def alert(
    ctx: Context,
    nothing: Annotated[  # noqa: ARG001 - there is never anything
        None, NothingMore("when", "every", "list", "del", "clear")
    ] = None,
) -> Result:
    """List the alerts: queries asked behind the prompt that tell of new rows.

    Examples:
        alert
        alert when SELECT SrcAddr, DstAddr, Reason FROM packet_drop WHERE Loss
    """
    rows = [
        (
            a.number,
            show_interval(a.every),
            a.told,
            clock(a.told_at) if a.told_at else None,
            brief(a.error, most=_LISTED) or None,
            short(a.statement, most=_LISTED),
        )
        for a in ctx.alerts
    ]
    columns = ("alert", "every", "rows told", "last", "error", "when")
    return Table(columns, rows, empty="no alerts: `alert when SELECT ...` makes one")


async def alert_when(ctx: Context, query: Annotated[Watching, WhenQuery()]) -> Result:
    """Tell above the prompt, from now on, when a query returns rows that it did not before.

    It is asked every 2s; `alert every` has it otherwise. Rows that are there already
    are counted, not told. Of many new rows three are told and the rest counted, at
    most once in 5s; of all alerts together twelve lines in that time, then one
    that counts what was held back. A row counts as a whole: with count(*) or a time in it, it is
    new whenever that changes. A single row of 0 or NULL counts as none, so a
    condition works: it is told when it begins to hold, and again when it does anew.
    What an alert has told is forgotten once its query returns nothing. It ends with
    the session; 16 may be there.

    Examples:
        alert when SELECT Node, SrcAddr, DstAddr, DstPort, Reason FROM packet_drop WHERE Loss
        alert when SELECT ClientAddr, Name, Rcode FROM dns WHERE Rcode <> 'NoError'
        alert when SELECT count(*) > 100 FROM tcp_event WHERE Event = 'retransmit'
    """
    return await _alert(ctx, query)


async def alert_every(ctx: Context, query: Annotated[Watching, EveryWhen()]) -> Result:
    """The same as `alert when`, asked as often as is said, from 250ms to 1h.

    Examples:
        alert every 10s when SELECT DISTINCT SrcAddr FROM flow WHERE DstPort = 22
        alert every 1m when SELECT Stage, Count FROM loss
    """
    return await _alert(ctx, query)


async def _alert(ctx: Context, watching: Watching) -> Notice:
    statement = _statement(ctx, watching)
    made, ran = await ctx.alerts.add(ctx, statement, watching.every)
    added = f"alert {made.number} added: every {show_interval(made.every)}"
    if is_nothing(ran.rows):
        return Notice(added)
    if holds(ran.rows):
        return Notice(f"{added}; it holds already")
    least = "at least " if ran.more else ""
    return Notice(f"{added}; {least}{plural(len(ran.rows), 'row')} there already")


async def alert_list(ctx: Context) -> Result:
    """List the alerts, how often each has told of something, and what is wrong with it.

    Examples:
        alert list
    """
    return await alert(ctx)


async def alerts(ctx: Context) -> Result:
    """The same as alert list.

    Examples:
        alerts
    """
    return await alert(ctx)


async def alert_delete(ctx: Context, ids: Annotated[tuple[int, ...], AlertIds()]) -> Result:
    """Remove alerts by their numbers.

    Examples:
        alert del 1
        alert del 2 3
    """
    removed = ctx.alerts.remove(ids)
    noun = "alert" if len(removed) == 1 else "alerts"
    return Notice(f"{noun} {', '.join(map(str, removed))} deleted")


async def alert_clear(ctx: Context) -> Result:
    """Remove every alert.

    Examples:
        alert clear
    """
    removed = ctx.alerts.remove([a.number for a in ctx.alerts])
    return Notice(f"{plural(len(removed), 'alert')} deleted" if removed else "no alerts")
