"""The registry's candidates as prompt_toolkit wants them, escaped for the menu.

Invariant: nothing that goes wrong in completion is seen at the prompt.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prompt_toolkit.buffer import CompletionState
from prompt_toolkit.completion import CompleteEvent, Completer, Completion

from nshell.shell.escape import escape
from nshell.shell.kinds import World
from nshell.shell.script import command_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.document import Document

    from nshell.proto import session_pb2 as pb
    from nshell.shell.context import Context
    from nshell.shell.kinds import Candidate
    from nshell.shell.registry import Registry

_MOST_META = 60


class ShellCompleter(Completer):
    """Completes commands, their arguments and SQL."""

    def __init__(self, registry: Registry, world: Callable[[], World]) -> None:
        self._registry = registry
        self._world = world
        self._asked: Document | None = None

    def get_completions(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002 - the same answer however asked
    ) -> Iterator[Completion]:
        self._asked = document
        for found in self._found(document):
            # A name that a terminal would act on can be shown but not typed.
            if found.text == escape(found.text):
                yield Completion(
                    found.text,
                    start_position=-(found.replaces or 0),
                    display=escape(found.display) if found.display else None,
                    display_meta=_cut(escape(found.meta)),
                )

    def _found(self, document: Document) -> Iterable[Candidate]:
        text, cursor = document.text, document.cursor_position
        try:
            begin, end = command_at(text, cursor, commands=self._registry.first_words())
            world = self._world()
            return self._registry.complete(text[begin:cursor], world, after=text[cursor:end])
        except Exception:  # the line being typed is worth more
            logging.getLogger(__name__).exception("no completion of %r", text)
            return ()

    async def offer_again(self, buffer: Buffer) -> None:
        """More is known than when this line was last completed: open or renew its menu.

        Not where the line has changed since, nor under somebody who chooses.
        Completion as the buffer starts it is lost while another one runs.
        """
        document = buffer.document
        if document == self._asked and not _is_choosing(buffer):
            found = await asyncio.to_thread(self._all, document)
            if found and document == buffer.document and not _is_choosing(buffer):
                buffer.complete_state = CompletionState(document, found)
                buffer.on_completions_changed.fire()

    def _all(self, document: Document) -> list[Completion]:
        return list(self.get_completions(document, CompleteEvent()))


def _is_choosing(buffer: Buffer) -> bool:
    state = buffer.complete_state
    return state is not None and state.complete_index is not None


def _cut(meta: str) -> str:
    return meta if len(meta) <= _MOST_META else f"{meta[: _MOST_META - 3]}..."


class Worlds:
    """What completion may offer, put together once per description of the capture."""

    def __init__(
        self,
        context: Context,
        *,
        seen: Callable[[Any], Sequence[Sequence[Any]]] | None = None,
    ) -> None:
        self._context = context
        self._described: pb.Description | None = None
        self._base = world_of(context.registry, described=None, status=None)
        if seen is not None:
            self._base = replace(self._base, seen=seen)
        self._schema = self._base

    def __call__(self, described: pb.Description | None, status: pb.Status | None) -> World:
        if described is not self._described:
            self._described = described
            self._schema = _with_schema(self._base, described) if described else self._base
        context = self._context
        return replace(
            self._schema,
            filters={rule.id: rule.text for rule in status.rules} if status is not None else {},
            queries=context.queries.listed(),
            alerts={alert.number: alert.statement for alert in list(context.alerts)},
        )

    @property
    def schema(self) -> World:
        """The same without what changes from moment to moment: one object while it holds."""
        return self._schema


def world_of(
    registry: Registry, *, described: pb.Description | None, status: pb.Status | None
) -> World:
    """What completion may offer of a description."""
    filters = {rule.id: rule.text for rule in status.rules} if status is not None else {}
    commands = {command.name: command.summary for command in registry}
    base = World(commands=commands, filters=filters)
    return base if described is None else _with_schema(base, described)


def _with_schema(base: World, described: pb.Description) -> World:
    notes = {t.name: t.summary for t in described.tables if t.summary}
    for table in described.tables:
        notes |= {f"{table.name}.{c.name}": c.summary for c in table.columns if c.summary}
    return replace(
        base,
        tables={t.name: {c.name: c.type for c in t.columns} for t in described.tables},
        views=frozenset(t.name for t in described.tables if t.view),
        notes=notes,
        functions=tuple(described.functions),
        interfaces=tuple(described.interfaces),
        selectable={
            "pod": tuple(described.pods),
            "service": tuple(described.services),
            "namespace": tuple(described.namespaces),
            "owner": tuple(described.owners),
            "label": tuple(described.labels),
            "node": tuple(described.nodes),
        },
    )
