"""Values of selectors as typed, and how they are spelled canonically.

A name is checked as Kubernetes would, so that a slip is told from a pod that is
not there yet.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from types import MappingProxyType
from typing import TYPE_CHECKING

from nshell.filters.errors import FilterError, nearest, shown, suggestion
from nshell.filters.selectors import ANY, Labelled, Named, OwnedBy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OWNER_KINDS = (
    "deployment",
    "statefulset",
    "daemonset",
    "job",
    "cronjob",
    "replicaset",
    "replicationcontroller",
    "deploymentconfig",
    "pod",
    "node",
)
"""Who stands at the top of a pod's owners; a pod without an owner is its own."""

OWNER_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "deploy": "deployment",
        "sts": "statefulset",
        "ds": "daemonset",
        "cj": "cronjob",
        "rs": "replicaset",
        "rc": "replicationcontroller",
        "dc": "deploymentconfig",
        "po": "pod",
        "no": "node",
        **{kind + "s": kind for kind in OWNER_KINDS},
    }
)

_LONGEST = 253
_LONGEST_LABEL = 63
_NAME = re.compile(r"[a-z0-9*?]([-a-z0-9.*?]*[a-z0-9*?])?")
_NO_NAME = re.compile(r"[^-a-z0-9.*?]")
_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_CONDITION = re.compile(r"([^=!]*)(!=|==?)(.*)", re.DOTALL)


def parse_pod(word: str) -> Iterator[Named]:
    """``NAMESPACE/NAME`` or ``NAME``."""
    yield _named(word, "pod")


def parse_service(word: str) -> Iterator[Named]:
    """``NAMESPACE/NAME`` or ``NAME``."""
    yield _named(word, "service")


def parse_namespace(word: str) -> Iterator[str]:
    """A name."""
    if "/" in word:
        raise FilterError(f"{shown(word)} is not a namespace: write it as `pod {_plain(word)}`?")
    yield _name(word, "namespace", whole=word, longest=_LONGEST_LABEL)


def parse_node(word: str) -> Iterator[str]:
    """A name."""
    if "/" in word:
        fixed = _plain(word.rpartition("/")[2])
        raise FilterError(f"{shown(word)} is not a node: nodes are in no namespace, `node {fixed}`")
    yield _name(word, "node", whole=word)


def parse_owner(word: str) -> Iterator[OwnedBy]:
    """``KIND/NAME`` or ``NAMESPACE/KIND/NAME``."""
    parts = word.split("/")
    if len(parts) == 1:
        kind = _kind_or_none(word)
        fixed = f"{kind}/*" if kind else f"deployment/{_plain(word)}"
        raise FilterError(f"{shown(word)} is not an owner: write it as `owner {fixed}`?")
    if len(parts) > 3:
        raise FilterError(f"{shown(word)} is not an owner: KIND/NAME or NAMESPACE/KIND/NAME")
    *before, name = parts
    if len(before) == 2 and _kind_or_none(before[1]) is None and _kind_or_none(before[0]):
        fixed = f"{_plain(before[1])}/{_kind_or_none(before[0])}/{_plain(name)}"
        raise FilterError(f"{shown(word)} is not an owner: write it as `owner {fixed}`?")
    namespace = (
        _name(before[0], "namespace", whole=word, longest=_LONGEST_LABEL) if before[1:] else ANY
    )
    yield OwnedBy(_kind(before[-1], word), namespace, _name(name, "owner", whole=word))


def parse_label(word: str) -> Iterator[Labelled]:
    """``KEY``, ``KEY=VALUE`` or ``KEY!=VALUE``."""
    condition = _CONDITION.fullmatch(word)
    key, sign, value = condition.groups() if condition else (word, "", "")
    if not _KEY.fullmatch(key) or len(key) > _LONGEST + 1 + _LONGEST_LABEL:
        if word.startswith("!"):
            raise FilterError(
                f"{shown(word)} is not a label: that one is absent can't be asked for"
            )
        raise FilterError(f"{shown(word)} is not a label: KEY=VALUE, KEY!=VALUE or KEY")
    if not _VALUE.fullmatch(value):
        why = "wildcards do not work there" if {"*", "?"} & set(value) else _label_rule(value)
        raise FilterError(f"{shown(value)} in {shown(word)} is not the value of a label: {why}")
    yield Labelled(key, value if sign else None, differs=sign == "!=")


