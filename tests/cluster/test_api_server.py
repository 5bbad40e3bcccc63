"""An API server's own word on the manifests: it takes each, and rights are no more than said."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from nshell.cluster import manifests
from nshell.cluster.manifests import Deployment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.cluster.manifests import Object
    from tests.cluster.api import Api

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

IMAGE = "localhost/netobserv-shell:test"
NO_PODS = ("DaemonSet", "Deployment")
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
READS = ("pods", "services", "nodes", "apps/replicasets")


@pytest.fixture
def rights(api: Api) -> Iterator[tuple[Deployment, list[Object]]]:
    """A session's objects in a namespace of its own, without its pods; gone afterwards."""
    session = Deployment(image=IMAGE, namespace=f"netobserv-test-{secrets.token_hex(4)}")
    wanted = [item for item in manifests.objects(session) if item["kind"] not in NO_PODS]
    role = api.apply(next(item for item in wanted if item["kind"] == manifests.CLUSTER_ROLE))
    try:
        for item in manifests.owned(wanted, role):
            api.apply(item)
        yield session, wanted
    finally:
        api.delete(role)
        for item in wanted:
            api.wait_gone(item)


def accepted(api: Api, item: Object) -> bool:
    from kubernetes.client import ApiException  # noqa: PLC0415 - only where a cluster is
    from kubernetes.dynamic.exceptions import DynamicApiError  # noqa: PLC0415

    try:
        api.apply(item, dry_run=True)
    except (ApiException, DynamicApiError):
        return False
    return True


def test_the_server_takes_every_object(api: Api) -> None:
    # A dry run makes no namespace, so the rest goes to one that every cluster has.
    elsewhere = Deployment(
        image=IMAGE, namespace="default", nodes=("n1",), node_labels=(("a", ""),)
    )
    for item in manifests.objects(Deployment(image=IMAGE))[:1]:
        api.apply(item, dry_run=True)
    for item in manifests.objects(elsewhere)[1:]:
        answer = api.apply(item, dry_run=True)
        assert answer["metadata"]["labels"] == item["metadata"]["labels"]


def test_the_server_would_not_take_a_field_that_it_does_not_know(api: Api) -> None:
    agent = manifests.objects(Deployment(image=IMAGE, namespace="default"))[-1]
    assert accepted(api, agent)
    agent["spec"]["template"]["spec"]["hostNetworks"] = True
    assert not accepted(api, agent)


@pytest.mark.parametrize("name", ["true", "123", "1e3", "null"])
def test_the_server_takes_names_that_look_like_something_else(api: Api, name: str) -> None:
    session = Deployment(image=IMAGE, session=name, namespace="default", make_namespace=False)
    for item in manifests.objects(session):
        api.apply(item, dry_run=True)


def test_the_collector_may_do_what_it_needs_and_nothing_else(
    api: Api, rights: tuple[Deployment, list[Object]]
) -> None:
    session, _ = rights

    def may(verb: str, resource: str, **where: str) -> bool:
        return api.may(f"{session.namespace}:{session.collector}", verb, resource, **where)

    for resource in READS:
        assert {verb for verb in VERBS if may(verb, resource)} == {"get", "list", "watch"}, resource
    role = "rbac.authorization.k8s.io/clusterroles"
    assert {verb for verb in VERBS if may(verb, role, name=session.owner)} == {"delete"}
    assert not may("delete", role, name="view")
    here = session.namespace
    for resource in ("secrets", "configmaps", "serviceaccounts", "apps/daemonsets"):
        assert not [verb for verb in VERBS if may(verb, resource, namespace=here)], resource
    for resource in ("pods/exec", "pods/portforward", "nodes/proxy"):
        plural, _, sub = resource.partition("/")
        assert not [verb for verb in VERBS if may(verb, plural, subresource=sub)], resource


def test_agents_may_do_nothing(api: Api, rights: tuple[Deployment, list[Object]]) -> None:
    session, _ = rights
    for resource in (*READS, "secrets", "configmaps", "rbac.authorization.k8s.io/clusterroles"):
        account = f"{session.namespace}:{session.agent}"
        assert not [verb for verb in VERBS if api.may(account, verb, resource)], resource


def test_with_its_role_everything_of_a_session_goes(
    api: Api, rights: tuple[Deployment, list[Object]]
) -> None:
    _, wanted = rights
    assert all(api.exists(item) for item in wanted)
    api.delete(next(item for item in wanted if item["kind"] == manifests.CLUSTER_ROLE))
    for item in wanted:
        api.wait_gone(item)


def test_the_namespace_stays_until_its_last_session_is_gone(
    api: Api, rights: tuple[Deployment, list[Object]]
) -> None:
    first, wanted = rights
    second = Deployment(image=IMAGE, namespace=first.namespace, session="second")
    others = [item for item in manifests.objects(second) if item["kind"] not in NO_PODS]
    role = api.apply(next(item for item in others if item["kind"] == manifests.CLUSTER_ROLE))
    try:
        for item in manifests.owned(others, role):
            api.apply(item, manager="another-session")
        api.delete(next(item for item in wanted if item["kind"] == manifests.CLUSTER_ROLE))
        api.wait_gone(next(item for item in wanted if item["kind"] == "Service"))
        assert all(api.exists(item) for item in others)
    finally:
        api.delete(role)
    for item in others:
        api.wait_gone(item)
