"""One kind of object, listed and then watched, in a thread of its own.

Invariant: what it tells is in the server's order; after any break it goes on
where it was, and where the server has forgotten that place it lists again, which
replaces everything told before. It never gives up before it is ended.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nshell.collector.kube.api import UNAUTHORIZED, AccessError
from nshell.collector.kube.parse import (
    object_key,
    parse_node,
    parse_pod,
    parse_replica_set,
    parse_service,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nshell.collector.kube.api import ApiServer
    from nshell.collector.kube.objects import Node, Owner, Pod, Service
    from nshell.collector.kube.parse import Json

    Thing = Pod | Service | Node | Owner

_LOG = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name."""
PAGE = 500
FORBIDDEN, GONE = 403, 410
WATCH_SECONDS = 30
"""The server ends a watch after so long: a connection that hangs is found out soon after."""
_SILENCE_SECONDS = WATCH_SECONDS + 10.0
_FIRST_WAIT_SECONDS = 0.25
_LONGEST_WAIT_SECONDS = 15.0
_SHORT_SECONDS = 1.0
_PATIENCE = 5
"""Refusals of the same place before everything is listed again."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is watched, and how it is read."""

    name: str
    path: str
    parse: Callable[[Json], Thing]


KINDS = (
    Kind("nodes", "/api/v1/nodes", parse_node),
    Kind("replicasets", "/apis/apps/v1/replicasets", parse_replica_set),
    Kind("services", "/api/v1/services", parse_service),
    Kind("pods", "/api/v1/pods", parse_pod),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """All there are of a kind; what is not here is gone."""

    kind: str
    items: dict[Key, Thing]


@dataclass(frozen=True, slots=True)
class Changed:
    """One object is there, or (None) no longer."""

    kind: str
    key: Key
    item: Thing | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a kind is not followed for now; empty when it is again."""

    kind: str
    problem: str
    refused: bool = False
    """For lack of a right, so it may stay that way."""


News = Listed | Changed | Trouble


class GoneError(Exception):
    """The server has forgotten the place to go on from."""


class Reflector:
    """Follows one kind until it is ended."""

    def __init__(
        self, server: ApiServer, kind: Kind, *, tell: Callable[[Sequence[News]], None]
    ) -> None:
        self._server = server
        self._kind = kind
        self._tell = tell
        self._ended = threading.Event()
        self._version = ""
        """Place in the server's history to go on from; empty: list first."""
        self._problem = ""
        self._failures = 0
        self.thread = threading.Thread(target=self._run, name=f"watch {kind.name}", daemon=True)

    def end(self) -> None:
        """Have the thread end; the server's connections are cut by its owner."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                if not self._version:
                    self._list()
                self._watch()
            except GoneError:
                _LOG.info("%s: the place to go on from is gone: listed again", self._kind.name)
                self._version = ""
                # Once at once, then as with any failure.
                if self._failures:
                    self._ended.wait(self._wait_seconds())
                self._failures += 1
            except AccessError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001  the watch goes on, whatever an object held
                _LOG.exception("%s", self._kind.name)
                self._version = ""
                self._failed(AccessError(f"cannot read the answer: {error}"))

    def _failed(self, error: AccessError) -> None:
        if self._ended.is_set():
            return
        refused = error.status == FORBIDDEN
        # A stream that breaks off is no trouble yet: it may go on at once.
        told = refused or not self._version or self._failures
        if told and str(error) != self._problem:
            self._problem = str(error)
            _LOG.warning("%s: %s", self._kind.name, error)
            self._tell([Trouble(self._kind.name, self._problem, refused)])
        if error.status == UNAUTHORIZED:
            self._server.forget_credentials()
        # A server that was restored from a backup does not know the place for long.
        if error.status == GONE or (error.status and self._failures >= _PATIENCE):
            self._version = ""
        self._ended.wait(self._wait_seconds())
        self._failures += 1

    def _wait_seconds(self) -> float:
        wait: float = min(_FIRST_WAIT_SECONDS * 2 ** min(self._failures, 10), _LONGEST_WAIT_SECONDS)
        return wait * random.uniform(0.5, 1.0)  # noqa: S311  spreads requests, guards nothing

    def _works(self) -> None:
        if self._problem:
            self._problem = ""
            _LOG.info("%s: followed again", self._kind.name)
            self._tell([Trouble(self._kind.name, "")])

    def _list(self) -> None:
        items: dict[Key, Thing] = {}
        query: dict[str, str | int] = {"limit": PAGE}
        while True:
            page = self._server.get(self._kind.path, **query)
            for item in page.get("items") or ():
                items[object_key(item)] = self._kind.parse(item)
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                break
            query["continue"] = metadata["continue"]
        self._version = metadata.get("resourceVersion") or ""
        self._tell([Listed(self._kind.name, items)])
        if not self._version:
            raise AccessError("the API server's list has no version")

    def _watch(self) -> None:
        batches = self._server.watch(
            self._kind.path,
            read_seconds=_SILENCE_SECONDS,
            watch=1,
            resourceVersion=self._version,
            allowWatchBookmarks="true",
            timeoutSeconds=WATCH_SECONDS,
        )
        opened = time.monotonic()
        for events in batches:
            self._works()
            news = [each for event in events if (each := self._news(event)) is not None]
            if events:
                self._failures = 0
            if news:
                self._tell(news)
            if self._ended.is_set():
                return
        # Ended by the server, as asked; one that ends it at once is asked slowly.
        if time.monotonic() - opened < _SHORT_SECONDS:
            self._ended.wait(_SHORT_SECONDS)

    def _news(self, event: Json) -> Changed | None:
        kind, item = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            code: Any = item.get("code")
            if code == GONE:
                raise GoneError
            raise AccessError(f"the watch failed: {item.get('message')}", status=code or 0)
        self._version = (item.get("metadata") or {}).get("resourceVersion") or self._version
        if kind == "BOOKMARK":
            return None
        parsed = None if kind == "DELETED" else self._kind.parse(item)
        return Changed(self._kind.name, object_key(item), parsed)
