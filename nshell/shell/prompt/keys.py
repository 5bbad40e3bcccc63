"""What keys mean at the prompt, beyond prompt_toolkit's own.

Enter submits what is finished and opens a line otherwise; Alt-Enter, with emacs'
keys, always opens a line. Up looks through the history for lines that begin like this one,
unless an item of the menu has been chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.application.current import get_app
from prompt_toolkit.cursor_shapes import CursorShape, CursorShapeConfig, ModalCursorShapeConfig
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition, emacs_mode, has_completions
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from nshell.shell.script import is_finished

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from prompt_toolkit.application import Application

MODES = {"emacs": EditingMode.EMACS, "vi": EditingMode.VI}


def build_keys(change: Callable[[str], object] = lambda _: None) -> KeyBindings:
    """The bindings; `change` is told of the mode that F4 changes to."""
    keys = KeyBindings()
    keys.add("enter", filter=Condition(_on_completion))(_accept_completion)
    keys.add("enter", filter=~Condition(_on_completion) & ~Condition(_searching))(_enter)
    # With vi's keys Escape must not wait for what may follow.
    keys.add("escape", "enter", filter=emacs_mode)(_new_line)
    keys.add("escape", filter=has_completions & emacs_mode, eager=False)(_close_menu)
    above_menu = has_completions & ~Condition(_on_completion)
    keys.add("up", filter=above_menu)(_back)
    keys.add("c-p", filter=above_menu & emacs_mode)(_back)

    @keys.add("f4")
    def _(event: KeyPressEvent) -> None:
        name = "emacs" if event.app.editing_mode is EditingMode.VI else "vi"
        event.app.editing_mode = MODES[name]
        event.app.vi_state.reset()
        event.app.output.reset_cursor_shape()
        change(name)

    return keys


class CursorByMode(CursorShapeConfig):
    """With vi's keys it tells the modes apart; otherwise it is the terminal's."""

    def __init__(self) -> None:
        self._modal = ModalCursorShapeConfig()

    def get_cursor_shape(self, application: Application[Any]) -> CursorShape:
        if application.editing_mode is EditingMode.VI:
            return self._modal.get_cursor_shape(application)
        return CursorShape._NEVER_CHANGE  # noqa: SLF001 - prompt_toolkit's own default


def _on_completion() -> bool:
    state = get_app().current_buffer.complete_state
    return state is not None and state.current_completion is not None


def _searching() -> bool:
    return get_app().layout.is_searching


def _accept_completion(event: KeyPressEvent) -> None:
    event.current_buffer.complete_state = None


def _enter(event: KeyPressEvent) -> None:
    buffer = event.current_buffer
    if is_finished(buffer.text):
        buffer.validate_and_handle()
    else:
        buffer.insert_text("\n")


def _new_line(event: KeyPressEvent) -> None:
    event.current_buffer.insert_text("\n")


def _close_menu(event: KeyPressEvent) -> None:
    event.current_buffer.cancel_completion()


def _back(event: KeyPressEvent) -> None:
    event.current_buffer.cancel_completion()
    event.current_buffer.auto_up(count=event.arg)
