"""What the user should know of a filter's selectors: what they do not match yet, and
what they match more than meets the eye.

Invariant: its cost is bounded, however many pods there are: it is paid at every
change of the cluster while something is missing.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING

from nshell.filters.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from nshell.collector.kube.matching import Matches, Value
    from nshell.collector.kube.objects import Pod
    from nshell.collector.kube.view import View
    from nshell.filters import Rule

_SHOWN = 3
_SHORTLIST = 40
_MANY = 500
_STARTS = (12, 8, 4, 2)
"""Of many names, those that have as much as possible of the word's start are likely."""
_SAME = 1000
"""More than names have characters."""
_THINGS = {"service": "service", "node": "node"}


def notes_of(rule: Rule, found: Matches, view: View) -> tuple[str, ...]:
    """In the order of importance."""
    return tuple(_notes(rule, found, view))


def _notes(rule: Rule, found: Matches, view: View) -> Iterator[str]:
    for value in found.unmet[:_SHOWN]:
        yield (
            f"{value.predicate} {value.text} matches no {_THINGS.get(value.predicate, 'pod')} yet: "
            f"waiting{_hint(value, view)}"
        )
    if len(found.unmet) > _SHOWN:
        yield f"and {len(found.unmet) - _SHOWN} more of its values match nothing yet"
    predicates = rule.selectors.of_pods
    if predicates and not found.unmet and not found.pods and not found.around:
        listed = " and ".join(predicates)
        yield f"no pod matches {listed} yet: waiting"
    lacking = [pod for pod in found.pods if not pod.addresses and not _is_finished(pod)]
    if lacking:
        verb = "has" if len(lacking) == 1 else "have"
        yield f"{_few(_pod_names(lacking))} {verb} no address yet: waiting"
    shared = [pod for pod in found.pods if pod.host_network and pod.addresses]
    if shared and predicates != ("node",):
        verb, whose = ("is", "its") if len(shared) == 1 else ("are", "their")
        yield f"{_few(_pod_names(shared))} {verb} in {whose} node's network: all of its traffic"
    services = [(service.namespace, service.name) for service in found.services]
    without = ["/".join(key) for key in services if key not in found.behind]
    if without:
        yield f"{_few(without)}: no selector, so the pods behind it are not known"
    empty = ["/".join(key) for key in services if not found.behind.get(key, True)]
    if empty:
        yield f"{_few(empty)}: no pod behind it yet"


def _is_finished(pod: Pod) -> bool:
    return pod.phase in {"Succeeded", "Failed"}


def _pod_names(pods: Iterable[Pod]) -> list[str]:
    return sorted(f"{pod.namespace}/{pod.name}" for pod in pods)


def _few(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _hint(value: Value, view: View) -> str:
    word = value.text.replace("*", "").replace("?", "")
    near = _nearest(word, set(_names(value, view)))
    return f", did you mean {' or '.join(near)}?" if near else ""


def _nearest(word: str, names: Collection[str]) -> tuple[str, ...]:
    """At most two names like the word; of many names only a few are looked at closely."""
    last = word.rpartition("/")[2]
    if len(names) > _MANY:
        starts = (last[:length] for length in _STARTS)
        alike = ([name for name in names if start in name] for start in starts)
        names = next(filter(None, alike), names)

    def promise(name: str) -> tuple[int, int, str]:
        own = name.rpartition("/")[2]
        return (
            -_shared_start(last, own) - (own == last) * _SAME,
            -_shared_start(word, name),
            name,
        )

    shortlist = nsmallest(_SHORTLIST, names, key=promise)
    same = tuple(name for name in shortlist if name.rpartition("/")[2] == last)
    return same[:2] if last and same else nearest(word, shortlist)


def _shared_start(a: str, b: str) -> int:
    """Length of what both start with."""
    at = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        at += 1
    return at


def _names(value: Value, view: View) -> Iterator[str]:
    """Those that a value of the predicate could have."""
    pods = view.pods
    match value.predicate:
        case "pod":
            yield from map("/".join, pods)
        case "service":
            yield from map("/".join, view.services)
        case "namespace":
            yield from {namespace for namespace, _ in (*pods, *view.services)}
        case "node":
            yield from view.nodes
        case "owner":
            owners = {(pod.namespace, pod.owner) for pod in pods.values()}
            yield from (f"{namespace}/{o.kind.lower()}/{o.name}" for namespace, o in owners)
        case "label":
            yield from _labels(value.text.partition("=")[0].rstrip("!"), view)


def _labels(key: str, view: View) -> Iterator[str]:
    """Values of a label, or labels if there is none of that key."""
    values = {pod.labels.get(key) for pod in view.pods.values()} - {None}
    if values:
        yield from (f"{key}={value}" for value in values)
    else:
        yield from {each for pod in view.pods.values() for each in pod.labels}
