"""Names as Kubernetes takes them: namespaces, sessions, nodes, labels, images.

Invariant: what passes here can stand in any manifest; what does not is refused
before an API server sees it, with the nearest name that would pass.
"""

from __future__ import annotations

import re

DEFAULT_NAMESPACE = "netobserv-cli"
DEFAULT_SESSION = "capture"
SESSION_LENGTH = 40
"""So that every name made of it stays within the 63 of a Service."""

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-\w.]*[A-Za-z0-9])?)?", re.ASCII)
_LABEL_KEY = re.compile(r"[A-Za-z0-9](?:[-\w.]*[A-Za-z0-9])?", re.ASCII)
_PATH = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?/)?"  # registry
    rf"{_PATH}(?:/{_PATH})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"  # tag
    r"(?:@sha256:[0-9a-f]{64})?"
)


class BadName(ValueError):  # noqa: N818 - says what it is
    """Kubernetes would refuse this name; str() is the line for the user."""


def namespace(text: str) -> str:
    """A namespace's name (RFC 1123 label)."""
    return _dns_label(text, "a namespace", 63)


def session(text: str) -> str:
    """A session's name: part of the names of all its objects."""
    return _dns_label(text, "a session", SESSION_LENGTH)


def node(text: str) -> str:
    """A node's name (RFC 1123 subdomain)."""
    if not _is_subdomain(text):
        near = _near(text, 253, keep=".")
        raise BadName(
            f"{text!r} cannot name a node: lowercase letters, digits, '-' and '.'"
            f"{_did_you_mean(near if _is_subdomain(near) else '')}"
        )
    return text


def node_label(text: str) -> tuple[str, str]:
    """LABEL=VALUE, as node selectors have it."""
    key, equals, value = text.partition("=")
    if not equals:
        raise BadName(f"{text!r} is not LABEL=VALUE{_did_you_mean(_as_pair(text))}")
    prefix, slash, name = key.rpartition("/")
    if not _LABEL_KEY.fullmatch(name) or len(name) > 63 or (slash and not _is_subdomain(prefix)):
        raise BadName(f"{key!r} cannot be a label: letters, digits, '-', '_', '.', as in 'zone'"
                      " or 'example.com/zone'")  # fmt: skip
    if not _LABEL_VALUE.fullmatch(value) or len(value) > 63:
        raise BadName(f"{value!r} cannot be the value of label {key!r}: letters, digits, '-', '_',"
                      " '.', at most 63")  # fmt: skip
    return key, value


def image(text: str) -> str:
    """[REGISTRY/]NAME[:TAG][@DIGEST]."""
    if not _IMAGE.fullmatch(text):
        near = "".join(text.split())
        near = near if _IMAGE.fullmatch(near) else near.lower()
        found = near if _IMAGE.fullmatch(near) else ""
        raise BadName(f"{text!r} is not an image: [REGISTRY/]NAME[:TAG]{_did_you_mean(found)}")
    return text


def _dns_label(text: str, what: str, most: int) -> str:
    if not _LABEL.fullmatch(text) or len(text) > most:
        raise BadName(
            f"{text!r} cannot name {what}: lowercase letters, digits and '-', no '-'"
            f" at an end, at most {most}{_did_you_mean(_near(text, most))}"
        )
    return text


def _is_subdomain(text: str) -> bool:
    return len(text) <= 253 and all(_LABEL.fullmatch(part) for part in text.split("."))


def _near(text: str, most: int, *, keep: str = "") -> str:
    folded = re.sub(rf"[^a-z0-9{re.escape(keep)}]+", "-", text.lower())
    return folded.strip("-.")[:most].rstrip("-.")


def _as_pair(text: str) -> str:
    key, colon, value = text.partition(":")
    return f"{key}={value.strip()}" if colon else ""


def _did_you_mean(near: str) -> str:
    return f": did you mean {near!r}?" if near else ""
