"""The line at the bottom of the prompt: state of the session, usage of what is typed.

It is drawn from what is at hand, never by asking: a slow toolbar freezes keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wcwidth import wcswidth

from nshell.shell.statustext import toolbar_parts
from nshell.shell.units import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.proto import session_pb2 as pb

Part = tuple[str, str]
"""Style and text."""


def toolbar(
    status: pb.Status | None, *, width: int, hint: str = "", also: Sequence[Part] = ()
) -> list[Part]:
    """Styled text of at most `width` columns, and the hint on a line above it.

    What `also` has comes after the state. Where there is no room for all, alarms
    go first.
    """
    state, *rest = toolbar_parts(status)
    fragments: list[Part] = []
    for style, text in _fitting([state, *also, *rest], width - 1):
        fragments += [("", "  " if fragments else " "), (style, text)]
    if not hint:
        return fragments
    return [("class:hint", f" {_cut(hint, width - 2)}"), ("", "\n"), *fragments]


def of_the_shell(*, vi: str, alerts: int) -> list[Part]:
    """What it says of the shell itself: the mode of vi's keys, how many alerts there are."""
    parts = [("", f"vi {vi}")] if vi else []
    return [*parts, ("", plural(alerts, "alert"))] if alerts else parts


def _fitting(parts: Sequence[Part], room: int) -> list[Part]:
    chosen: set[int] = set()
    for number in sorted(range(len(parts)), key=lambda n: (n > 0, "alarm" not in parts[n][0], n)):
        needs = wcswidth(parts[number][1]) + (2 if chosen else 1)
        if needs > room:
            if "alarm" not in parts[number][0]:
                break
            continue
        room -= needs
        chosen.add(number)
    return [part for number, part in enumerate(parts) if number in chosen]


def _cut(text: str, room: int) -> str:
    """As much as fits, and a sign where that is not all."""
    if wcswidth(text) <= room:
        return text
    while text and wcswidth(text) > room - 1:
        text = text[:-1]
    return f"{text}…"
