"""Why there is nothing to see: the likeliest reasons, each with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.shell.escape import escape
from nshell.shell.statustext import applied_on, connected
from nshell.shell.units import plural
from nshell.shell.view.feed import LOOKED_AT
from nshell.shell.view.layout import cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.proto import session_pb2 as pb
    from nshell.shell.view.layout import Line
    from nshell.shell.view.state import State

_SHOWN_FILTERS = 3


def waiting(state: State, width: int) -> list[Line]:
    """Lines in place of rows."""
    page = state.page
    if page.all_keywords() and page.rows.kept:
        texts = [f"none of the last {plural(len(page.rows.kept), 'row')} has these words"]
        if page.in_field and not page.keywords:
            texts.append("Esc drops what is typed")
        else:
            texts.append("Backspace removes the last keyword")
    else:
        texts = [f"waiting for {page.title or page.kind.rows} ...", *_reasons(state)]
    return [[("class:dim", cut(f" {text}", width))] for text in texts]


def _reasons(state: State) -> Iterator[str]:
    status = state.status
    if status is None:
        yield "the collector has not answered yet"
        return
    if state.lack is not None:
        yield f"{state.lack.why}: `{state.lack.command}`, or e does it now"
    elif len(state.pages) > 1:
        yield f"none of the last {LOOKED_AT:,} is of it; it may be over: Esc goes back"
    if status.ended:
        yield f"capturing has ended: {escape(status.ended)}"
    elif status.paused:
        yield "the capture is paused: `resume` at the prompt lets it go on"
    if not connected(status):
        yield "no agent is connected: `agents` at the prompt shows why"
    elif (done := applied_on(status)[0]) < connected(status):
        yield f"{done} of {plural(connected(status), 'agent')} capture as is wanted yet"
    yield from _filters(status)


def _filters(status: pb.Status) -> Iterator[str]:
    if not status.rules:
        yield "no filters: everything is captured"
        return
    for rule in status.rules[:_SHOWN_FILTERS]:
        hits = plural(rule.flow_hits + rule.packet_hits, "packet")
        note = f"; {escape(rule.note)}" if rule.note else ""
        yield f"filter {rule.id}: {escape(rule.text)}, has decided {hits}{note}"
    more = len(status.rules) - _SHOWN_FILTERS
    if more > 0:
        yield f"and {plural(more, 'filter')} more"
