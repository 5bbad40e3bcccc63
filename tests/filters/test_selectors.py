"""Selectors in the filter language: names of pods and what they belong to."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nshell.filters import (
    FilterError,
    Labelled,
    Named,
    OwnedBy,
    Rule,
    Selectors,
    needs_cluster,
    parse_rule,
    split_words,
)

REFUSED = {
    # Names of other tools, and things in the place of predicates.
    "pods shop/web": "unknown predicate 'pods': did you mean 'pod'?",
    "ns shop": "unknown predicate 'ns': did you mean 'namespace'?",
    "svc web": "unknown predicate 'svc': did you mean 'service'?",
    "svc/web": "unknown predicate 'svc/web': write it as `service web`",
    "pod/web-1": "unknown predicate 'pod/web-1': write it as `pod web-1`",
    "deployment web": "unknown predicate 'deployment': write it as `owner deployment/web`",
    "deploy/web": "unknown predicate 'deploy/web': write it as `owner deployment/web`",
    "shop/web-1": "unknown predicate 'shop/web-1': write it as `pod shop/web-1`",
    "app=web": "unknown predicate 'app=web': write it as `label app=web`",
    # Names that Kubernetes would not take.
    "pod shop/Web": "'Web' in 'shop/Web' is not the name of a pod: names are in lower case, web",
    "pod we_b": "'we_b' is not the name of a pod: it has a '_'",
    "namespace -a": (
        "'-a' is not the name of a namespace: it starts and ends with a letter or a digit"
    ),
    f"namespace {'n' * 64}": (
        f"'{'n' * 57}...' is not the name of a namespace: longer than 63 characters"
    ),
    "node a/b": "'a/b' is not a node: nodes are in no namespace, `node b`",
    # One thing for another.
    "pod shop/": "'shop/' is not a pod: write it as shop/*?",
    "pod /web": "'/web' is not a pod: write it as web",
    "pod 10.0.0.1": "'10.0.0.1' is not a pod: write it as `peer_ip 10.0.0.1`",
    "pod app=web": "'app=web' is not a pod: write it as `label app=web`?",
    "pod a/b/c": "'a/b/c' is not a pod: NAMESPACE/NAME or NAME",
    "pod shop/deployment/web": (
        "'shop/deployment/web' is not a pod: write it as `owner shop/deployment/web`?"
    ),
    "namespace shop/web": "'shop/web' is not a namespace: write it as `pod shop/web`?",
    "service web.shop.svc": "'web.shop.svc' is not a service: write it as shop/web",
    "service */a.b": "'*/a.b' is not a service: their names have no dots",
    "owner web": "'web' is not an owner: write it as `owner deployment/web`?",
    "owner sts": "'sts' is not an owner: write it as `owner statefulset/*`?",
    "owner deplyment/web": (
        "'deplyment' in 'deplyment/web' is not the kind of an owner: did you mean 'deployment'?"
    ),
    "owner deployment/shop/web": (
        "'deployment/shop/web' is not an owner: write it as `owner shop/deployment/web`?"
    ),
    "owner a/b/c/d": "'a/b/c/d' is not an owner: KIND/NAME or NAMESPACE/KIND/NAME",
    "label =web": "'=web' is not a label: KEY=VALUE, KEY!=VALUE or KEY",
    "label !app": "'!app' is not a label: that one is absent can't be asked for",
    "label app=we*b": (
        "'we*b' in 'app=we*b' is not the value of a label: wildcards do not work there"
    ),
    # Predicates in the place of values.
    "pod": "pod needs a value, e.g. `filter pod shop/web-*`",
    "pod port 80": "pod needs a value before 'port', e.g. `filter pod shop/web-*`",
    "namespace for flows": "namespace needs a value before 'for', e.g. `filter namespace shop`",
    # What no packet can be.
    "pod a service b cidr 10.0.0.0/8": "pod, service and cidr name 3 ends: a packet has two",
    "label a=b cidr 10.0.0.0/8 peer_ip 10.0.0.1": (
        "label, cidr and peer_ip name 3 ends: a packet has two"
    ),
    "service web icmp_type 8": "icmp_type and service never hold for one packet",
    "service web protocol icmp": "protocol icmp has no ports: service can't stand beside it",
}


def rule(line: str) -> Rule:
    return parse_rule(split_words(line))


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_wrong_is_said_in_one_line(line: str) -> None:
    with pytest.raises(FilterError) as caught:
        rule(line)
    assert str(caught.value) == REFUSED[line]


def test_each_selector_fills_its_own_field() -> None:
    made = rule(
        "pod shop/web-*,db namespace shop,kube-? owner deploy/web,shop/sts/db "
        "label app=web,tier!=front,canary node worker-1 port 80"
    )
    assert made.selectors == Selectors(
        pod=(Named("shop", "web-*"), Named("*", "db")),
        namespace=("shop", "kube-?"),
        owner=(OwnedBy("deployment", "*", "web"), OwnedBy("statefulset", "shop", "db")),
        label=(
            Labelled("app", "web"),
            Labelled("tier", "front", differs=True),
            Labelled("canary"),
        ),
        node=("worker-1",),
    )
    assert rule("service shop/web").selectors.service == (Named("shop", "web"),)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("pod */web", "pod web"),
        ("port 80 pod shop/web", "pod shop/web port 80"),
        ("owner DEPLOYMENTS.apps/web,deploy/web", "owner deployment/web"),
        ("owner rollout/web", "owner rollout/web"),
        ("owner */web", "owner */web"),
        ("label app==web,app=", "label app=web,app="),
        ("label app.kubernetes.io/Name=Web", "label app.kubernetes.io/Name=Web"),
        ("reject node 10.0.0.7 for packets", "reject node 10.0.0.7 for packets"),
        ("pod a service b", "pod a service b"),
        ("cidr 10.0.0.0/8 namespace shop", "cidr 10.0.0.0/8 namespace shop"),
        ("namespace service", "namespace service"),
        ("pod port,for port 80", "pod port,for port 80"),
        ("pod port port 80 for flows", "pod port port 80 for flows"),
    ],
)
def test_the_text_has_one_order_and_one_spelling(line: str, text: str) -> None:
    made = rule(line)
    assert made.text == text
    assert rule(text) == made


def test_a_rule_that_selects_needs_a_cluster() -> None:
    assert needs_cluster(rule("pod web")) == (
        "pod needs a cluster session: here a filter takes addresses, such as `peer_ip`"
    )
    assert needs_cluster(rule("port 80 label app=web")).startswith("label needs")
    assert needs_cluster(rule("port 80")) == ""


_NAMES = st.sampled_from(("web", "w*", "?b", "web-1", "port", "for", "pod", "a.b", "10.0.0.0"))
_KEYS = st.sampled_from(("app", "app.kubernetes.io/name", "port", "For"))
_PATHS = st.builds("{}/{}".format, st.sampled_from(("shop", "*", "port")), _NAMES)
_VALUES = {
    "pod": _NAMES | _PATHS,
    "service": _NAMES | _PATHS,
    "namespace": _NAMES,
    "node": _NAMES,
    "owner": st.builds("{}/{}".format, st.sampled_from(("deploy", "job", "shop/ds", "*")), _NAMES),
    "label": _KEYS
    | st.builds("{}{}{}".format, _KEYS, st.sampled_from(("=", "!=")), st.sampled_from(("", "a_B"))),
    "port": st.sampled_from(("80", "1-9")),
    "cidr": st.just("10.0.0.0/8"),
}


@st.composite
def _lines(draw: st.DrawFn) -> str:
    words = [draw(st.sampled_from(("", "reject")))]
    for name in draw(st.lists(st.sampled_from(tuple(_VALUES)), min_size=1, max_size=4)):
        words += [name, ",".join(draw(st.lists(_VALUES[name], min_size=1, max_size=3)))]
    words.append(draw(st.sampled_from(("", "for flows"))))
    return " ".join(filter(None, words))


@given(_lines())
def test_parsing_the_text_gives_the_same_rule(line: str) -> None:
    try:
        made = rule(line)
    except FilterError as error:
        assert str(error).isprintable()  # noqa: PT017  a line that is refused is one too
    else:
        assert parse_rule(shlex.split(made.text)) == made


@given(
    st.sampled_from(("pod", "service", "namespace", "owner", "label", "node")),
    st.text(max_size=12) | st.text(alphabet="aA/=!*?.-_1,", max_size=12),
)
def test_any_value_makes_a_rule_or_one_printable_line(name: str, value: str) -> None:
    try:
        made = parse_rule([name, value])
    except FilterError as error:
        assert str(error).isprintable()  # noqa: PT017
        assert len(str(error)) < 400  # noqa: PT017
    else:
        assert parse_rule(shlex.split(made.text)) == made
