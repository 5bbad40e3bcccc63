"""`netobserv doctor` on a real cluster: rights that are missing, obstacles, a probe."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from nshell.cluster import manifests
from nshell.cluster.api import Api, ApiError
from nshell.cluster.deploy import found
from nshell.cluster.manifests import Deployment
from tests.cluster.shell import ClusterShell
from tests.network import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.cluster.manifests import Object
    from tests.cluster.api import Api as Admin

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

IMAGE = "localhost/netobserv-shell:test"
RBAC = "rbac.authorization.k8s.io"
ROLES = f"/apis/{RBAC}/v1/clusterroles"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The API server as its administrator, and where a test may make things."""

    api: Api
    kubeconfig: Path
    namespace: str
    directory: Path

    @property
    def plan(self) -> Deployment:
        return Deployment(image=IMAGE, namespace=self.namespace)

    @property
    def subject(self) -> str:
        return f"serviceaccount:{self.namespace}-users:somebody"

    def doctor(self, *words: str, kubeconfig: Path | None = None) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "nshell.cli", "doctor", "--image", IMAGE,
             "--agent-namespace", self.namespace,
             "--kubeconfig", str(kubeconfig or self.kubeconfig), *words],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout or done.stderr

    def told(self, *words: str, kubeconfig: Path | None = None) -> tuple[int, dict[str, Any]]:
        code, text = self.doctor(*words, "--format", "json", kubeconfig=kubeconfig)
        found: dict[str, Any] = json.loads(text)
        return code, found

    def account(self) -> Path:
        """A kubeconfig of a service account without any right."""
        place = f"{self.namespace}-users"
        self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}})
        self.api.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount",
             "metadata": {"name": "somebody", "namespace": place}}
        )  # fmt: skip
        path = f"/api/v1/namespaces/{place}/serviceaccounts/somebody/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = self.api.request("POST", path, body)["status"]["token"]
        config = yaml.safe_load(self.kubeconfig.read_text())
        name = config["current-context"]
        (context,) = [c["context"] for c in config["contexts"] if c["name"] == name]
        config["users"] = [{"name": "somebody", "user": {"token": token}}]
        context["user"] = "somebody"
        file = self.directory / "somebody.kubeconfig"
        file.write_text(yaml.safe_dump(config))
        return file


@pytest.fixture
def cluster(kubeconfig: str, tmp_path: Path) -> Iterator[Cluster]:
    try:
        api = Api.connect(kubeconfig)
    except ApiError as error:
        pytest.skip(f"no cluster: {error}")
    made = Cluster(api, Path(kubeconfig), f"netobserv-test-{secrets.token_hex(4)}", tmp_path)
    try:
        yield made
    finally:
        named = made.plan.owner, f"netobserv-capture-operator.{made.namespace}"
        for name in named:
            api.delete(f"{ROLES}/{name}")
            api.delete(f"/apis/{RBAC}/v1/clusterrolebindings/{name}")
        places = [f"/api/v1/namespaces/{made.namespace}{tail}" for tail in ("", "-users")]
        for place in places:
            api.delete(place)
        until(lambda: not any(is_there(api, place) for place in places), 60)
        api.close()


def is_there(api: Api, path: str) -> bool:
    return found(api, path) is not None


def printed(cluster: Cluster) -> list[Object]:
    """What an administrator is to apply."""
    code, text = cluster.doctor("--print-role", "--subject", cluster.subject)
    assert code == 0, text
    return list(yaml.safe_load_all(text))


def right(verb: str, resource: str, group: str = "", **where: str) -> tuple[tuple[str, str], ...]:
    resource, _, subresource = resource.partition("/")
    told = {"verb": verb, "group": group, "resource": resource, "subresource": subresource, **where}
    return tuple(sorted((key, value) for key, value in told.items() if value))


def missing(report: dict[str, Any]) -> set[tuple[tuple[str, str], ...]]:
    return {tuple(sorted(each.items())) for each in report["missing"]}


def everything(cluster: Cluster) -> set[tuple[tuple[str, str], ...]]:
    """What a session takes in a namespace that is there."""
    here, owner = {"namespace": cluster.namespace}, {"name": cluster.plan.owner}
    made = ("daemonsets", "deployments")
    return {
        right("get", "namespaces", name=cluster.namespace),
        *(right(verb, each) for each in ("pods", "services", "nodes")
          for verb in ("get", "list", "watch")),
        *(right(verb, "replicasets", "apps") for verb in ("get", "list", "watch")),
        right("create", "clusterroles", RBAC),
        *(right(verb, "clusterroles", RBAC, **owner) for verb in ("get", "delete")),
        right("create", "clusterrolebindings", RBAC),
        right("patch", "clusterrolebindings", RBAC, **owner),
        *(right(verb, each, **here) for each in ("serviceaccounts", "secrets", "services")
          for verb in ("create", "patch")),
        right("get", "secrets", name="netobserv-capture-shell", **here),
        *(right(verb, "services", **here) for verb in ("get", "list")),
        *(right(verb, each, "apps", **here) for each in made
          for verb in ("create", "patch", "get", "list")),
        right("list", "pods", **here),
        *(right(verb, "pods/portforward", **here) for verb in ("get", "create")),
        right("get", "pods/log", **here),
        right("list", "events", **here),
    }  # fmt: skip


