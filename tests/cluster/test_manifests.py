"""What a session makes on a cluster: each object named, labelled, least in rights, filled in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.main import _parser as agent_parser
from nshell.cluster import manifests, names
from nshell.cluster.manifests import Deployment, Object
from nshell.collector.main import _command as collector_command

if TYPE_CHECKING:
    import click

IMAGE = "localhost/netobserv-shell:test"
ROOT = Path(__file__).parents[2]
AS_YAML_READS_THEM = ("true", "no", "null", "123", "1e3", "0x1f", "0o17", "1-1", "2026-01-01")
"""Names that would be something else without their quotes."""


def deployment(**given: Any) -> Deployment:
    return Deployment(**{"image": IMAGE, **given})


def made(kind: str, component: str = "", **given: Any) -> Object:
    (found,) = (
        item
        for item in manifests.objects(deployment(**given))
        if item["kind"] == kind
        and component in ("", item["metadata"]["labels"].get("app.kubernetes.io/component"))
    )
    return found


def pod(kind: str, **given: Any) -> Object:
    spec: Object = made(kind, **given)["spec"]["template"]["spec"]
    return spec


def container(kind: str, **given: Any) -> Object:
    (only,) = pod(kind, **given)["containers"]
    found: Object = only
    return found


def test_the_objects_are_these_and_come_in_the_order_in_which_each_finds_what_it_needs() -> None:
    kinds = [item["kind"] for item in manifests.objects(deployment(openshift=True))]
    assert kinds == [
        "Namespace", "ClusterRole", "ClusterRoleBinding", "ServiceAccount", "ServiceAccount",
        "SecurityContextConstraints", "Service", "Deployment", "DaemonSet",
    ]  # fmt: skip


def test_what_only_openshift_knows_is_left_out_elsewhere() -> None:
    groups = {item["apiVersion"] for item in manifests.objects(deployment())}
    assert not [group for group in groups if "openshift" in group]


def test_a_namespace_that_was_there_before_is_left_as_it_is() -> None:
    kinds = [item["kind"] for item in manifests.objects(deployment(make_namespace=False))]
    assert "Namespace" not in kinds
    assert "DaemonSet" in kinds


def test_every_object_and_every_pod_says_whose_it_is() -> None:
    found = manifests.objects(deployment(session="mine", openshift=True))
    labelled = [item["metadata"]["labels"] for item in found]
    labelled += [item["spec"]["template"]["metadata"]["labels"] for item in found if "template"
                 in item.get("spec", {})]  # fmt: skip
    assert len(labelled) == len(found) + 2
    for labels in labelled:
        assert labels["app.kubernetes.io/name"] == "netobserv-shell"
        assert labels["app.kubernetes.io/managed-by"] == "netobserv"
        assert labels["app.kubernetes.io/part-of"] == "netobserv"
    of_session = [labels for labels in labelled if "netobserv.io/session" in labels]
    # All but the namespace, where other sessions may live too.
    assert len(of_session) == len(labelled) - 1
    for labels in of_session:
        assert labels["netobserv.io/session"] == labels["app.kubernetes.io/instance"] == "mine"
        assert labels["app.kubernetes.io/component"] in ("agent", "collector")


def test_the_namespace_admits_the_agents() -> None:
    labels = made("Namespace")["metadata"]["labels"]
    for what in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{what}"] == "privileged"


def test_no_two_sessions_of_a_cluster_share_an_object() -> None:
    sessions = [("a", "b-c"), ("a-b", "c"), ("a", "c"), ("a-b", "b-c")]
    keys = [
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
        for namespace, session in sessions
        for item in manifests.objects(
            deployment(namespace=namespace, session=session, make_namespace=False, openshift=True)
        )
    ]
    assert len(set(keys)) == len(keys)


def test_the_collector_may_look_and_may_delete_what_owns_its_session() -> None:
    rules = made("ClusterRole", session="mine", namespace="here")["rules"]
    assert [
        (rule["apiGroups"], rule["resources"], rule.get("resourceNames"), rule["verbs"])
        for rule in rules
    ] == [
        ([""], ["pods", "services", "nodes"], None, ["get", "list", "watch"]),
        (["apps"], ["replicasets"], None, ["get", "list", "watch"]),
        (["rbac.authorization.k8s.io"], ["clusterroles"], ["netobserv.here.mine"], ["delete"]),
    ]
    assert made("ClusterRole", session="mine", namespace="here")["metadata"]["name"] == (
        "netobserv.here.mine"
    )


def test_the_collector_alone_is_bound_to_rights() -> None:
    binding = made("ClusterRoleBinding")
    assert binding["roleRef"]["name"] == made("ClusterRole")["metadata"]["name"]
    (subject,) = binding["subjects"]
    assert subject["name"] == pod("Deployment")["serviceAccountName"]
    assert subject["namespace"] == made("Deployment")["metadata"]["namespace"]


def test_agents_have_no_token() -> None:
    assert pod("DaemonSet")["automountServiceAccountToken"] is False
    account = made("ServiceAccount", "agent")
    assert account["automountServiceAccountToken"] is False
    assert account["metadata"]["name"] == pod("DaemonSet")["serviceAccountName"]


def test_agents_have_capabilities_instead_of_privilege() -> None:
    context = container("DaemonSet")["securityContext"]
    assert context["privileged"] is False
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {
        "drop": ["ALL"], "add": ["BPF", "PERFMON", "NET_ADMIN", "SYSLOG"],
    }  # fmt: skip


def test_each_capability_says_why() -> None:
    lines = (ROOT / "manifests" / "agent.yaml").read_text().splitlines()
    added = container("DaemonSet")["securityContext"]["capabilities"]["add"]
    for name in added:
        (line,) = (line for line in lines if line.strip().startswith(f"- {name}"))
        assert re.search(r"# \w+", line), line


def test_the_collector_has_no_privilege_at_all() -> None:
    context = container("Deployment")["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "hostNetwork" not in pod("Deployment")


@pytest.mark.parametrize("kind", ["DaemonSet", "Deployment"])
def test_pods_write_to_volumes_of_their_own_and_to_nothing_else(kind: str) -> None:
    assert container(kind)["securityContext"]["readOnlyRootFilesystem"] is True
    kinds = {name for volume in pod(kind)["volumes"] for name in volume if name != "name"}
    assert kinds == {"emptyDir", "secret"}
    mounts = {mount["name"]: mount for mount in container(kind)["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod(kind)["volumes"]}
    assert mounts["tls"]["readOnly"] is True
    assert "/tmp" in {mount["mountPath"] for mount in mounts.values()}


@pytest.mark.parametrize("kind", ["DaemonSet", "Deployment"])
def test_pods_say_what_they_need_and_what_they_may_use(kind: str) -> None:
    resources = container(kind)["resources"]
    assert resources["requests"].keys() == resources["limits"].keys() == {"cpu", "memory"}


def test_agents_go_to_every_node_on_the_nodes_network() -> None:
    spec = pod("DaemonSet")
    assert spec["hostNetwork"] is True
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert spec["affinity"] == {}


def test_agents_go_only_where_every_label_holds_and_to_the_nodes_named() -> None:
    spec = pod("DaemonSet", node_labels=(("zone", "a"), ("example.com/x", "")), nodes=("n1", "n2"))
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", "zone": "a", "example.com/x": ""}
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert [
        (field["key"], field["operator"], field["values"])
        for term in required["nodeSelectorTerms"]
        for field in term["matchFields"]
    ] == [("metadata.name", "In", ["n1"]), ("metadata.name", "In", ["n2"])]


def test_labels_that_no_node_can_have_are_refused() -> None:
    with pytest.raises(names.BadName, match="no node has both zone=a and zone=b"):
        deployment(node_labels=(("zone", "a"), ("zone", "b")))


@pytest.mark.parametrize("kind", ["DaemonSet", "Deployment", "Service"])
def test_selectors_find_the_pods_of_this_session_alone(kind: str) -> None:
    spec = made(kind)["spec"]
    selector = spec["selector"].get("matchLabels", spec["selector"])
    assert selector.keys() == {"netobserv.io/session", "app.kubernetes.io/component"}
    template = made("Deployment" if kind == "Service" else kind)["spec"]["template"]
    assert selector.items() <= template["metadata"]["labels"].items()


def test_openshift_allows_agents_what_they_ask_for_and_gives_the_collector_its_user() -> None:
    (constraints,) = (
        item
        for item in manifests.objects(deployment(namespace="here", openshift=True))
        if item["kind"] == "SecurityContextConstraints"
    )
    account = made("ServiceAccount", "agent", namespace="here")["metadata"]["name"]
    assert constraints["users"] == [f"system:serviceaccount:here:{account}"]
    asked = container("DaemonSet")["securityContext"]
    assert constraints["allowedCapabilities"] == asked["capabilities"]["add"]
    assert constraints["seccompProfiles"] == [asked["seccompProfile"]["type"].lower()]
    assert constraints["allowPrivilegedContainer"] is False
    kinds = {name for volume in pod("DaemonSet")["volumes"] for name in volume if name != "name"}
    assert set(constraints["volumes"]) == kinds
    assert pod("Deployment", openshift=True)["securityContext"] == {}
    assert pod("Deployment")["securityContext"].keys() == {"runAsUser", "runAsGroup", "fsGroup"}


@pytest.mark.parametrize("kind", ["DaemonSet", "Deployment"])
def test_no_probe_adds_to_what_is_captured(kind: str) -> None:
    assert not [name for name in container(kind) if name.endswith("Probe")]


def test_the_collector_runs_as_the_user_of_the_image() -> None:
    (user,) = re.findall(r"^USER (\d+):", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    assert pod("Deployment")["securityContext"]["runAsUser"] == int(user)


def test_the_programs_take_the_arguments() -> None:
    given = {
        "session": "mine",
        "lease_seconds": 90,
        "collector_arguments": ("--filter=port 80", "--packets"),
        "agent_arguments": ("--interface=eth*",),
    }
    agent = agent_parser().parse_args(container("DaemonSet", **given)["args"])
    assert agent.connect == "netobserv-mine-collector.netobserv-cli.svc:9443"
    assert agent.interface == ["eth*"]
    collector: click.Context = collector_command.make_context(
        "collector", list(container("Deployment", **given)["args"])
    )
    assert collector.params["name"] == "mine"
    assert collector.params["lease_seconds"] == 90
    assert collector.params["packets"] is True
    assert collector.params["filters"] == ("port 80",)


@pytest.mark.parametrize(
    ("host", "target"),
    [("10.0.0.1", "10.0.0.1:9443"), ("fd00::1", "[fd00::1]:9443"), ("here", "here:9443")],
)
def test_agents_connect_to_the_port_that_the_collector_serves(host: str, target: str) -> None:
    assert f"--connect={target}" in container("DaemonSet", collector_host=host)["args"]
    (port,) = made("Service")["spec"]["ports"]
    (served,) = container("Deployment")["ports"]
    assert port["port"] == served["containerPort"] == 9443
    assert port["targetPort"] == served["name"]
    assert "--listen=[::]:9443" in container("Deployment")["args"]


def test_keys_lie_where_the_programs_look() -> None:
    for kind in ("DaemonSet", "Deployment"):
        (secret,) = (v["secret"] for v in pod(kind)["volumes"] if "secret" in v)
        asked = deployment()
        assert secret["secretName"] == (asked.agent if kind == "DaemonSet" else asked.collector)
        assert secret["defaultMode"] == (0o400 if kind == "DaemonSet" else 0o440)
        (mount,) = (m for m in container(kind)["volumeMounts"] if m["name"] == "tls")
        assert f"--tls={mount['mountPath']}" in container(kind)["args"]


def test_everything_is_owned_by_the_role_but_the_role() -> None:
    found = manifests.objects(deployment())
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "netobserv.netobserv-cli.capture", "uid": "u-1"},
    }
    owned = manifests.owned(found, role)
    assert [item["kind"] for item in owned] == [item["kind"] for item in found]
    for item in owned:
        if item["kind"] == "ClusterRole":
            assert "ownerReferences" not in item["metadata"]
        else:
            (reference,) = item["metadata"]["ownerReferences"]
            assert reference == {
                "apiVersion": role["apiVersion"], "kind": "ClusterRole",
                "name": "netobserv.netobserv-cli.capture", "uid": "u-1",
            }  # fmt: skip
    assert all("ownerReferences" not in item["metadata"] for item in found)


@pytest.mark.parametrize("name", AS_YAML_READS_THEM)
def test_names_stay_names(name: str) -> None:
    for item in manifests.objects(deployment(session=name, namespace=name, openshift=True)):
        assert item["metadata"].get("namespace", name) == name
        labels = item["metadata"]["labels"]
        assert all(isinstance(value, str) for value in labels.values())
        assert labels.get("netobserv.io/session", name) == name
        assert isinstance(item["metadata"]["name"], str)
    label = (("x", name),)
    assert pod("DaemonSet", node_labels=label)["nodeSelector"]["x"] == name


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3))
def test_a_value_is_read_as_it_was_given(values: list[str]) -> None:
    template = "args:\n  - fixed\n  - ${several}\none: ${one}\n"
    given = {"several": tuple(values), "one": "".join(values)}
    read = yaml.safe_load(manifests.fill(template, quoted={}, values=given))
    assert read == {"args": ["fixed", *values], "one": "".join(values)}


@pytest.mark.parametrize(
    "text", ["it is ${session}", "${nothing}", "$(X)", "$$(X)", "$$$(X)", "a$", "$", "é\U0001f600"]
)
def test_an_argument_arrives_as_it_was_given(text: str) -> None:
    args = container("DaemonSet", agent_arguments=[text])["args"]
    assert as_a_container_reads(args[-1]) == text
    assert as_a_container_reads("--node=$(NODE_NAME)") == "--node=<NODE_NAME>"


def as_a_container_reads(argument: str) -> str:
    """The kubelet's rule: $$ is $, $(NAME) a variable."""
    return re.sub(
        r"\$\$|\$\((.*?)\)", lambda found: "$" if found[1] is None else f"<{found[1]}>", argument
    )


