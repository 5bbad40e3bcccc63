"""The commands about sessions on a cluster that need no shell.

Invariant: what they print on stdout is data; whatever goes wrong is one line on
stderr and a status from Exit.
"""

# ruff: noqa: PLC0415 - imports inside functions keep --help and the prompt quick

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nshell.arguments import CONNECTION, FORMATS, Checked, ChoiceWithHint, with_options
from nshell.cluster import names
from nshell.shell.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nshell.cluster.api import Api

_NAME = click.argument("name", required=False, type=Checked("session", names.session))
_FORBIDDEN = 403
_FILES = ("session.db", "packets.pcapng")


def register(group: click.Group) -> None:
    """Add them."""
    for command in (sessions, stop, copy, cleanup):
        group.add_command(command)


@click.command()
@with_options(CONNECTION)
@click.option(
    "format_",
    "--format",
    metavar="|".join(FORMATS),
    default="table",
    type=ChoiceWithHint(FORMATS),
    help="Of the list.",
)
@click.pass_context
def sessions(ctx: click.Context, /, **given: Any) -> None:
    """List the sessions on a cluster.

    Their agents, who is there, rows and losses.

    Of every namespace, unless --agent-namespace names one. Looking changes nothing:
    a session that was detached stays so.
    """
    ctx.exit(_status(given, lambda api: _sessions(api, given["agent_namespace"], given["format_"])))


@click.command()
@_NAME
@with_options(CONNECTION)
@click.pass_context
def stop(ctx: click.Context, /, **given: Any) -> None:
    """End a session on a cluster and remove all of it.

    The only one, or that of a NAME. What it has captured goes with it: `netobserv
    copy` fetches that before.
    """
    ctx.exit(_status(given, lambda api: _stop(api, given["agent_namespace"], given["name"])))