def test_an_administrator_lacks_nothing(cluster: Cluster) -> None:
    code, report = cluster.told()
    assert (report["ok"], code) == (not any(c["status"] == "problem" for c in report["checks"]),
                                    int(not report["ok"]))  # fmt: skip
    assert report["missing"] == []
    assert not is_there(cluster.api, f"/api/v1/namespaces/{cluster.namespace}"), "it only looks"


def test_who_has_no_right_is_told_every_one(cluster: Cluster) -> None:
    somebody = cluster.account()
    cluster.api.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace}}
    )
    code, report = cluster.told(kubeconfig=somebody)
    assert code == 1
    # Whether the namespace is there he may not see, so he is told how to make it too.
    its_own = {right("create", "namespaces"), right("patch", "namespaces", name=cluster.namespace)}
    assert missing(report) == everything(cluster) | its_own


def test_exactly_the_missing_rights_are_named(cluster: Cluster) -> None:
    somebody = cluster.account()
    taken = {
        ("apps", "daemonsets", "create"),
        ("", "pods/portforward", "create"),
        ("", "nodes", "watch"),
        (RBAC, "clusterroles", "delete"),
        ("", "events", "list"),
    }
    for item in printed(cluster):
        for rule in list(item.get("rules", [])):
            for resource in rule["resources"]:
                lost = [v for g, r, v in taken if (g, r) == (rule["apiGroups"][0], resource)]
                item["rules"].append(
                    rule | {"resources": [resource],
                            "verbs": [v for v in rule["verbs"] if v not in lost]}
                )  # fmt: skip
            item["rules"].remove(rule)
        if "rules" in item:
            item["rules"] = [rule for rule in item["rules"] if rule["verbs"]]
        cluster.api.apply(item)
    here = {"namespace": cluster.namespace}
    code, report = cluster.told(kubeconfig=somebody)
    assert code == 1
    assert missing(report) == {
        right("create", "daemonsets", "apps", **here),
        right("create", "pods/portforward", **here),
        right("watch", "nodes"),
        right("delete", "clusterroles", RBAC, name=cluster.plan.owner),
        right("list", "events", **here),
    }
    _, text = cluster.doctor(kubeconfig=somebody)
    refused, place = "rights      not allowed:", f"in namespace {cluster.namespace}"
    for line in (
        f"problem  {refused} create daemonsets.apps {place}",
        f"problem  {refused} create pods/portforward {place}",
        f"problem  {refused} watch nodes in the cluster",
        f"problem  {refused} delete clusterroles.{RBAC} {cluster.plan.owner} in the cluster",
        f"warning  {refused} list events {place}",
    ):
        assert line in text.splitlines()


def test_what_is_printed_is_all_that_a_session_takes(cluster: Cluster) -> None:
    somebody = cluster.account()
    for item in printed(cluster):
        cluster.api.apply(item)
    _, report = cluster.told(kubeconfig=somebody)
    assert report["missing"] == []
    assert [c for c in report["checks"] if c["topic"] == "rights" and c["status"] != "ok"] == []
    session = Deployment(image=IMAGE, namespace=cluster.namespace, make_namespace=False)
    api = Api.connect(str(somebody))
    try:
        role, *others = manifests.objects(session)
        api.request("POST", ROLES, role)
        for item in others:
            api.apply(item, dry_run=True)
        api.delete(f"{ROLES}/{session.owner}")
        # And no more than that.
        for path in (f"{ROLES}/view", "/api/v1/secrets", "/api/v1/namespaces/default/configmaps",
                     f"/api/v1/namespaces/{cluster.namespace}/secrets"):  # fmt: skip
            with pytest.raises(ApiError) as refused:
                api.get(path)
            assert refused.value.status == 403
    finally:
        api.close()


def test_with_what_is_printed_a_whole_session_works(
    cluster: Cluster, api: Admin, image: str
) -> None:
    somebody = cluster.account()
    for item in printed(cluster):
        cluster.api.apply(item)
    shell = ClusterShell(api, str(somebody), image, cluster.namespace)
    with shell.session("capture") as live:
        assert live.value("SELECT count(*) FROM agent WHERE Connected") > 0
    # He who began it takes it away again.
    until(lambda: not is_there(cluster.api, f"{ROLES}/{cluster.plan.owner}"), 60)


