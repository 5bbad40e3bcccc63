"""How far the collector and the agents of a session have come, and why one has not.

Pure: objects as the API server has them in, one line for each out. Reasons are of
one line, and what came from the cluster is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nshell.shell.escape import escape
from nshell.shell.units import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nshell.cluster.manifests import Object

_HOPELESS = ("ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError")
_BAD = {
    "ErrImagePull": 8.0, "ImagePullBackOff": 4.0, "CrashLoopBackOff": 1.0, "FailedCreate": 4.0,
    "Unschedulable": 8.0, "CreateContainerError": 8.0, "RunContainerError": 8.0, "Refused": 0.0,
    **dict.fromkeys(_HOPELESS, 0.0),
}  # fmt: skip
"""Reasons, and the seconds that each may last before it is final."""
COLLECTOR = "collector"
_SHOWN = 12
"""Nodes with a line of their own; of more the count is told."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Of one pod."""

    word: str
    """scheduled, pulling, starting, running, attached, or what Kubernetes calls the failure."""
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.word}: {brief(self.reason, most=240)}" if self.reason else self.word


ATTACHED = Stage("attached")


def stage(pod: Object, *, pulling: bool = False, said: str = "") -> Stage:
    """Of a pod; `said` is the last thing that its container wrote."""
    status = pod.get("status", {})
    for container in status.get("containerStatuses", []):
        state = container.get("state", {})
        ended = state.get("terminated") or container.get("lastState", {}).get("terminated")
        if waiting := state.get("waiting"):
            return _waiting(waiting, ended, pulling=pulling, said=said)
        if ended and "running" not in state:
            return Stage("ended", _how(ended, said))
        if "running" in state:
            return Stage("running")
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            word = escape(condition.get("reason", "Unschedulable"))
            return Stage(word, _one_line(condition.get("message", "")))
    if status.get("phase") == "Failed":
        return Stage(escape(status.get("reason", "Failed")), _one_line(status.get("message", "")))
    return Stage("scheduled") if pod.get("spec", {}).get("nodeName") else Stage("waiting")


def _waiting(waiting: Object, ended: Object | None, *, pulling: bool, said: str) -> Stage:
    word = escape(waiting.get("reason", ""))
    if word in ("", "ContainerCreating", "PodInitializing"):
        return Stage("pulling" if pulling else "starting")
    if word == "CrashLoopBackOff" and ended:
        return Stage(word, _how(ended, said))
    return Stage(word, _one_line(waiting.get("message", "")))


def _how(ended: Object, said: str) -> str:
    code, signal = ended.get("exitCode", 0), ended.get("signal", 0)
    how = f"signal {signal}" if signal else f"status {code}"
    if ended.get("reason") == "OOMKilled":
        how = "out of memory"
    return f"{how}: {said}" if said else how


def node_of(pod: Object) -> str:
    """Where it is, or is meant for: a DaemonSet's pod says so before it is scheduled."""
    spec = pod.get("spec", {})
    if name := spec.get("nodeName"):
        return str(name)
    affinity = spec.get("affinity", {}).get("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {})
    for term in required.get("nodeSelectorTerms", []):
        for match in term.get("matchFields", []):
            if match.get("key") == "metadata.name" and match.get("values"):
                return str(match["values"][0])
    return ""


@dataclass(slots=True)
class Progress:
    """Of one session; told what there is, again and again."""

    clock: Callable[[], float]
    expected: int | None = None
    """Agents that there will be, once that is known."""
    collector: Stage = field(default_factory=lambda: Stage("waiting"))
    agents: dict[str, Stage] = field(default_factory=dict)
    """By node."""
    _since: dict[str, tuple[str, float]] = field(default_factory=dict)

    def update(
        self,
        *,
        collector: Stage | None,
        agents: Mapping[str, Stage],
        linked: Mapping[str, str],
        expected: int | None,
    ) -> None:
        """`linked`: nodes whose agents the collector has, and why one cannot do its work."""
        self.expected = expected
        if collector is not None:
            self.collector = collector
        known = dict(agents)
        for node, error in linked.items():
            known[node] = Stage("Refused", escape(error)) if error else ATTACHED
        self.agents = dict(sorted(known.items()))
        for name, each in self._all():
            if self._since.get(name, ("", 0.0))[0] != each.word:
                self._since[name] = (each.word, self.clock())

    @property
    def attached(self) -> int:
        """Agents at work."""
        return sum(each is ATTACHED for each in self.agents.values())

    @property
    def complete(self) -> bool:
        """Every agent that there will be is at work."""
        return bool(self.expected) and self.attached >= (self.expected or 0)

    @property
    def final(self) -> bool:
        """No agent that is missing will come."""
        missing = [name for name, each in self.agents.items() if each is not ATTACHED]
        known = self.expected is not None and len(self.agents) >= self.expected
        return known and all(self._is_final(name) for name in missing)

    @property
    def collector_failed(self) -> bool:
        """It will not come."""
        return self._is_final(COLLECTOR)

    def missing(self) -> list[str]:
        """The agents that are not at work, each with its reason."""
        lines = [
            f"{escape(name)} ({each})" for name, each in self.agents.items() if each is not ATTACHED
        ]
        unseen = (self.expected or 0) - len(self.agents)
        return [*lines, *([f"{unseen} more"] if unseen > 0 else [])]

    def lines(self) -> list[str]:
        """One for each that matters; when all is well, few."""
        shown = [(COLLECTOR, self.collector), *self.agents.items()]
        tail: list[str] = []
        if len(self.agents) > _SHOWN:
            worst = [(name, each) for name, each in shown if each.word in _BAD]
            shown = [shown[0], *[each for each in worst if each[0] != COLLECTOR][:_SHOWN]]
            tail = [f"agents: {_counted(self.agents.values())}"]
        width = max(len(escape(name)) for name, _ in shown)
        return [f"{escape(name):<{width}}  {each}" for name, each in shown] + tail

    def _all(self) -> list[tuple[str, Stage]]:
        return [(COLLECTOR, self.collector), *self.agents.items()]

    def _is_final(self, name: str) -> bool:
        word, since = self._since.get(name, ("", 0.0))
        return word in _BAD and self.clock() - since >= _BAD[word]


def _counted(stages: Iterable[Stage]) -> str:
    counts: dict[str, int] = {}
    for each in stages:
        counts[each.word] = counts.get(each.word, 0) + 1
    return ", ".join(f"{count:,} {word}" for word, count in counts.items())


def _one_line(text: str) -> str:
    return escape(" ".join(text.split()))


class Changes:
    """Lines for a pipe: each stage of each pod once."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def of(self, progress: Progress) -> list[str]:
        lines = []
        for name, each in ((COLLECTOR, progress.collector), *progress.agents.items()):
            text = str(each)
            if self._told.get(name) != text and each.word != "waiting":
                self._told[name] = text
                lines.append(f"{escape(name)}: {text}")
        return lines


def redraw(lines: Sequence[str], *, before: int, width: int) -> str:
    """Escape sequences and text: these lines in place of as many as were drawn before."""
    cut = [brief(line, most=max(20, width - 1)) for line in lines]
    up = f"\x1b[{before}A" if before else ""
    return f"{up}\r\x1b[J" + "".join(f"{line}\n" for line in cut)
