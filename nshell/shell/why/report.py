"""A verdict with its evidence, as the shell shows it."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING

from nshell.shell.values import Report, Table
from nshell.shell.why.verdict import NOTHING_SENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.shell.values import Cell
    from nshell.shell.why.evidence import Drop, Event, Evidence, Exchange, Flow
    from nshell.shell.why.verdict import Verdict


# The names that the columns have in the store, in the order of the members.
_FLOW = (
    "Node SrcAddr SrcPort DstAddr DstPort Proto IcmpType IcmpCode Packets Bytes Flags "
    "TimeFlowRttNs TimeHandshakeRttNs TcpRetransmits"
)
_DROP = "Node Reason Function TcpState SrcAddr SrcPort DstAddr DstPort Proto Packets"
_DNS = "ServerAddr Name Type Rcode LatencyMs Addresses Retries Status"
_EVENT = "Node Event SrcAddr SrcPort DstAddr DstPort State Reason Count"


def report(evidence: Evidence, verdict: Verdict) -> Report:
    """Verdict, what makes it less certain, rows."""
    question, caveats = evidence.question, evidence.caveats
    if verdict.slug == NOTHING_SENT:
        watched = ", ".join(evidence.interfaces)
        where = (
            f"what does not pass {watched} is not seen" if watched else "no interface is watched"
        )
        caveats = (*caveats, where)
    tables = {
        "flow": _table(_FLOW, evidence.flows),
        "packet_drop": _table(_DROP, evidence.drops),
        "dns": _table(_DNS, evidence.exchanges),
        "tcp_event": _table(_EVENT, evidence.events),
    }
    return Report(
        facts={
            "verdict": verdict.slug,
            "summary": verdict.summary,
            "source": str(question.source),
            "target": question.target.host,
            "port": question.target.port,
            "addresses": evidence.addresses,
            "seconds": round(evidence.seconds, 3),
            "caveats": caveats,
        },
        lines=(
            f"{verdict.slug}: {verdict.summary}",
            *(f"but: {caveat}" for caveat in caveats),
        ),
        tables={name: table for name, table in tables.items() if table.rows},
    )


def _table(
    columns: str, rows: Sequence[Flow] | Sequence[Drop] | Sequence[Exchange] | Sequence[Event]
) -> Table:
    """Columns that hold nothing at all are left out."""
    cells = [[_cell(getattr(row, each.name)) for each in fields(row)] for row in rows]
    names = columns.split()
    used = [i for i in range(len(names)) if any(row[i] is not None for row in cells)]
    return Table(tuple(names[i] for i in used), [[row[i] for i in used] for row in cells])


def _cell(value: Cell | tuple[str, ...]) -> Cell:
    """As the store has it: a list is JSON, an empty one NULL."""
    if isinstance(value, tuple):
        return json.dumps(value) if value else None
    return value
