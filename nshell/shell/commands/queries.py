"""Commands for queries with a name, and for the rows of the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nshell.shell.commands.query import ask
from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.errors import CommandError
from nshell.shell.kinds import Choice
from nshell.shell.kinds.queries import Asked, NewName, QueryName, RunWords, Saved
from nshell.shell.output.recall import KEPT_ROWS
from nshell.shell.output.render import FORMATS
from nshell.shell.values import Notice, Result, Row, Table, Text

if TYPE_CHECKING:
    from nshell.shell.queries import Query
    from nshell.shell.registry import Registry


def register(registry: Registry) -> None:
    """Add this group."""
    registry.add("run", run)
    registry.add("queries", queries)
    registry.add("save", save)
    registry.add("unsave", unsave)
    registry.add("last", last)


async def run(ctx: Context, asked: Annotated[Asked, RunWords()]) -> Result:
    """Ask a query by its name, with values for its parameters.

    `queries` lists them. A value is taken as it is typed; quotes keep spaces in it.
    `watch`, `alert when` and `export csv FILE` take the same in place of SQL.

    Examples:
        run top_talkers
        run slow_dns ms=50
    """
    return await ask(ctx, ctx.queries.sql_of(asked))


async def queries(ctx: Context, name: Annotated[str | None, QueryName()] = None) -> Result:
    """List the queries that have a name, or show the text of one.

    The text says what a parameter is when it is not given.

    Examples:
        queries
        queries top_talkers
    """
    if name is not None:
        return Text(ctx.queries.get(name).text)
    known = ctx.queries.all().values()
    rows: list[Row] = [(q.name, q.summary, q.takes, _origin(q)) for q in known]
    if any(query.saved for query in known):
        return Table(("name", "what it shows", "takes", "from"), rows)
    return Table(("name", "what it shows", "takes"), [row[:3] for row in rows])


async def save(
    ctx: Context,
    name: Annotated[str, NewName()],
    statement: Annotated[str, Saved()] = "",
) -> Result:
    """Give a query a name, for this session and those to come.

    The text is kept as it is; its first comment says what it shows. `:name` in it
    is a parameter, `-- :name = 10` on a line of its own what it is when not given.
    Without a query it is the last one that was asked.

    Examples:
        save to_port SELECT SrcAddr, sum(Bytes) FROM flow WHERE DstPort = :port GROUP BY 1
        save that
    """
    text = statement or ctx.recall.statement
    if not text:
        raise CommandError("a query must follow its name: none has been asked yet")
    known = ctx.queries.all().get(name)
    query = ctx.queries.save(name, text)
    if query.hides and known is not None and not known.saved:
        return Notice(f"query {name} saved; the one that comes with the program is hidden by it")
    return Notice(f"query {name} {'replaced' if known else 'saved'}: `run {name}`")


async def unsave(ctx: Context, name: Annotated[str, QueryName()]) -> Result:
    """Remove a query that was saved.

    Examples:
        unsave to_port
    """
    query = ctx.queries.remove(name)
    back = "; the one that comes with the program is back" if query.hides else ""
    return Notice(f"query {name} removed{back}")


async def last(ctx: Context, form: Annotated[str, Choice(*FORMATS)] = "") -> Result:
    """Show the rows of the last query once more, without asking again.

    Examples:
        last
        last vertical
        last json
    """
    recall = ctx.recall
    if not recall.columns:
        raise CommandError("no query has been asked yet")
    if recall.more:
        ctx.narrate(f"its first {KEPT_ROWS:,} rows: no more are kept")
    return Table(recall.columns, list(recall.rows), format=form)


def _origin(query: Query) -> str:
    if not query.saved:
        return ""
    return "saved, hides a built-in one" if query.hides else "saved"