@click.command()
@click.argument("words", nargs=-1, metavar="[[NAME] DIR]")
@with_options(CONNECTION)
@click.option(
    "--session", type=Checked("session", names.session), metavar="NAME", help="The same as NAME."
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.pass_context
def copy(ctx: click.Context, /, **given: Any) -> None:
    """Copy what a session on a cluster has captured so far; the capture goes on.

    Into DIR, which is made: session.db, every row as an SQLite database, and
    packets.pcapng. Without DIR the files of `flows` and `packets`, named after the
    time: output/flow/TIME.json and .db, and output/pcap/TIME.pcapng where there are
    packets. NAME may be left out where there is one session.
    """
    name, directory = _copy_words(given["words"], given["session"])
    if directory is None and given["force"]:
        raise click.UsageError("--force goes with a DIR: without one nothing is replaced")

    def work(api: Api) -> int:
        where = given["agent_namespace"]
        if directory is None:
            return _copy_as_captured(api, where, name)
        return _copy(api, where, name, directory, force=given["force"])

    ctx.exit(_status(given, work))


def _copy_words(words: tuple[str, ...], session: str | None) -> tuple[str | None, Path | None]:
    """The session's name and the directory, as far as they were given."""
    *rest, directory = words or (None,)
    if len(rest) > 1:
        raise click.UsageError(f"{words[2]!r} is too much: copy [NAME] DIR")
    if rest and session:
        raise click.UsageError(f"{rest[0]!r} and --session name a session each")
    try:
        name = names.session(str(rest[0])) if rest else session
    except names.BadName as error:
        raise click.UsageError(str(error)) from error
    return name, None if directory is None else Path(directory)


@click.command()
@with_options(CONNECTION)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def cleanup(ctx: click.Context, /, **given: Any) -> None:
    """Remove whatever is left of any session on a cluster, and say what that was.

    Sessions that are at work too, so it asks first; where nobody can answer, it needs
    --yes. Of every namespace, unless --agent-namespace names one. Only what bears our
    labels is touched.
    """
    ctx.exit(_status(given, lambda api: _cleanup(api, given["agent_namespace"], yes=given["yes"])))


def _status(given: dict[str, Any], work: Callable[[Api], int]) -> int:
    """Of a command that needs the API server."""
    from nshell.cluster.api import WRONG, Api, ApiError
    from nshell.shell.batch import complain
    from nshell.shell.errors import CommandError, Refused, SessionLost

    api = None
    try:
        api = Api.connect(given["kubeconfig"], given["context"])
        return work(api)
    except ApiError as error:
        hint = "; `netobserv doctor` says what is needed" if error.status == _FORBIDDEN else ""
        complain(f"{error}{hint}")
        return Exit.USAGE if error.reason == WRONG else Exit.NO_AGENT
    except Refused as error:
        complain(str(error))
        return Exit.USAGE
    except SessionLost as error:
        complain(str(error))
        return Exit.NO_AGENT
    except (CommandError, OSError) as error:
        complain(str(error))
        return Exit.FAILED
    finally:
        if api is not None:
            api.close()


def _sessions(api: Api, namespace: str | None, format_: str) -> int:
    import asyncio
    import json
    import time

    from nshell.cluster.sessions import COLUMNS, look, record, row
    from nshell.shell.batch import say
    from nshell.shell.output.render import render

    there, now = asyncio.run(look(api, namespace)), time.time()
    if format_ == "json":
        click.echo(json.dumps([record(each, now=now) for each in there], indent=1))
        return Exit.OK
    if not there and format_ == "table":
        say("no session")
        return Exit.OK
    rows = [tuple("-" if cell is None else cell for cell in row(each, now=now)) for each in there]
    columns = COLUMNS
    if not any(each.problem for each in there):
        columns, rows = COLUMNS[:-1], [cells[:-1] for cells in rows]
    click.echo(render(format_, columns, rows), nl=False)
    return Exit.OK


def _stop(api: Api, namespace: str | None, name: str | None) -> int:
    import asyncio
    import threading

    from nshell.cluster.removal import Removal
    from nshell.cluster.sessions import chosen
    from nshell.shell.batch import complain, say

    session = chosen(api, namespace, name)
    told = asyncio.run(_asked_to_stop(api, session))
    say(told)
    removal = Removal(api, session.deployment(), hurry=threading.Event(), say=lambda _: None)
    problem = removal.run(orderly=told.startswith("session ended"))
    if problem:
        complain(problem)
        return Exit.FAILED
    say(f"session {session.name} is removed from namespace {session.namespace}")
    return Exit.OK


async def _asked_to_stop(api: Api, session: Any) -> str:
    """What the session came to; without an answer, why there is none."""
    import asyncio

    from nshell.cluster.api import ApiError
    from nshell.cluster.sessions import ANSWER_SECONDS, reached
    from nshell.shell.commands.session import totals
    from nshell.shell.errors import CommandError, SessionLost

    try:
        async with asyncio.timeout(4 * ANSWER_SECONDS), reached(api, session) as client:
            reply = await client.stop()
            return totals(
                flow_rows=reply.flow_rows, packet_rows=reply.packet_rows, lost=reply.lost
            ).text
    except TimeoutError:
        return f"the collector of session {session.name} did not answer: it is removed as it is"
    except (ApiError, CommandError, SessionLost, OSError) as error:
        return f"session {session.name} is removed as it is: {error}"


def _copy(
    api: Api, namespace: str | None, name: str | None, directory: Path, *, force: bool
) -> int:
    import asyncio

    from nshell.cluster.sessions import chosen

    targets = [directory / each for each in _FILES]
    _check_targets(directory, targets, force=force)
    session = chosen(api, namespace, name)
    asyncio.run(_copied(api, session, targets))
    return Exit.OK


def _copy_as_captured(api: Api, namespace: str | None, name: str | None) -> int:
    import asyncio

    from nshell.cluster.sessions import chosen

    asyncio.run(_written(api, chosen(api, namespace, name)))
    return Exit.OK


async def _written(api: Api, session: Any) -> None:
    """The files that `flows` and `packets` leave."""
    import time
    from contextlib import aclosing

    from nshell.cluster.sessions import reached
    from nshell.netobservcli.files import OF_FLOWS, OF_PACKETS, Place, write

    async with reached(api, session) as client:
        status = await client.status()
        kinds = (
            *(OF_FLOWS if status.flows or status.flow_rows else ()),
            *(OF_PACKETS if status.packets or status.packet_rows else ()),
        )
        async with aclosing(write(client, Place(time.time(), kinds))) as files:
            async for path, holds in files:
                click.echo(f"./{path}: {holds}")


def _check_targets(directory: Path, targets: Iterable[Path], *, force: bool) -> None:
    """Before anybody is asked for anything; CommandError where it cannot be."""
    from nshell.shell.errors import CommandError, why

    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise CommandError(f"{directory} is not a directory") from None
    except OSError as error:
        raise CommandError(f"cannot make {directory}: {why(error)}") from error
    for path in targets:
        if path.exists() and not force:
            raise CommandError(f"{path} is there already: --force replaces it")


async def _copied(api: Api, session: Any, targets: Iterable[Path]) -> None:
    from contextlib import aclosing

    from nshell.cluster.sessions import reached
    from nshell.shell.output.outfile import OutFile
    from nshell.shell.units import human_bytes, plural

    async with reached(api, session) as client:
        for path in targets:
            packets = 0
            with OutFile(str(path), stdout=False) as file:
                kind = "db" if path.suffix == ".db" else "pcapng"
                async with aclosing(client.export(kind)) as replies:
                    async for reply in replies:
                        await file.write(reply.data)
                        packets = reply.summary.packets or packets
                await file.commit()
            counted = f", {plural(packets, 'packet')}" if kind == "pcapng" else ""
            click.echo(f"{path}: {human_bytes(file.size)}{counted}")


def _cleanup(api: Api, namespace: str | None, *, yes: bool) -> int:
    from nshell.cluster.cleanup import Cleanup
    from nshell.cluster.sessions import ALL
    from nshell.shell.batch import complain, say
    from nshell.shell.units import plural

    work = Cleanup(api, None if namespace == ALL else namespace)
    left = work.find()
    if not left:
        say("nothing is left of any session")
        return Exit.OK
    staying = [each for each in left if not each.going]
    if staying and not yes:
        for each in staying:
            click.echo(f"  {each}", err=True)
        if not sys.stdin.isatty():
            complain(f"{plural(len(staying), 'object')} would be removed: --yes removes them")
            return Exit.USAGE
        click.confirm(f"Remove {plural(len(staying), 'object')}?", abort=True, err=True)
    outcome = work.run(left, tell=lambda each: click.echo(f"removed {each}"))
    for problem in outcome.problems:
        complain(problem)
    return Exit.FAILED if outcome.problems else Exit.OK
