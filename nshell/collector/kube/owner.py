"""Deletes the ClusterRole that owns all of a session: everything else goes with it.

Invariant: it does not give up while the API server is merely away, and asks for
nothing but this one deletion.
"""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import quote

from nshell.collector.kube.api import AccessError, ApiServer

_LOG = logging.getLogger(__name__)
_NOT_FOUND = 404
_FIRST_WAIT = 0.25
_LONGEST_WAIT = 15.0


class OwnerRole:
    """One ClusterRole by name."""

    def __init__(self, name: str, server: ApiServer | None = None) -> None:
        self.name = name
        self._server = server or ApiServer()
        self._path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{quote(name)}"
        self._told = ""

    async def delete(self) -> None:
        """Return when it is deleted, however long the server is away."""
        wait = _FIRST_WAIT
        while not await self.try_delete():
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def try_delete(self) -> bool:
        """Whether it is gone."""
        try:
            await asyncio.to_thread(self._delete)
        except AccessError as error:
            self._tell(f"cannot delete the ClusterRole {self.name} yet: {error}")
            return False
        self._tell(f"deleted the ClusterRole {self.name}: everything of the session goes with it")
        return True

    def _delete(self) -> None:
        try:
            self._server.request("DELETE", self._path, {"propagationPolicy": "Background"})
        except AccessError as error:
            if error.status == _NOT_FOUND:
                return
            # A token may have been replaced meanwhile.
            self._server.forget_credentials()
            raise

    def _tell(self, line: str) -> None:
        """Once, however often it is so."""
        if line != self._told:
            self._told = line
            _LOG.warning("%s", line)
