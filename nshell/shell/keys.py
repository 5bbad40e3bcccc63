"""What keys mean at the prompt, beyond prompt_toolkit's own.

Enter submits what is finished and opens a line otherwise; Alt-Enter always
opens a line.
"""

from __future__ import annotations

from prompt_toolkit.application.current import get_app
from prompt_toolkit.filters import Condition, has_completions
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from nshell.shell.script import is_finished


def build_keys() -> KeyBindings:
    """The bindings."""
    keys = KeyBindings()
    keys.add("enter", filter=Condition(_on_completion))(_accept_completion)
    keys.add("enter", filter=~Condition(_on_completion) & ~Condition(_searching))(_enter)
    keys.add("escape", "enter")(_new_line)
    keys.add("escape", filter=has_completions, eager=False)(_close_menu)
    return keys


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