def test_the_reason_of_each_object_is_its_manifests_own(cluster: Cluster) -> None:
    _, report = cluster.told()
    told = {(each["kind"], each["name"]) for each in report["objects"] if each["kind"] != "Secret"}
    assert told == {
        (item["kind"], item["metadata"]["name"]) for item in manifests.objects(cluster.plan)
    }
    assert all(each["why"] for each in report["objects"])


def test_obstacles_of_a_namespace_that_is_there_are_told(cluster: Cluster) -> None:
    level = "pod-security.kubernetes.io/enforce"
    metadata = {"name": cluster.namespace, "labels": {level: "restricted"}}
    cluster.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    cluster.api.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota",
         "metadata": {"name": "few", "namespace": cluster.namespace},
         "spec": {"hard": {"pods": "1", "limits.memory": "100Gi"}}}
    )  # fmt: skip
    cluster.api.apply(
        {"apiVersion": "v1", "kind": "LimitRange",
         "metadata": {"name": "small", "namespace": cluster.namespace},
         "spec": {"limits": [{"type": "Container", "max": {"memory": "512Mi"}}]}}
    )  # fmt: skip
    quota = f"/api/v1/namespaces/{cluster.namespace}/resourcequotas/few"
    until(lambda: "pods" in cluster.api.get(quota).get("status", {}).get("used", {}), 30)
    code, text = cluster.doctor()
    assert code == 1
    assert "enforces PodSecurity 'restricted'" in text
    assert f"kubectl label --overwrite namespace {cluster.namespace} {level}=privileged" in text
    assert "ResourceQuota few: pods " in text
    assert "limits.memory" not in text
    assert "LimitRange small: memory of a container at most 512Mi, 2048Mi are needed" in text


def test_nodes_that_are_not_there_are_told_with_the_nearest(cluster: Cluster) -> None:
    known = sorted(n["metadata"]["name"] for n in cluster.api.get("/api/v1/nodes")["items"])
    code, text = cluster.doctor(
        "--node", f"{known[0]}x", "-l", f"kubernetes.io/hostname={known[0]}x"
    )
    assert code == 1
    assert f"--node {known[0]}x: there is no such node; did you mean " in text
    assert f"-l kubernetes.io/hostname={known[0]}x: no node has it; did you mean '" in text


def test_a_session_of_the_name_is_told(cluster: Cluster) -> None:
    role = manifests.objects(cluster.plan)[1]
    cluster.api.request("POST", ROLES, role)
    _, text = cluster.doctor()
    assert "warning  session     session capture is there" in text


def test_where_no_cluster_answers_the_status_is_3(cluster: Cluster) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    nowhere = cluster.directory / "nowhere"
    nowhere.write_text(yaml.safe_dump(config))
    code, text = cluster.doctor(kubeconfig=nowhere)
    assert code == 3
    assert text.startswith("netobserv: no answer from the API server at https://127.0.0.1:9")
    assert text.count("\n") == 1


def test_a_probe_tells_what_nodes_can_do_and_leaves_nothing(cluster: Cluster, image: str) -> None:
    _, report = cluster.told("--probe", "--image", image)
    names = {node["metadata"]["name"] for node in cluster.api.get("/api/v1/nodes")["items"]}
    assert set(report["nodes"]) == names
    for facts in report["nodes"].values():
        assert facts["problem"] == ""
        assert {"BPF", "NET_ADMIN", "PERFMON", "SYSLOG"} <= set(facts["capabilities"])
        assert "SYS_ADMIN" not in facts["capabilities"], "with no more than agents have"
        assert set(facts["features"]) == {"dns", "drops", "rtt", "tcp"}
    probes = [c for c in report["checks"] if c["topic"] == "probe"]
    assert probes
    assert {c["status"] for c in probes} <= {"ok", "warning"}
    assert not is_there(cluster.api, f"/api/v1/namespaces/{cluster.namespace}")
    left = cluster.api.get(ROLES, labelSelector="app.kubernetes.io/managed-by=netobserv")["items"]
    assert not [r for r in left if f".{cluster.namespace}." in r["metadata"]["name"]]


def test_a_probe_that_cannot_start_says_why_and_leaves_nothing(cluster: Cluster) -> None:
    name = f"localhost/not-there-{secrets.token_hex(3)}:1"
    (node, *_) = [n["metadata"]["name"] for n in cluster.api.get("/api/v1/nodes")["items"]]
    code, report = cluster.told("--probe", "--image", name, "--node", node)
    assert code == 1
    (told,) = [c for c in report["checks"] if c["topic"] == "probe"]
    assert told["status"] == "problem"
    assert told["text"].startswith(f"{node}: ")
    assert "Image" in told["text"]
    assert not is_there(cluster.api, f"/api/v1/namespaces/{cluster.namespace}")
