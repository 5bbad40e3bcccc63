"""The sessions on a cluster from outside: which there are, and a way to their collectors.

Invariant: looking at a session changes nothing of it, its lease and detachment
least of all.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nshell.cluster import deploy
from nshell.cluster.api import FIELD_MANAGER, ApiError
from nshell.cluster.manifests import COLLECTOR_PORT, Deployment
from nshell.cluster.portforward import PortForward
from nshell.cluster.websocket import open_port
from nshell.shell.client import Client
from nshell.shell.errors import CommandError, Refused, SessionLost, did_you_mean
from nshell.shell.statustext import capturing
from nshell.shell.units import plural
from nshell.shell.workdir import base_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from nshell.cluster.api import Api
    from nshell.cluster.manifests import Object
    from nshell.proto import session_pb2 as pb
    from nshell.shell.values import Row

ANSWER_SECONDS = 3.0
"""For a collector to say how it is."""
ALL = "all"
"""As a namespace: every one."""
COLUMNS: tuple[str, ...] = (
    "name", "namespace", "age", "agents", "state", "capturing", "flow_rows", "packet_rows", "lost",
    "problem",
)  # fmt: skip
_OWNER_PARTS = 3


@dataclass(frozen=True, slots=True)
class Found:
    """One session, as the API server has it and as its collector answers."""

    name: str
    namespace: str
    created: float
    """Seconds since 1970."""
    ready: int | None = None
    """Agents, None where the server has no DaemonSet of it."""
    desired: int | None = None
    status: pb.Status | None = None
    problem: str = ""
    """Why there is no status."""

    def deployment(self) -> Deployment:
        """Names of its objects."""
        return Deployment(image="none", session=self.name, namespace=self.namespace)


def find(api: Api, namespace: str | None) -> list[Found]:
    """Those of a namespace, or of all; by their owners, for these are made first and go last."""
    selector = f"{deploy.MANAGED}={FIELD_MANAGER},{deploy.SESSION}"
    found = []
    for role in api.get(deploy.ROLES, labelSelector=selector)["items"]:
        # No part of the name has a dot in it.
        parts = str(role["metadata"]["name"]).split(".")
        if len(parts) == _OWNER_PARTS and namespace in (None, ALL, parts[1]):
            created = datetime.fromisoformat(role["metadata"]["creationTimestamp"]).timestamp()
            found.append(Found(parts[2], parts[1], created))
    return sorted(found, key=lambda each: (each.namespace, each.name))


def chosen(api: Api, namespace: str | None, name: str | None) -> Found:
    """The one that is meant; Refused says which there are."""
    there = find(api, namespace)
    where = f" in namespace {namespace}" if namespace not in (None, ALL) else ""
    if not there:
        raise Refused(f"no session{where}")
    named = [each for each in there if name in (None, each.name)]
    if len(named) == 1:
        return named[0]
    if not named:
        names = [each.name for each in there]
        raise Refused(f"no session {name!r}{where}"
                      f"{did_you_mean(str(name), names) or _listed(names)}")  # fmt: skip
    if len({each.name for each in named}) == 1:
        places = ", ".join(each.namespace for each in named)
        raise Refused(f"session {named[0].name} is in several namespaces ({places}):"
                      " --agent-namespace says which")  # fmt: skip
    raise Refused(f"{plural(len(named), 'session')}{where}: which of {_names(named)}?")


async def look(api: Api, namespace: str | None) -> list[Found]:
    """All of them with what is known of each; none takes longer than its time to answer."""
    there = await asyncio.to_thread(find, api, namespace)
    return list(await asyncio.gather(*(_looked_at(api, each) for each in there)))


@asynccontextmanager
async def reached(api: Api, session: Found) -> AsyncIterator[Client]:
    """A connection to its collector, through the API server."""
    with tempfile.TemporaryDirectory(prefix="netobserv-", dir=base_directory()) as made:
        directory = Path(made)
        credentials = await asyncio.to_thread(
            deploy.credentials, api, session.namespace, session.name
        )
        credentials.write(directory / "tls")
        deployment = session.deployment()
        # What is wrong with the pod is known before a connection waits for it.
        await asyncio.to_thread(deploy.collector_pod, api, deployment)
        forward = PortForward(
            directory / "s",
            lambda: open_port(
                api, session.namespace, deploy.collector_pod(api, deployment), COLLECTOR_PORT
            ),
        )
        client = Client()
        try:
            await client.connect(f"unix:{directory / 's'}", tls=directory / "tls")
            yield client
        finally:
            await client.close()
            await asyncio.to_thread(forward.close)


def row(session: Found, *, now: float) -> Row:
    """In the order of COLUMNS; None where it is not known."""
    status = session.status
    return (
        session.name,
        session.namespace,
        age(now - session.created),
        f"{_dash(session.ready)}/{_dash(session.desired)}",
        state(status) if status else None,
        capturing(status) if status else None,
        status.flow_rows if status else None,
        status.packet_rows if status else None,
        status.lost if status else None,
        session.problem or None,
    )


def record(session: Found, *, now: float) -> dict[str, Any]:
    """The same for programs."""
    made = dict(zip(COLUMNS, row(session, now=now), strict=True))
    made["age_seconds"] = int(now - session.created)
    made["agents_ready"], made["agents_desired"] = session.ready, session.desired
    return made


def state(status: pb.Status) -> str:
    """ "attached", "detached, 23h left", "detached, ended: max-time of 10m reached"."""
    if status.stopping:
        return "ending"
    who = "detached" if status.detached else "attached" if status.shells else "alone"
    if status.ended:
        return f"{who}, ended: {status.ended}"
    if status.ends_ns:
        return f"{who}, {age((status.ends_ns - status.now_ns) / 1e9)} left"
    return who


def age(seconds: float) -> str:
    """ "45s", "12m", "5h", "3d": as kubectl has it, of the largest unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


async def _looked_at(api: Api, session: Found) -> Found:
    try:
        ready, desired = await asyncio.to_thread(_agents, api, session)
        session = replace(session, ready=ready, desired=desired)
        async with asyncio.timeout(ANSWER_SECONDS):
            async with (
                reached(api, session) as client,
                aclosing(client.watch(observe=True)) as statuses,
            ):
                return replace(session, status=await anext(statuses))
    except TimeoutError:
        problem = f"the collector did not answer within {ANSWER_SECONDS:g} s"
    except StopAsyncIteration:
        problem = "the collector is ending"
    except (ApiError, CommandError, SessionLost, OSError) as error:
        problem = str(error)
    return replace(session, problem=problem)


def _agents(api: Api, session: Found) -> tuple[int | None, int | None]:
    """Ready and desired."""
    path = f"/apis/apps/v1/namespaces/{session.namespace}/daemonsets/{session.deployment().agent}"
    found: Object | None = deploy.found(api, path)
    if found is None:
        return None, None
    status = found.get("status", {})
    return int(status.get("numberReady", 0)), int(status.get("desiredNumberScheduled", 0))


def _dash(count: int | None) -> str:
    return "-" if count is None else str(count)


def _listed(names: Sequence[str]) -> str:
    return f": there are {', '.join(sorted(set(names)))}"


def _names(sessions: Sequence[Found]) -> str:
    return ", ".join(sorted({each.name for each in sessions}))
