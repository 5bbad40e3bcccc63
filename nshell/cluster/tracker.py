"""Looks at the pods of a session, for its progress.

Invariant: asks the API server no more than it needs: events only for what does not
start, logs only of what has ended.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nshell.cluster.api import FIELD_MANAGER, ApiError
from nshell.cluster.deploy import COMPONENT, MANAGED, SESSION, found
from nshell.cluster.progress import COLLECTOR, Progress, Stage, node_of, stage
from nshell.shell.escape import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nshell.cluster.api import Api
    from nshell.cluster.manifests import Deployment, Object

_AGENT = "agent"
_NEW_EACH_TIME = re.compile(
    r'^(?:\(combined from similar events\): )?(?:Error creating: )?(?:pods "[^"]*" is )?'
)
_TOLD = ("Failed", "FailedMount", "FailedCreatePodSandBox", "FailedAttachVolume")
"""Events that say why a container does not start."""


class Tracker:
    """Of one session. Its calls wait, so they belong in a thread."""

    def __init__(self, api: Api, deployment: Deployment, progress: Progress) -> None:
        self._api = api
        self._deployment = deployment
        self._here = f"namespaces/{deployment.namespace}"
        self._said: dict[tuple[str, int], str] = {}
        """Last lines by pod and restarts."""
        self.progress = progress
        self.collector_pod = ""
        """That runs now."""

    def look(self, linked: Mapping[str, str]) -> None:
        """See how far everything is; ApiError where the server does not say."""
        pods = [each for each in self._pods() if "deletionTimestamp" not in each["metadata"]]
        events = self._events() if any(_is_starting(pod) for pod in pods) else []
        collectors = [pod for pod in pods if _component(pod) == COLLECTOR]
        agents = {
            node_of(pod) or pod["metadata"]["name"]: self._stage(pod, events)
            for pod in pods
            if _component(pod) == _AGENT
        }
        daemons, expected = self._daemons()
        if daemons is not None and (expected is None or len(agents) < expected):
            failure = self._failed_to_create(daemons)
            if failure is not None:
                agents["agents"] = failure
                expected = len(agents)
        collector = self._stage(collectors[0], events) if collectors else self._no_collector()
        running = collector is not None and collector.word == "running"
        self.collector_pod = collectors[0]["metadata"]["name"] if running else ""
        self.progress.update(collector=collector, agents=agents, linked=linked, expected=expected)

    def _pods(self) -> list[Object]:
        selector = f"{MANAGED}={FIELD_MANAGER},{SESSION}={self._deployment.session}"
        items: list[Object] = self._api.get(
            f"/api/v1/{self._here}/pods", labelSelector=selector
        )["items"]  # fmt: skip
        return items

    def _daemons(self) -> tuple[Object | None, int | None]:
        there = found(self._api, f"/apis/apps/v1/{self._here}/daemonsets/{self._deployment.agent}")
        if there is None:
            return None, None
        status = there.get("status", {})
        if status.get("observedGeneration", 0) < there["metadata"]["generation"]:
            return there, None
        return there, int(status.get("desiredNumberScheduled", 0))

    def _failed_to_create(self, owner: Object) -> Stage | None:
        uid = owner["metadata"]["uid"]
        failed = self._events(f"involvedObject.uid={uid},reason=FailedCreate")
        return not_created(failed[-1].get("message", "")) if failed else None

    def _no_collector(self) -> Stage | None:
        there = found(
            self._api, f"/apis/apps/v1/{self._here}/deployments/{self._deployment.collector}"
        )
        for condition in (there or {}).get("status", {}).get("conditions", []):
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                return not_created(condition.get("message", ""))
        return None

    def _events(self, fields: str = "involvedObject.kind=Pod") -> list[Object]:
        try:
            items: list[Object] = self._api.get(
                f"/api/v1/{self._here}/events", fieldSelector=fields
            )["items"]  # fmt: skip
        except ApiError as error:
            if not error.status:
                raise
            return []  # who may not read events is told less
        return items

    def _stage(self, pod: Object, events: list[Object]) -> Stage:
        about = [each for each in events if _uid(each["involvedObject"]) == _uid(pod["metadata"])]
        pulling = any(each.get("reason") == "Pulling" for each in about)
        made = stage(pod, pulling=pulling, said=self._last_line(pod))
        if made.word in ("starting", "pulling") and not made.reason:
            told = [each.get("message", "") for each in about if each.get("reason") in _TOLD]
            if told:
                return Stage(made.word, escape(" ".join(told[-1].split())))
        return made

    def _last_line(self, pod: Object) -> str:
        """Of a container that has ended."""
        name = pod["metadata"]["name"]
        for container in pod.get("status", {}).get("containerStatuses", []):
            restarts = int(container.get("restartCount", 0))
            ended_now = "terminated" in container.get("state", {})
            if not ended_now and "waiting" not in container.get("state", {}):
                continue
            if not ended_now and not restarts:
                continue
            key = (name, restarts)
            if key not in self._said:
                self._said[key] = self._log(name, previous=not ended_now)
            return self._said[key]
        return ""

    def _log(self, name: str, *, previous: bool) -> str:
        path = f"/api/v1/{self._here}/pods/{name}/log"
        query = {"tailLines": 5, **({"previous": "true"} if previous else {})}
        try:
            text = self._api.text(path, **query)
        except ApiError:
            return ""
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
        for program in ("netobserv-agent: ", "netobserv-collector: "):
            last = last.removeprefix(program)
        return escape(last.strip())


def not_created(message: str) -> Stage:
    """Of a pod that the server would not take; its name, new at every try, says nothing."""
    return Stage("FailedCreate", escape(_NEW_EACH_TIME.sub("", " ".join(message.split()))))


def _component(pod: Object) -> str:
    return str(pod["metadata"].get("labels", {}).get(COMPONENT, ""))


def _uid(meta: Object) -> str:
    return str(meta.get("uid", ""))


def _is_starting(pod: Object) -> bool:
    return stage(pod).word in ("starting", "scheduled")
