"""What keys mean while a watch is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from nshell.shell.watch.screen import Screen


def watch_keys(screen: Screen, wake: Callable[[], None]) -> KeyBindings:
    """The bindings; `wake` is called where the query may be due earlier or later."""
    keys = KeyBindings()

    def on(name: str, action: Callable[[], None]) -> None:
        keys.add(name)(lambda _: action())

    def toggle() -> None:
        screen.paused = not screen.paused
        wake()

    def step(*, longer: bool) -> None:
        screen.step(longer=longer)
        wake()

    on(" ", toggle)
    for name in ("+", "="):
        on(name, lambda: step(longer=True))
    for name in ("-", "_"):
        on(name, lambda: step(longer=False))
    on("up", lambda: screen.move(-1))
    on("down", lambda: screen.move(1))
    on("pageup", lambda: screen.move(-screen.page))
    on("pagedown", lambda: screen.move(screen.page))
    on("home", lambda: screen.move(-screen.top))
    on("end", lambda: screen.move(len(screen.frame.rows) if screen.frame else 0))
    on("left", lambda: screen.shift(-1))
    on("right", lambda: screen.shift(1))
    keys.add(Keys.Any)(_stop)
    return keys


def _stop(event: KeyPressEvent) -> None:
    if event.app.future is not None and not event.app.future.done():
        event.app.exit()
