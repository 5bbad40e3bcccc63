"""Rows as a view has them, without a session behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nshell.collector import schema
from nshell.proto import session_pb2 as pb
from nshell.shell.view.draw import draw
from nshell.shell.view.kinds import KINDS, lack
from nshell.shell.view.presses import press
from nshell.shell.view.rows import Row, make_rows
from nshell.shell.view.state import Page, State

if TYPE_CHECKING:
    from nshell.shell.view.actions import Action

START_MS = 1_795_500_000_000
NAMES = {"10.0.0.9": "nodejs.example.org"}
_TABLES = {table.name: table for table in schema.TABLES}

FLOW: dict[str, Any] = {
    "SrcAddr": "10.0.0.1", "SrcPort": 40000, "DstAddr": "10.0.0.2", "DstPort": 443, "Proto": 6,
    "Etype": 2048, "Bytes": 1953, "Packets": 6, "Flags": 2 | 16 | 8, "Interface": "eth0",
    "IfDirection": 0, "FlowDirection": 0, "TimeFlowStartMs": START_MS,
    "TimeFlowEndMs": START_MS + 12, "Node": "vm", "Dscp": 0,
}  # fmt: skip


def make(table: str, *rows: dict[str, Any], first: int = 1) -> tuple[tuple[str, ...], list[Row]]:
    """The columns of a table, and rows of it."""
    columns = ("rowid", *(column.name for column in _TABLES[table].columns))
    cells = [
        [first + number, *(row.get(column) for column in columns[1:])]
        for number, row in enumerate(rows)
    ]
    return columns, make_rows(columns, cells, NAMES)


def flows(*changes: dict[str, Any], first: int = 1) -> tuple[tuple[str, ...], list[Row]]:
    """Flows a millisecond apart, each unlike FLOW in this."""
    return make(
        "flow",
        *(
            {**FLOW, "TimeFlowEndMs": START_MS + 11 + first + number, **change}
            for number, change in enumerate(changes)
        ),
        first=first,
    )


def status(**fields: Any) -> pb.Status:
    """Of a session with one agent, five seconds old."""
    usual: dict[str, Any] = {
        "flows": True, "started_ns": START_MS * 10**6, "now_ns": (START_MS + 5000) * 10**6,
        "flow_rows": 5, "generation": 1,
    }  # fmt: skip
    made = pb.Status(**(usual | fields))
    made.agents.add(node="vm", connected=True, generation=made.generation)
    return made


def state(
    what: str = "flows", rows: tuple[tuple[str, ...], list[Row]] | None = None, **fields: Any
) -> State:
    """A view that has just drawn these rows."""
    page = Page(KINDS[what])
    if rows is not None:
        page.arrive(rows[1], rows[0], skipped=0)
    made = State([page], names=dict(NAMES), status=status(**fields))
    screen(made)
    return made


def keys(of: State, *pressed: str) -> list[Action]:
    """What the session is asked for when these are pressed."""
    return [action for key in pressed if (action := press(of, key)) is not None]


def screen(of: State, *, width: int = 110, height: int = 16) -> list[str]:
    """Its lines as text."""
    of.lack = lack(of.page.kind, of.page.set_number, of.status)
    return [
        "".join(text for _, text in line).rstrip() for line in draw(of, width=width, height=height)
    ]


def seen(of: State) -> list[int]:
    """Rowids that the keywords let through, from the top on."""
    return [row.id for row in of.page.shown()]
