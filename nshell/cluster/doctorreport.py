"""What a doctor found, as a checklist or as JSON.

Invariant: one line for each finding; what came from the cluster is escaped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nshell.shell.escape import escape
from nshell.shell.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Status = Literal["ok", "warning", "problem"]
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    status: Status
    topic: str
    text: str
    fix: str = ""
    """What to do about it."""

    def line(self) -> str:
        """For people."""
        told = f"{self.text}; {self.fix}" if self.fix else self.text
        return escape(f"{self.status:8} {self.topic:11} {' '.join(told.split())}")


@dataclass(frozen=True, slots=True)
class Planned:
    """An object that a session makes."""

    kind: str
    name: str
    why: str


@dataclass(slots=True)
class Report:
    """All of it, in the order in which it is to be read."""

    checks: list[Check] = field(default_factory=list)
    planned: Sequence[Planned] = ()
    missing: Sequence[dict[str, str]] = ()
    """Rights that are missing, as reviews name them."""
    nodes: dict[str, Any] = field(default_factory=dict)
    """What agents told of their nodes."""

    def add(self, *checks: Check) -> None:
        """Append findings."""
        self.checks += checks

    @property
    def problems(self) -> int:
        """Findings that keep a session from working."""
        return sum(check.status == "problem" for check in self.checks)

    def text(self) -> str:
        """The checklist."""
        lines = [check.line() for check in self.checks]
        if self.planned:
            lines += ["", "a session makes, and takes away again:"]
            width = max(len(f"{each.kind} {each.name}") for each in self.planned)
            lines += [
                escape(f"  {f'{each.kind} {each.name}':{width}}  {each.why}")
                for each in self.planned
            ]
        return "\n".join([*lines, "", self._verdict(), ""])

    def json(self) -> str:
        """The same for programs."""
        told = {
            "ok": not self.problems,
            "checks": [
                {"status": c.status, "topic": c.topic, "text": c.text, "fix": c.fix}
                for c in self.checks
            ],
            "missing": list(self.missing),
            "objects": [{"kind": p.kind, "name": p.name, "why": p.why} for p in self.planned],
            "nodes": self.nodes,
        }
        return json.dumps(told, indent=2, ensure_ascii=False) + "\n"

    def _verdict(self) -> str:
        warnings = sum(check.status == "warning" for check in self.checks)
        if self.problems:
            return f"{plural(self.problems, 'problem')}, {plural(warnings, 'warning')}"
        return f"no problems, {plural(warnings, 'warning')}"


def named(names: Iterable[str]) -> str:
    """Some names and how many more there are."""
    several = sorted(names)
    if len(several) <= _NAMED + 1:
        return ", ".join(several)
    return f"{', '.join(several[:_NAMED])} and {len(several) - _NAMED} more"


def grouped(found: Iterable[tuple[str, Check]]) -> list[Check]:
    """Findings of nodes: those that read alike in one line, with the nodes' names before it."""
    nodes: dict[Check, list[str]] = {}
    for node, check in found:
        nodes.setdefault(check, []).append(node)
    return [
        Check(check.status, check.topic, f"{named(several)}: {check.text}", check.fix)
        for check, several in nodes.items()
    ]
