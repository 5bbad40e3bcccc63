"""The line at the bottom of the prompt: state of the session, usage of what is typed.

It is drawn from what is at hand, never by asking: a slow toolbar freezes keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.shell.statustext import toolbar_parts

if TYPE_CHECKING:
    from nshell.proto import session_pb2 as pb

Fragments = list[tuple[str, str]]


def toolbar(status: pb.Status | None, *, width: int, hint: str = "") -> Fragments:
    """Styled text of at most `width` columns, and the hint on a line above it."""
    fragments: Fragments = []
    room = width - 1
    for style, text in toolbar_parts(status):
        separator = "  " if fragments else " "
        if len(separator) + len(text) > room:
            break
        room -= len(separator) + len(text)
        fragments += [("", separator), (style, text)]
    if not hint:
        return fragments
    return [("class:hint", f" {hint[: width - 2]}"), ("", "\n"), *fragments]
