"""Commands that change which packets the kernel captures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nshell.filters import parse_rule
from nshell.shell.commands.acks import applied
from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.kinds.filters import FilterId, FilterIds, FilterWords
from nshell.shell.units import brief, plural
from nshell.shell.values import Result, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nshell.proto import session_pb2 as pb
    from nshell.shell.registry import Registry


def register(registry: Registry) -> None:
    """Add this group."""
    registry.add("filter", filter_)
    registry.add("filter add", add)
    registry.add("filter list", show)
    registry.add("filter del", delete)
    registry.add("filter replace", replace)
    registry.add("filter clear", clear)


async def filter_(
    ctx: Context,
    rule: Annotated[
        tuple[str, ...] | None,
        FilterWords("add", "list", "del", "replace", "clear", "try", "explain"),
    ] = None,
) -> Result:
    """Add a filter, or list them when no rule is given.

    Filters are tried in order; the first whose predicates all hold decides.
    Where none matches, a packet is left out if any filter accepts, else taken.
    Several values of one predicate are alternatives. `as NAME` at the end gives it a
    name for `filter del` and `filter replace`, and filter_name(FilterId) in SQL tells
    which rows it captured. On a cluster, pod,
    namespace, service, owner, label and node select by name and are followed:
    a pod that is replaced is captured under its new address.

    Examples:
        filter peer_ip 10.129.0.48
        filter port 80,443 protocol tcp
        filter port 5432 as postgres
        filter pod shop/web-*
        filter service shop/web
        filter reject cidr 10.0.0.0/8 for packets
        filter
    """
    return await show(ctx) if rule is None else await add(ctx, rule)


async def add(ctx: Context, rule: Annotated[tuple[str, ...], FilterWords()]) -> Result:
    """Add a filter behind those there are.

    Examples:
        filter add protocol icmp
        filter add reject port 22
    """
    reply = await ctx.client.add_filter(rule)
    return applied(f"{_named(reply.filter_ids)} added: {brief(parse_rule(rule).text)}", reply)


async def show(ctx: Context) -> Result:
    """List the filters, with the packets that each has decided so far.

    On a cluster also the addresses that a filter's selectors stand for now.

    Examples:
        filter list
    """
    status = await ctx.client.status()
    # Whole in json and csv, and in the table filter_log.
    table = ctx.settings.format == "table"
    spell = brief if table else str
    selected = status.HasField("kubernetes")
    named = any(rule.name for rule in status.rules)
    rows = [
        (
            rule.id,
            *((rule.name or None,) if named else ()),
            spell(rule.text),
            *((_addresses(rule, most=3 if table else None),) if selected else ()),
            rule.flow_hits,
            rule.packet_hits,
            _applied_on(status),
            status.generation,
            *((spell(rule.note),) if selected else ()),
        )
        for rule in status.rules
    ]
    columns = (
        "id",
        *(("name",) if named else ()),
        "filter",
        *(("addresses",) if selected else ()),
        "flow hits",
        "packet hits",
        "applied",
        "generation",
        *(("note",) if selected else ()),
    )
    return Table(columns, rows, empty="no filters: everything is captured")


async def delete(ctx: Context, ids: Annotated[tuple[int | str, ...], FilterIds()]) -> Result:
    """Take filters away, by number or name.

    Examples:
        filter del 3
        filter del 1 2
        filter del web
    """
    numbers = await _numbers(ctx, ids)
    reply = await ctx.client.delete_filters(numbers)
    return applied(f"{_named(reply.filter_ids or numbers)} deleted", reply)


async def replace(
    ctx: Context,
    which: Annotated[int | str, FilterId()],
    rule: Annotated[tuple[str, ...], FilterWords()],
) -> Result:
    """Put another rule in a filter's place, in one step; its name stays.

    Examples:
        filter replace 3 peer_ip 10.129.0.49
        filter replace 1 reject protocol icmp for packets
        filter replace web port 8080
    """
    (number,) = await _numbers(ctx, (which,))
    reply = await ctx.client.replace_filter(number, rule)
    text = brief(parse_rule(rule).text)
    return applied(f"{_named(reply.filter_ids or (number,))} replaced: {text}", reply)


async def clear(ctx: Context) -> Result:
    """Take all filters away: everything is captured again.

    Examples:
        filter clear
    """
    reply = await ctx.client.clear_filters()
    return applied(f"{plural(len(reply.filter_ids), 'filter')} cleared", reply)


def _named(ids: Sequence[int]) -> str:
    return f"filter{'' if len(ids) == 1 else 's'} {', '.join(map(str, ids))}"


async def _numbers(ctx: Context, said: Sequence[int | str]) -> tuple[int, ...]:
    """CommandError for a name that no filter has."""
    if not any(isinstance(each, str) for each in said):
        return tuple(each for each in said if isinstance(each, int))
    known = {rule.name: rule.id for rule in (await ctx.client.status()).rules if rule.name}
    return tuple(_number(known, each) if isinstance(each, str) else each for each in said)


def _number(known: Mapping[str, int], name: str) -> int:
    if name in known:
        return known[name]
    if not known:
        raise CommandError(f"no filter named {name!r}: none has a name, `filter list` shows them")
    hint = did_you_mean(name, known) or f": there is {', '.join(known)}"
    raise CommandError(f"no filter named {name!r}{hint}")


def _addresses(rule: pb.RuleStatus, *, most: int | None) -> str:
    """Of what its selectors stand for the first few, and a count."""
    listed = rule.addresses[:most]
    more = rule.address_count - len(listed)
    return ", ".join(listed) + (f" and {more:,} more" if more > 0 else "")


def _applied_on(status: pb.Status) -> str:
    done = sum(a.connected and a.generation == status.generation for a in status.agents)
    return f"{done}/{len(status.agents)}"
