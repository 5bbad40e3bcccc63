"""The registry's candidates as prompt_toolkit wants them, escaped for the menu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.completion import CompleteEvent, Completer, Completion

from nshell.shell.escape import escape
from nshell.shell.kinds import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prompt_toolkit.document import Document

    from nshell.proto import session_pb2 as pb
    from nshell.shell.registry import Registry


class ShellCompleter(Completer):
    """Completes commands, their arguments and SQL."""

    def __init__(self, registry: Registry, world: Callable[[], World]) -> None:
        self._registry = registry
        self._world = world

    def get_completions(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002 - the same answer however asked
    ) -> Iterator[Completion]:
        for found in self._registry.complete(document.text_before_cursor, self._world()):
            # A name that a terminal would act on can be shown but not typed.
            if found.text == escape(found.text):
                yield Completion(
                    found.text,
                    start_position=-(found.replaces or 0),
                    display_meta=escape(found.meta),
                )


def world_of(
    registry: Registry, *, described: pb.Description | None, status: pb.Status | None
) -> World:
    """What completion may offer now."""
    commands = {command.name: command.summary for command in registry}
    filters = {rule.id: rule.text for rule in status.rules} if status is not None else {}
    if described is None:
        return World(commands=commands, filters=filters)
    return World(
        tables={t.name: {c.name: c.type for c in t.columns} for t in described.tables},
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
        filters=filters,
        commands=commands,
    )