def test_what_people_read_is_what_the_api_server_gets() -> None:
    asked = deployment(openshift=True, nodes=("n1",), collector_arguments=("--packets",))
    assert list(yaml.safe_load_all(manifests.text(asked))) == manifests.objects(asked)
    assert "${" not in manifests.text(asked)


def test_a_placeholder_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="nothing"):
        manifests.fill('name: "${nothing}"\n', quoted={"name": "x"}, values={})


def test_the_files_are_yaml_before_anything_is_filled_in() -> None:
    files = sorted((ROOT / "manifests").glob("*.yaml"))
    asked = deployment(openshift=True).files
    assert sorted(asked) == [path.name for path in files]
    for path in files:
        assert all(item["kind"] for item in yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize(
    ("check", "text", "near"),
    [
        (names.session, "My_Session", "my-session"),
        (names.session, "-x-", "x"),
        (names.session, "a" * 41, "a" * 40),
        (names.namespace, "Net.Obs", "net-obs"),
        (names.node, "Node_1.example", "node-1.example"),
        (names.node_label, "zone: a", "zone=a"),
        (names.image, "Repo/App:1", "repo/app:1"),
        (names.image, "repo/app :1", "repo/app:1"),
    ],
)
def test_a_wrong_name_is_told_the_nearest_right_one(check: Any, text: str, near: str) -> None:
    with pytest.raises(names.BadName) as refused:
        check(text)
    assert repr(text) in str(refused.value)
    assert str(refused.value).endswith(f": did you mean {near!r}?")
    check(near)


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (names.session, ""), (names.session, "a\n"), (names.session, "é"), (names.session, "___"),
        (names.namespace, 'a"'), (names.namespace, "a" * 64), (names.node, "a..b"),
        (names.node, ""), (names.node_label, "zone"), (names.node_label, "=a"),
        (names.node_label, "a/b/c=d"), (names.node_label, "a=b c"), (names.node_label, "a=-"),
        (names.node_label, "É=a"), (names.image, ""), (names.image, "a:b:c"), (names.image, "/a"),
        (names.image, "a@sha256:12"), (names.image, "a\n"),
    ],
)  # fmt: skip
def test_what_kubernetes_would_refuse_is_refused_in_one_line(check: Any, text: str) -> None:
    with pytest.raises(names.BadName) as refused:
        check(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["a", "a/b", "r.example:5000/a/b_c:1.2", "localhost/a:x@sha256:" + "0" * 64, "R.x/a"]
)
def test_images_are_taken_by_every_kind_of_name(text: str) -> None:
    assert container("DaemonSet", image=names.image(text))["image"] == text


@given(st.text(st.characters(codec="ascii"), max_size=50))
def test_what_is_near_is_right(text: str) -> None:
    try:
        names.session(text)
    except names.BadName as error:
        near = re.search(r"did you mean '(.*)'\?$", str(error))
        assume(near is not None)
        assert near is not None
        assert names.session(near[1]) == near[1]
    else:
        assert re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"session": "A"}, {"namespace": "A"}, {"image": "A"}, {"nodes": ("A",)},
        {"node_labels": (("a b", "c"),)},
    ],
)  # fmt: skip
def test_no_deployment_has_a_wrong_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(names.BadName):
        deployment(**wrong)