def owner_of(word: str) -> str:
    """The kind that a word means, in full; empty when it is none."""
    return _kind_or_none(word) or ""


def spell_named(named: Named) -> str:
    return named.name if named.namespace == ANY else f"{named.namespace}/{named.name}"


def spell_owner(owner: OwnedBy) -> str:
    before = "" if owner.namespace == ANY else owner.namespace + "/"
    return f"{before}{owner.kind}/{owner.name}"


def spell_label(label: Labelled) -> str:
    if label.value is None:
        return label.key
    return f"{label.key}{'!=' if label.differs else '='}{label.value}"


def _named(word: str, what: str) -> Named:
    namespace, slash, name = word.rpartition("/")
    if "/" in namespace:
        kind = _kind_or_none(namespace.rpartition("/")[2])
        hint = f"write it as `owner {_plain(word)}`?" if kind else "NAMESPACE/NAME or NAME"
        raise FilterError(f"{shown(word)} is not a {what}: {hint}")
    if slash and not name:
        raise FilterError(f"{shown(word)} is not a {what}: write it as {_plain(namespace)}/*?")
    if slash and not namespace:
        raise FilterError(f"{shown(word)} is not a {what}: write it as {_plain(name)}")
    if not slash and "=" in word:
        raise FilterError(f"{shown(word)} is not a {what}: write it as `label {_plain(word)}`?")
    if what == "service" and not slash and "." in word:
        name, namespace = word.split(".")[:2]
        raise FilterError(
            f"{shown(word)} is not a service: write it as {_plain(namespace)}/{_plain(name)}"
        )
    if what == "service" and "." in name:
        # RFC 1035 labels: what `name.namespace` would be read for otherwise.
        raise FilterError(f"{shown(word)} is not a service: their names have no dots")
    if _is_address(name):
        raise FilterError(f"{shown(word)} is not a {what}: write it as `peer_ip {name}`")
    return Named(
        _name(namespace, "namespace", whole=word, longest=_LONGEST_LABEL) if slash else ANY,
        _name(name, what, whole=word),
    )


def _name(name: str, what: str, *, whole: str, longest: int = _LONGEST) -> str:
    """A name with wildcards; FilterError names it, and the whole that it is in."""
    if _NAME.fullmatch(name) and len(name) <= longest:
        return name
    inside = "" if name == whole else f" in {shown(whole)}"
    raise FilterError(
        f"{shown(name)}{inside} is not the name of {_article(what)}: {_why_not(name, longest)}"
    )


def _why_not(name: str, longest: int) -> str:
    if not name:
        return "it is empty"
    if len(name) > longest:
        return f"longer than {longest} characters"
    if name != name.lower() and _NAME.fullmatch(name.lower()):
        return f"names are in lower case, {name.lower()}"
    wrong = _NO_NAME.search(name)
    if wrong:
        return f"it has a {shown(wrong.group())}"
    return "it starts and ends with a letter or a digit"


def _label_rule(value: str) -> str:
    if len(value) > _LONGEST_LABEL:
        return f"longer than {_LONGEST_LABEL} characters"
    return "letters, digits and -_. between them"


def _kind(word: str, whole: str) -> str:
    """A kind in full; one that resembles none of ours is a custom resource."""
    kind = _kind_or_none(word)
    if kind is not None:
        return kind
    name = _name(word.lower(), "kind", whole=whole)
    likely = nearest(word, (*OWNER_KINDS, *OWNER_ALIASES))
    if likely and not {"*", "?"} & set(word):
        choices = tuple(dict.fromkeys(OWNER_ALIASES.get(each, each) for each in likely))
        hint = suggestion(choices[0], choices)
        raise FilterError(f"{shown(word)} in {shown(whole)} is not the kind of an owner: {hint}")
    return name


def _kind_or_none(word: str) -> str | None:
    kind = word.lower().partition(".")[0]
    kind = OWNER_ALIASES.get(kind, kind)
    return kind if kind in OWNER_KINDS else None


def _is_address(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True


def _plain(word: str) -> str:
    """A word within a message: printable, and cut when long."""
    return shown(word)[1:-1]


def _article(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"
