"""Where a session is to run, made of a command line: this host, or a cluster.

Invariant: a word that is wrong is refused here, before anything is started.
"""

# ruff: noqa: PLC0415 - imports inside functions keep --help and the prompt quick

from __future__ import annotations

import platform
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from nshell.arguments import refuse
from nshell.cluster import names
from nshell.configured import forget_cluster
from nshell.shell.exits import Exit
from nshell.xdg import from_home

if TYPE_CHECKING:
    from pathlib import Path

    from nshell.capturing import CaptureOptions
    from nshell.local import Programs
    from nshell.shell.app import MakeHost

_ON_CLUSTER = ("kubeconfig", "context", "agent_namespace", "namespaces", "session", "node_labels",
               "image", "lease")  # fmt: skip
_ON_THIS_HOST = ("directory",)
_STORE_BYTES = 4 << 30
"""What a collector's pod has room for."""


def refuse_of_other_mode(given: dict[str, Any]) -> None:
    """What stands only beside --local, or only without."""
    local, ctx = given["local"], click.get_current_context()
    if local:
        forget_cluster(ctx, given)
    for name in _ON_CLUSTER if local else _ON_THIS_HOST:
        if given[name] not in (None, ()):
            (spelled,) = (max(each.opts, key=len) for each in ctx.command.params
                          if each.name == name)  # fmt: skip
            refuse(f"{spelled} is for a session {'on a cluster' if local else 'with --local'}")
    if local and len(given["nodes"]) > 1:
        refuse("--node: with --local it is the name of this host, so there is one")
    if not local and (given["store_limit"] or 0) > _STORE_BYTES:
        refuse("--store-limit: a collector on a cluster has room for 4Gi")


def programs() -> Programs:
    """That a session on this host runs."""
    from nshell.local import Programs

    return Programs()


def local_host(given: dict[str, Any]) -> MakeHost:
    """A session on this host."""
    from nshell.local import LocalOptions, LocalSession
    from nshell.shell.needs import missing

    options = LocalOptions(
        node=(given["nodes"] or (platform.node() or "localhost",))[0],
        capture=capture_options(given),
        directory=None if given["directory"] is None else _directory(given["directory"]),
    )
    if lack := missing():
        refuse(lack, Exit.NO_AGENT)
    return partial(LocalSession, options, programs=programs())


def cluster_host(given: dict[str, Any]) -> MakeHost:
    """A session on a cluster."""
    from nshell.cluster.deploy import Request
    from nshell.cluster.manifests import DEFAULT_LEASE_SECONDS, Deployment, default_image
    from nshell.cluster.session import ClusterOptions, ClusterSession

    capture = capture_options(given)
    lease = given["lease"]
    try:
        deployment = Deployment(
            image=given["image"] or default_image(),
            session=given["session"] or names.DEFAULT_SESSION,
            namespace=given["agent_namespace"] or names.DEFAULT_NAMESPACE,
            node_labels=given["node_labels"],
            nodes=given["nodes"],
            lease_seconds=DEFAULT_LEASE_SECONDS if lease is None else lease,
            agent_arguments=capture.agent_arguments(),
        )
    except names.BadName as error:
        refuse(str(error))
    options = ClusterOptions(
        namespace=deployment.namespace,
        kubeconfig=given["kubeconfig"],
        context=given["context"],
        request=Request(deployment, ("--kubernetes", *capture.collector_arguments())),
        session=deployment.session,
    )
    return partial(ClusterSession, options)


def capture_options(given: dict[str, Any]) -> CaptureOptions:
    """What it is to capture."""
    from nshell.capturing import CaptureOptions

    filters = [_canonical(text) for text in given["filters"]]
    if given["namespaces"]:
        filters.append(_canonical(f"namespace {','.join(given['namespaces'])}"))
    return CaptureOptions(
        interfaces=given["interfaces"],
        filters=tuple(filters),
        features=tuple(dict.fromkeys(name for names in given["features"] for name in names)),
        flows=not given["no_flows"],
        packets=given["packets"],
        snaplen=given["snaplen"],
        sampling=given["sampling"],
        flow_capacity=given["flow_capacity"],
        ring_bytes=given["ring_bytes"],
        tcx_anchor=given["tcx_anchor"],
        attach=given["attach"],
        store_limit=given["store_limit"],
        max_seconds=given["max_time"],
        max_bytes=given["max_bytes"],
    )


def _canonical(text: str) -> str:
    from nshell.filters import FilterError, parse_rule, split_words

    try:
        return parse_rule(split_words(text)).text
    except FilterError as error:
        refuse(f"--filter: {error}")


def _directory(name: str) -> Path:
    path = from_home(name).absolute()
    if path.exists() and not path.is_dir():
        refuse(f"--dir: {name} is not a directory")
    return path
