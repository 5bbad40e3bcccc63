"""Pods, services and nodes as ends of a question: the addresses that they have now."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from nshell.shell.errors import CommandError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.shell.client import Client
    from nshell.shell.why.question import Address, Target

_PART = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_MOST_LONG = 253
_NAMED = "Type IN ('Pod', 'Service') AND ValidToMs IS NULL"
_SUGGESTED = 5000


@dataclass(frozen=True, slots=True)
class ClusterName:
    """A pod or a service, as NAMESPACE/NAME."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def parse_cluster_name(word: str) -> ClusterName | None:
    """What NAMESPACE/NAME means; None for a word that has no slash."""
    namespace, slash, name = word.partition("/")
    if not slash:
        return None
    if len(word) > _MOST_LONG or not (_PART.fullmatch(namespace) and _PART.fullmatch(name)):
        raise CommandError(f"{word!r} is not NAMESPACE/NAME of a pod or a service")
    return ClusterName(namespace, name)


async def addressed(
    client: Client, source: Address | ClusterName, target: Target
) -> tuple[Address, Target]:
    """Both with addresses, of one family where they have one in common.

    CommandError, with the nearest name, where nothing of that name has one.
    """
    sources = await _addresses(client, source) if isinstance(source, ClusterName) else [source]
    named = target.cluster_name
    targets = [target.address] if named is None else await _addresses(client, named)
    pairs = [
        (near, far)
        for near in sources
        for far in targets
        if far is None or near.version == far.version
    ]
    near, far = pairs[0] if pairs else (sources[0], targets[0])
    return near, replace(target, address=far, cluster_name=None)


async def _addresses(client: Client, named: ClusterName) -> list[Address]:
    # The name has been read: it holds no quote.
    rows = await _rows(
        client,
        f"SELECT Address FROM ip_owner WHERE {_NAMED} "  # noqa: S608
        f"AND Namespace = '{named.namespace}' AND Name = '{named.name}' ORDER BY rowid",
    )
    if not rows:
        raise CommandError(await _unknown(client, named))
    return [ip_address(str(row[0])) for row in rows]


async def _unknown(client: Client, named: ClusterName) -> str:
    if not (await client.status()).HasField("kubernetes"):
        return f"{str(named)!r} needs a session on a cluster: say an address"
    rows = await _rows(
        client,
        f"SELECT DISTINCT Namespace || '/' || Name FROM ip_owner WHERE {_NAMED} "  # noqa: S608
        f"LIMIT {_SUGGESTED}",
    )
    near = did_you_mean(str(named), [str(row[0]) for row in rows])
    return f"no pod or service {str(named)!r} has an address of its own{near}"


async def _rows(client: Client, sql: str) -> list[Sequence[object]]:
    answer = await client.query(sql)
    try:
        return [row async for chunk in answer.chunks for row in chunk]
    finally:
        await answer.close()
