"""Fills the few values into the files of manifests/.

Invariant: a filled file has no placeholder left and means what it says: a value
is checked before it is put between quotes, or put there as JSON, which is YAML.

In a file, `"${name}"` stands for a name, a bare `${name}` for a value, and a line
`- ${name}` is repeated for each item where the value is several.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nshell.cluster import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

COLLECTOR_PORT = 9443
DEFAULT_LEASE_SECONDS = 60
CLUSTER_ROLE = "ClusterRole"

_FILES = Path(__file__).resolve().parent / "files"
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
_BEYOND_ASCII = re.compile(r"[^\x20-\x7e]")
_COLLECTOR_USER = 65532
"""The image's; OpenShift gives one of its own."""

Object = dict[str, Any]
"""One Kubernetes object, as its API takes it."""


def default_image() -> str:
    """As the Containerfile is tagged: never pulled from anywhere."""
    return f"localhost/netobserv-shell:{version('netobserv-shell')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What differs between one session on a cluster and another; BadName where a name is wrong."""

    image: str
    session: str = names.DEFAULT_SESSION
    namespace: str = names.DEFAULT_NAMESPACE
    make_namespace: bool = True
    """False where it is there already and is not the session's to change."""
    node_labels: Sequence[tuple[str, str]] = ()
    """Agents run where all of them hold."""
    nodes: Sequence[str] = ()
    """Agents run on these alone; none: on every node."""
    lease_seconds: int = DEFAULT_LEASE_SECONDS
    """How long the collector goes on without a shell; 0: for ever."""
    collector_host: str = ""
    """Where agents find the collector; without one, by the Service's name in DNS."""
    collector_arguments: Sequence[str] = ()
    """Besides those that the file has."""
    agent_arguments: Sequence[str] = ()
    openshift: bool = False
    """The cluster has security context constraints and gives out users itself."""

    def __post_init__(self) -> None:
        names.session(self.session)
        names.namespace(self.namespace)
        names.image(self.image)
        _selector(self.node_labels)
        for name in self.nodes:
            names.node(name)

    @property
    def owner(self) -> str:
        """Of the cluster-scoped objects; no two sessions of a cluster share it."""
        return f"netobserv.{self.namespace}.{self.session}"

    @property
    def collector(self) -> str:
        """Name of the collector's objects, and of the Secret with its keys."""
        return f"netobserv-{self.session}-collector"

    @property
    def agent(self) -> str:
        """Name of the agents' objects, and of the Secret with their keys."""
        return f"netobserv-{self.session}-agent"

    @property
    def files(self) -> tuple[str, ...]:
        """In the order in which they are applied."""
        return (
            *(["namespace.yaml"] if self.make_namespace else []),
            "rbac.yaml",
            *(["openshift.yaml"] if self.openshift else []),
            "collector.yaml",
            "agent.yaml",
        )


def text(deployment: Deployment) -> str:
    """The manifests for people, with the comments that say why."""
    return "---\n".join(_filled(name, deployment) for name in deployment.files)


def objects(deployment: Deployment) -> list[Object]:
    """The manifests for an API server, in the order in which they are applied."""
    import yaml  # noqa: PLC0415 - only a cluster needs it

    filled = (_filled(name, deployment) for name in deployment.files)
    return [made for text in filled for made in yaml.safe_load_all(text)]


def owned(objects: Iterable[Object], role: Object) -> list[Object]:
    """The same, owned by the session's ClusterRole as the API server has it.

    They go when it goes; the namespace, owned by every session in it, with the last.
    """
    reference = {
        "apiVersion": role["apiVersion"],
        "kind": CLUSTER_ROLE,
        "name": role["metadata"]["name"],
        "uid": role["metadata"]["uid"],
    }
    return [
        made
        if made["kind"] == CLUSTER_ROLE
        else made | {"metadata": made["metadata"] | {"ownerReferences": [reference]}}
        for made in objects
    ]


def _filled(name: str, deployment: Deployment) -> str:
    template = (_FILES / name).read_text(encoding="utf-8")
    return fill(template, quoted=_quoted(deployment), values=_values(deployment))


def fill(template: str, *, quoted: Mapping[str, str], values: Mapping[str, Any]) -> str:
    """The template with its placeholders replaced; KeyError for one that has no value."""
    return "".join(
        line
        for raw in template.splitlines(keepends=True)
        for line in _lines(raw, quoted=quoted, values=values)
    )


def _lines(line: str, *, quoted: Mapping[str, str], values: Mapping[str, Any]) -> list[str]:
    found = _PLACEHOLDER.search(line)
    if found and isinstance(several := values.get(found[1]), tuple):
        return [line.replace(found[0], _json(item)) for item in several]

    def value(match: re.Match[str]) -> str:
        return quoted[match[1]] if match[1] in quoted else _json(values[match[1]])

    return [_PLACEHOLDER.sub(value, line)]


def _quoted(deployment: Deployment) -> dict[str, str]:
    return {
        "agent": deployment.agent,
        "collector": deployment.collector,
        "lease": str(int(deployment.lease_seconds)),
        "namespace": deployment.namespace,
        "owner": deployment.owner,
        "session": deployment.session,
        # A label's value has no "+".
        "version": version("netobserv-shell").replace("+", "_"),
    }


def _values(deployment: Deployment) -> dict[str, Any]:
    user = _COLLECTOR_USER
    host = deployment.collector_host or f"{deployment.collector}.{deployment.namespace}.svc"
    host = f"[{host}]" if ":" in host else host
    return {
        "affinity": _affinity(deployment.nodes),
        "agent_argument": _arguments(deployment.agent_arguments),
        "collector_argument": _arguments(deployment.collector_arguments),
        "collector_identity": {}
        if deployment.openshift
        else {"runAsUser": user, "runAsGroup": user, "fsGroup": user},
        "connect": f"--connect={host}:{COLLECTOR_PORT}",
        "image": deployment.image,
        "node_selector": _selector(deployment.node_labels),
    }


def _json(value: object) -> str:
    """As JSON that YAML reads alike: JSON's surrogate pairs are not for it."""
    written = json.dumps(value, ensure_ascii=False)
    return _BEYOND_ASCII.sub(lambda match: f"\\U{ord(match[0]):08x}", written)


def _arguments(given: Sequence[str]) -> tuple[str, ...]:
    """As a container takes them: "$(X)" would be a variable, "$$" is the text "$"."""
    return tuple(argument.replace("$", "$$") for argument in given)


def _selector(labels: Sequence[tuple[str, str]]) -> dict[str, str]:
    selector = {"kubernetes.io/os": "linux"}
    for key, value in labels:
        names.node_label(f"{key}={value}")
        if selector.setdefault(key, value) != value:
            raise names.BadName(
                f"no node has both {key}={selector[key]} and {key}={value}: agents run where"
                " every label holds"
            )
    return selector


def _affinity(nodes: Sequence[str]) -> dict[str, Any]:
    if not nodes:
        return {}
    # Terms are alternatives; a term on a node's name takes one value only.
    terms = [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}
        for name in nodes
    ]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {"nodeAffinity": required}
