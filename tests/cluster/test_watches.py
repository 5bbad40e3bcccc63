"""Watches on a real API server, whatever happens to them: cut, hung, refused, forgotten."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml

from nshell.collector.kube import reflector
from nshell.collector.kube.api import AccessError, ApiServer
from nshell.collector.kube.inventory import Inventory
from nshell.collector.kube.reflector import KINDS, Changed, Listed, Reflector
from nshell.collector.kube.watches import watching
from tests.cluster import relay as relays
from tests.cluster.collecting import collecting, inventory, names, send, until
from tests.cluster.relay import as_account, relayed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nshell.cluster.manifests import Object
    from nshell.collector.kube.reflector import News
    from tests.cluster.api import Api
    from tests.cluster.team import Team


pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


class Heard:
    """What one reflector tells."""

    def __init__(self, kind: str = "pods", *, version: str = "") -> None:
        self.news: list[News] = []
        self.server = ApiServer()
        (chosen,) = (each for each in KINDS if each.name == kind)
        self.reflector = Reflector(self.server, chosen, tell=self.news.extend)
        self.reflector._version = version

    def __enter__(self) -> Heard:
        self.reflector.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.reflector.end()
        self.server.cut()
        started = time.monotonic()
        self.reflector.thread.join(10)
        assert not self.reflector.thread.is_alive()
        print(f"ended in {time.monotonic() - started:.3f} s")

    def wait(self, kind: type[News], count: int = 1) -> None:
        deadline = time.monotonic() + 60
        while sum(isinstance(each, kind) for each in self.news) < count:
            assert time.monotonic() < deadline, self.news
            time.sleep(0.02)


@pytest.fixture
def as_configured(kubeconfig: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reflectors ask as KUBECONFIG says, not as a pod."""
    monkeypatch.setenv("KUBECONFIG", kubeconfig)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def has_forgotten(version: str) -> bool:
    """Whether the server would have to say 410 Gone to who goes on from there."""
    server = ApiServer()
    try:
        batches = server.watch(
            "/api/v1/pods", read_seconds=10, watch=1, resourceVersion=version, timeoutSeconds=1
        )
        return any(each.get("type") == "ERROR" for batch in batches for each in batch)
    except AccessError as error:
        return error.status == reflector.GONE
    finally:
        server.cut()


@pytest.mark.usefixtures("as_configured")
def test_where_the_server_has_forgotten_the_place_all_is_listed_again(team: Team) -> None:
    # A server keeps a hundred changes of a kind, more where they come within a minute.
    for number in range(120):
        team.pod("here", labels={"change": str(number)})
    if not has_forgotten("1"):
        pytest.skip("this API server is so young that it remembers everything")
    # As after a long absence: the server answers 410 Gone.
    with Heard(version="1") as heard:
        heard.wait(Listed)
        # Pods change meanwhile, so news may have come behind it.
        listed = heard.news[0]
        assert isinstance(listed, Listed)
        assert (team.name, "here") in listed.items
        team.delete("Pod", "here")
        heard.wait(Changed)
        team_news = [each for each in heard.news if isinstance(each, Changed)]
        deadline = time.monotonic() + 60
        while not any(each.key == (team.name, "here") and not each.item for each in team_news):
            assert time.monotonic() < deadline
            team_news = [each for each in heard.news if isinstance(each, Changed)]
            time.sleep(0.02)


@pytest.mark.usefixtures("as_configured")
def test_a_list_comes_in_pages_and_is_whole(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "PAGE", 2)
    for number in range(5):
        team.pod(f"p{number}")
    with Heard() as heard:
        heard.wait(Listed)
        listed = heard.news[0]
        assert isinstance(listed, Listed)
        assert {f"p{number}" for number in range(5)} <= {
            name for namespace, name in listed.items if namespace == team.name
        }


@pytest.mark.usefixtures("as_configured")
def test_a_watch_goes_on_from_where_the_server_ended_it(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "WATCH_SECONDS", 1)
    with Heard() as heard:
        heard.wait(Listed)
        for number in range(4):
            team.pod(f"p{number}")
            time.sleep(0.8)
        deadline = time.monotonic() + 60
        wanted = [f"p{number}" for number in range(4)]
        while came(heard.news, team.name) != wanted:
            assert time.monotonic() < deadline, came(heard.news, team.name)
            time.sleep(0.02)
        assert sum(isinstance(each, Listed) for each in heard.news) == 1


def came(news: Sequence[News], namespace: str) -> list[str]:
    """Pods that were told of, in order, each once."""
    told = (each.key for each in news if isinstance(each, Changed) and each.item is not None)
    return list(dict.fromkeys(name for where, name in told if where == namespace))


