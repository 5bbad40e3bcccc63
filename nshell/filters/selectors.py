"""Selectors as data: what a filter says of pods, services and nodes, unresolved.

What they mean:

- ``pod``, ``namespace``, ``owner``, ``label`` and ``node`` together are one end of
  a packet: the pods that all of them hold for. ``node`` alone also stands for the
  node itself, ``namespace`` alone also for its services' own addresses.
- ``service`` is one end together with its port: its own addresses with its ports,
  the pods behind it with the ports it leads to there.
- In names, ``*`` stands for any characters, ``?`` for one.

Invariant: knows no API and no address; an empty tuple is no constraint.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

ANY = "*"


@dataclass(frozen=True, slots=True)
class Named:
    """A name in a namespace, both with wildcards."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class OwnedBy:
    """A controller: what made a pod, and a name in a namespace."""

    kind: str
    """In lower case, with wildcards, such as deployment."""
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """A label that is there, has a value, or has not."""

    key: str
    value: str | None = None
    """None: whatever it is."""
    differs: bool = False
    """Another value than that one, or no such label."""


@dataclass(frozen=True, slots=True)
class Selectors:
    """Those of one filter; see the module for what they mean."""

    pod: tuple[Named, ...] = ()
    namespace: tuple[str, ...] = ()
    service: tuple[Named, ...] = ()
    owner: tuple[OwnedBy, ...] = ()
    label: tuple[Labelled, ...] = ()
    node: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the predicates that are there."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name))

    @property
    def of_pods(self) -> tuple[str, ...]:
        """Those of them that select pods."""
        return tuple(name for name in self.names if name != "service")
