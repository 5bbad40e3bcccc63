"""`netobserv doctor`: what a session on this cluster needs and does not find.

Invariant: it changes nothing on the cluster, but for a probe that is asked for and
removed again; a question that may not be asked is a finding, not an end.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from nshell.cluster import doctornodes, doctorplace, manifests
from nshell.cluster.api import FIELD_MANAGER, ApiError
from nshell.cluster.deploy import MANAGED, ROLES, found, shell_secret
from nshell.cluster.doctorprobe import Probe, of_facts
from nshell.cluster.doctorreport import Check, Report, grouped
from nshell.cluster.doctorrights import Reviews, lines, namespace_for, needed, roles
from nshell.shell.errors import CommandError, SessionLost
from nshell.shell.needs import missing as missing_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nshell.cluster.api import Api
    from nshell.cluster.doctorrights import Right
    from nshell.cluster.manifests import Deployment, Object
    from nshell.proto import session_pb2 as pb

_OPENSHIFT = "security.openshift.io/v1"
_FORBIDDEN, _NOT_FOUND = 403, 404
_APPLY_SINCE, _ADMISSION_SINCE, _POLICIES_UNTIL = (1, 18), (1, 23), (1, 25)
_LOCAL_SECONDS = 60


@dataclass(slots=True)
class Doctor:
    """Examines one cluster. Its calls wait; ApiError where the server does not answer."""

    api: Api
    plan: Deployment
    say: Callable[[str], None]

    def examine(self, *, probe: bool) -> Report:
        """Everything."""
        report, api = Report(), self.api
        version = _version(api.server_version)
        self.plan = plan = self._planned()
        report.add(_server(api, version))
        self._rights(report)
        nodes = self._listed("/api/v1/nodes", report, "nodes")
        chosen, wrong = doctornodes.chosen(nodes or [], plan) if nodes is not None else ([], [])
        report.add(*wrong, *doctornodes.of_nodes(chosen))
        report.add(*doctornodes.room_for_collector(nodes or []))
        report.add(*doctornodes.image(chosen, plan.image))
        self._place(report, version, agents=len(_linux(chosen)))
        is_there = self._get(f"{ROLES}/{plan.owner}") is not None
        report.add(*doctorplace.present(plan, there=is_there))
        if is_there:
            self._running(report)
        secrets = (plan.collector, plan.agent, shell_secret(plan.session))
        report.planned = doctorplace.planned(manifests.text(plan), manifests.objects(plan), secrets)
        if probe:
            self._probe(report, [node["metadata"]["name"] for node in _linux(chosen)])
        return report

    def roles(self, subject: Object) -> list[Object]:
        """What an administrator applies so that somebody may run this session."""
        plan = self._planned()
        there = replace(plan, make_namespace=False)
        # All of them, whoever asks: those that he has may not be his own.
        rights = needed(there, path_of=self.api.path_of, may=lambda _: False)
        made = namespace_for(plan) if plan.make_namespace else []
        return [*made, *roles(there, rights, subject)]

    def _planned(self) -> Deployment:
        """The session as this cluster needs it."""
        namespace = self._get(f"/api/v1/namespaces/{self.plan.namespace}")
        ours = namespace is None or (
            (namespace["metadata"].get("labels") or {}).get(MANAGED) == FIELD_MANAGER
            and bool(namespace["metadata"].get("ownerReferences"))
        )
        openshift = "SecurityContextConstraints" in self.api.kinds(_OPENSHIFT)
        return replace(self.plan, make_namespace=ours, openshift=openshift)

    def _rights(self, report: Report) -> None:
        reviews = Reviews(self.api)
        rights = needed(self.plan, path_of=self.api.path_of, may=reviews.may)
        lacking = reviews.lacking(rights)
        report.missing = [_plain(right) for right in lacking]
        if not lacking:
            report.add(Check("ok", "rights", f"all {len(rights)} that a session takes are given"))
            return
        for text, is_needed in lines(lacking):
            status = "problem" if is_needed else "warning"
            report.add(Check(status, "rights", f"not allowed: {text}"))  # type: ignore[arg-type]
        fix = "an administrator gives them by what `netobserv doctor --print-role` prints"
        most = "problem" if any(right.needed for right in lacking) else "warning"
        text = f"{len(lacking)} of {len(rights)} are missing"
        report.add(Check(most, "rights", text, fix))  # type: ignore[arg-type]

    def _place(self, report: Report, version: tuple[int, int], *, agents: int) -> None:
        plan = self.plan
        namespace = self._get(f"/api/v1/namespaces/{plan.namespace}")
        admits = version >= _ADMISSION_SINCE
        report.add(*doctorplace.pod_security(namespace, plan, admits=admits))
        if plan.openshift:
            text = "OpenShift: agents are admitted by constraints of the session's own"
            report.add(Check("ok", "policies", text))
        if version < _POLICIES_UNTIL and "PodSecurityPolicy" in self.api.kinds("policy/v1beta1"):
            listed = self._listed("/apis/policy/v1beta1/podsecuritypolicies", report, "policies")
            report.add(*doctorplace.policies(listed or []))
        if namespace is not None:
            here, items = f"/api/v1/namespaces/{plan.namespace}", manifests.objects(plan)
            quotas = self._listed(f"{here}/resourcequotas", report, "quota") or []
            limits = self._listed(f"{here}/limitranges", report, "quota") or []
            report.add(*doctorplace.quotas(quotas, agents, items))
            report.add(*doctorplace.limits(limits, items))

    def _running(self, report: Report) -> None:
        """What the agents of the session that is there say of their nodes."""
        from nshell.cluster.sessions import look  # noqa: PLC0415 - brings gRPC

        try:
            looked = asyncio.run(look(self.api, self.plan.namespace))
        except (ApiError, CommandError, SessionLost) as error:
            report.add(Check("warning", "session", f"its collector does not answer: {error}"))
            return
        for session in looked:
            if session.name == self.plan.session:
                agents = session.status.agents if session.status is not None else ()
                report.add(*grouped((a.node, each) for a in agents for each in _of_agent(a)))
                if session.problem:
                    text = f"its collector does not answer: {session.problem}"
                    report.add(Check("warning", "session", text))

    def _probe(self, report: Report, nodes: Sequence[str]) -> None:
        if not nodes:
            report.add(Check("problem", "probe", "there is no node to probe"))
            return
        namespace = self._get(f"/api/v1/namespaces/{self.plan.namespace}")
        if namespace is not None and "deletionTimestamp" in namespace["metadata"]:
            text = f"not asked: namespace {self.plan.namespace} is being removed"
            report.add(Check("problem", "probe", text, "try again in a moment"))
            return
        probe = Probe(self.api, self.plan, self.say)
        try:
            report.add(*probe.run(nodes))
        except ApiError as error:
            if not error.status:
                raise
            report.add(Check("problem", "probe", str(error)))
        report.nodes = probe.facts

    def _listed(self, path: str, report: Report, topic: str) -> list[Object] | None:
        """The items there; None, and a warning, where they may not be seen."""
        try:
            items: list[Object] = self.api.get(path)["items"]
        except ApiError as error:
            if error.status not in (_FORBIDDEN, _NOT_FOUND):
                raise
            what = path.rpartition("/")[2]
            report.add(Check("warning", topic, f"{what} may not be listed: not looked at"))
            return None
        return items

    def _get(self, path: str) -> Object | None:
        """What is there, None too where it may not be seen."""
        try:
            return found(self.api, path)
        except ApiError as error:
            if error.status != _FORBIDDEN:
                raise
            return None


def examine_here() -> Report:
    """This host alone, as `shell --local` would use it."""
    report = Report()
    lack = missing_here()
    report.add(Check("problem" if lack else "ok", "host", lack or "root, and a kernel with BTF"))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "agent.main", "--check"],
            capture_output=True, text=True, check=False, timeout=_LOCAL_SECONDS,
        )  # fmt: skip
        facts = json.loads(done.stdout)
    except (ValueError, OSError, subprocess.TimeoutExpired):
        report.add(Check("problem", "probe", "netobserv-agent --check says nothing"))
        return report
    report.add(*of_facts(facts))
    report.nodes = {"localhost": facts}
    return report


def _of_agent(agent: pb.AgentStatus) -> Iterator[Check]:
    if not agent.connected:
        yield Check("warning", "agent", f"not connected: {agent.error or 'not seen yet'}")
        return
    hooks = "TCX links" if agent.attach == "tcx" else agent.attach
    on = f", features on: {', '.join(agent.features)}" if agent.features else ""
    yield Check("ok", "agent", f"at work on Linux {agent.kernel}, {hooks}{on}")
    for problem in agent.problems:
        yield Check("warning", "agent", problem)


def _server(api: Api, version: tuple[int, int]) -> Check:
    text = f"Kubernetes {api.server_version} at {api.server}"
    if version < _APPLY_SINCE:
        return Check("problem", "server", f"{text}: server-side apply needs 1.18 or newer")
    return Check("ok", "server", text)


def _version(text: str) -> tuple[int, int]:
    match = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _linux(nodes: Sequence[Object]) -> list[Object]:
    return [
        node
        for node in nodes
        if node.get("status", {}).get("nodeInfo", {}).get("operatingSystem") == "linux"
    ]


def _plain(right: Right) -> dict[str, Any]:
    return {key: value for key, value in asdict(right).items() if key != "needed" and value}
