"""Turns a report into text: what was found, then the rows that it rests on.

json is one object with the rows under "evidence"; csv is the finding alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nshell.shell.escape import escape
from nshell.shell.output.render import render
from nshell.shell.units import plural

if TYPE_CHECKING:
    from nshell.shell.values import Cell, Report


def render_report(name: str, report: Report) -> str:
    """The whole of it in the format of that name."""
    if name == "json":
        return _json(report)
    if name == "csv":
        return render("csv", tuple(report.facts), [[_joined(v) for v in report.facts.values()]])
    parts = ["".join(f"{escape(line)}\n" for line in report.lines)]
    for title, table in report.tables.items():
        shown = table.rows[: report.most_rows]
        rest = len(table.rows) - len(shown)
        more = f"and {plural(rest, 'more row')}\n" if rest else ""
        # A pipe table needs a blank line before it.
        gap = "\n" if name == "markdown" else ""
        parts.append(f"{title}:\n{gap}{render(name, table.columns, shown)}{more}")
    return "\n".join(parts)


def _joined(value: Cell | tuple[str, ...] | object) -> Cell:
    if isinstance(value, str | int | float | None):
        return value
    return "; ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _json(report: Report) -> str:
    evidence = {
        title: [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        for title, table in report.tables.items()
    }
    return json.dumps({**report.facts, "evidence": evidence}, ensure_ascii=False) + "\n"