def test_a_connection_that_hangs_is_noticed_and_replaced(
    kubeconfig: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, team: Team
) -> None:
    monkeypatch.setattr(reflector, "_SILENCE_SECONDS", 2.0)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    moving = threading.Event()
    moving.set()
    with relayed(kubeconfig, tmp_path) as (relay, through):
        monkeypatch.setenv("KUBECONFIG", through)
        hang(monkeypatch, moving)
        with Heard() as heard:
            heard.wait(Listed)
            moving.clear()
            team.pod("unheard")
            time.sleep(1)
            before = relay.connections
            assert came(heard.news, team.name) == []
            # Connections that were there stay silent for ever, new ones work.
            hang(monkeypatch, None)
            deadline = time.monotonic() + 60
            while came(heard.news, team.name) != ["unheard"]:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert relay.connections > before
        moving.set()


def hang(monkeypatch: pytest.MonkeyPatch, moving: threading.Event | None) -> None:
    """Connections that come from now on pass nothing on while the event is not set."""

    def passing(source: Any, target: Any) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if moving is not None:
                    moving.wait()
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    monkeypatch.setattr(relays, "_pass_on", passing)


def test_threads_end_with_the_collector_even_when_the_server_does_not_answer(
    kubeconfig: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    async def watch() -> float:
        known = Inventory()
        async with watching(known):
            await until(lambda: known.synced)
            moving.clear()
            started = time.monotonic()
        return time.monotonic() - started

    moving = threading.Event()
    moving.set()
    with relayed(kubeconfig, tmp_path) as (_, through):
        monkeypatch.setenv("KUBECONFIG", through)
        hang(monkeypatch, moving)
        seconds = asyncio.run(watch())
        print(f"ended in {seconds:.3f} s")
        assert seconds < 10
        assert not [each for each in threading.enumerate() if each.name.startswith("watch ")]
        moving.set()


@pytest.fixture
def poor(api: Api, team: Team, kubeconfig: str, tmp_path: Path) -> Iterator[str]:
    """A kubeconfig of an account that may not look at nodes."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount",
               "metadata": {"name": "poor", "namespace": team.name}}  # fmt: skip
    role: Object = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": team.name},
        "rules": [
            {"apiGroups": [""], "resources": ["pods", "services"],
             "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["apps"], "resources": ["replicasets"],
             "verbs": ["get", "list", "watch"]},
        ],
    }  # fmt: skip
    binding: Object = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": team.name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                    "name": team.name},
        "subjects": [{"kind": "ServiceAccount", "name": "poor", "namespace": team.name}],
    }  # fmt: skip
    try:
        for each in (account, role, binding):
            api.apply(each)
        yield as_account(kubeconfig, team.name, "poor", tmp_path / "poor.yaml")
    finally:
        api.delete(binding)
        api.delete(role)


async def test_a_kind_that_is_not_ours_to_see_is_said_and_the_others_work(
    poor: str, monkeypatch: pytest.MonkeyPatch, team: Team
) -> None:
    async with collecting(poor, monkeypatch) as collector:
        known = inventory(collector)
        await until(lambda: known.synced)
        assert known.problem.startswith("nodes: HTTP 403: ")
        assert "\n" not in known.problem
        assert not known.nodes
        team.pod("one", team.address)
        await until(lambda: known.names.get(team.address) == f"{team.name}/one")
        agent = await collector.agent()
        await send(agent, (team.address, "203.0.113.1"))
        assert await names(collector, 1) == [["one", None]]


async def test_without_a_server_the_collector_captures_and_says_why_it_knows_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with collecting(str(tmp_path / "nothing"), monkeypatch) as collector:
        known = inventory(collector)
        await until(lambda: known.problem)
        assert known.problem == f"no cluster: neither in a pod nor is there a {tmp_path}/nothing"
        agent = await collector.agent()
        await send(agent, ("198.51.100.1", "203.0.113.1"))
        assert await names(collector, 1) == [[None, None]]


async def test_credentials_that_are_refused_are_read_again(
    poor: str, kubeconfig: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a pod: a token file that is replaced while the collector runs."""
    from kubernetes.config import incluster_config  # noqa: PLC0415 - only where a cluster is

    config = yaml.safe_load(Path(poor).read_text(encoding="utf-8"))
    cluster = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))["clusters"][0]["cluster"]
    url = urlsplit(cluster["server"])
    authority = tmp_path / "ca.crt"
    if data := cluster.get("certificate-authority-data"):
        authority.write_bytes(base64.b64decode(data))
    else:
        authority = Path(cluster["certificate-authority"])
    token = tmp_path / "token"
    token.write_text("of yesterday")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(url.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(url.port or 443))
    known = Inventory()
    async with watching(known):
        await until(lambda: "HTTP 401" in known.problem)
        assert not known.pods
        token.write_text(config["users"][0]["user"]["token"])
        await until(lambda: ("default", "kubernetes") in known.services)
        await until(lambda: "HTTP 401" not in known.problem)
