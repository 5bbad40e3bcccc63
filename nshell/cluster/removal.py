"""Takes a session off a cluster and waits until it is gone.

Invariant: its collector is left the first moments to do it itself; whoever does it,
it is the deletion of the one object that owns all others.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from nshell.cluster import deploy
from nshell.cluster.api import FIELD_MANAGER, ApiError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from nshell.cluster.api import Api
    from nshell.cluster.manifests import Deployment

_GRACE_SECONDS = 3.0
"""For a collector that was asked to stop."""
_GONE_SECONDS = 25.0
_POLL_SECONDS = 0.3
_ROLE = "clusterrole"


class Removal:
    """Of one session. run() waits; `hurry` cuts that short."""

    def __init__(
        self,
        api: Api,
        deployment: Deployment,
        *,
        hurry: threading.Event,
        say: Callable[[str], None],
    ) -> None:
        self._api = api
        self._deployment = deployment
        self._hurry = hurry
        self._say = say

    def run(self, *, orderly: bool) -> str:
        """Until all of it is gone; else a line about what is not."""
        began = time.monotonic()
        self._say(f"removing session {self._deployment.session} from the cluster")
        problem, asked, left = "", False, ["its objects"]
        while left and time.monotonic() - began < _GONE_SECONDS:
            try:
                in_time = orderly and time.monotonic() - began < _GRACE_SECONDS
                if not asked and (not in_time or self._hurry.is_set()):
                    deploy.remove(self._api, self._deployment)
                    asked = True
                left = self._left()
                problem = ""
                if left and not left[0].startswith(_ROLE):
                    with suppress(ApiError):
                        self._let_go_of_pods()
            except ApiError as error:
                problem = str(error)
            if left and self._hurry.wait(_POLL_SECONDS) and (asked or problem):
                break
        return self._line(problem, left) if left else ""

    def _let_go_of_pods(self) -> None:
        """Of those in which nothing runs any more, or ever did.

        A kubelet takes ten seconds to tidy up after one, and two minutes for one that
        waits for what is gone.
        """
        here = f"/api/v1/namespaces/{self._deployment.namespace}/pods"
        selector = f"{deploy.MANAGED}={FIELD_MANAGER},{deploy.SESSION}={self._deployment.session}"
        for pod in self._api.get(here, labelSelector=selector)["items"]:
            containers = pod.get("status", {}).get("containerStatuses", [])
            runs = any("running" in each.get("state", {}) for each in containers)
            if "deletionTimestamp" in pod["metadata"] and not runs:
                self._api.delete(f"{here}/{pod['metadata']['name']}", grace_seconds=0)

    def _left(self) -> list[str]:
        owner = self._deployment.owner
        role = deploy.found(self._api, f"{deploy.ROLES}/{owner}")
        gone = deploy.leftovers(self._api, self._deployment)
        return ([f"{_ROLE} {owner}"] if role is not None else []) + gone

    def _line(self, problem: str, left: list[str]) -> str:
        name = self._deployment.session
        if problem:
            return (
                f"session {name} is not removed yet: {problem}; its collector does it when its"
                " lease has run out, and `netobserv cleanup` removes what is left"
            )
        return (
            f"session {name} is being removed, {', '.join(left[:3])} still there:"
            " `netobserv cleanup` removes what stays"
        )
