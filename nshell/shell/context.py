"""What a command may use: passed to each, held by none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nshell.shell.interrupts import Interrupts
from nshell.shell.output.recall import Recall
from nshell.shell.queries import Library
from nshell.shell.watch.alerts import Alerts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nshell.shell.client import Client
    from nshell.shell.live import Host
    from nshell.shell.monitor import Monitor
    from nshell.shell.registry import Registry
    from nshell.tasks import Tasks


@dataclass(slots=True)
class Settings:
    """What `set` changes."""

    format: str = "table"
    timing: bool = True
    expanded: str = "auto"
    """on, off, or auto: a row a block, where a row is wider than the terminal."""
    pager: str = "auto"
    """off, or auto: a result higher than the terminal goes through a pager."""
    human: bool = True
    """Bytes and durations as people read them, in text layouts on a terminal."""
    theme: str = "auto"
    """Of colours: dark, light, mono; auto: by COLORFGBG, or what is readable on both."""
    keys: str = "emacs"
    """emacs or vi, at the prompt."""
    color: str = "auto"
    """never, or auto: on a terminal."""
    origins: dict[str, str] = field(default_factory=dict)
    """Where a value came from, by its setting's name; not there: the default."""


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of a command."""

    client: Client
    monitor: Monitor
    registry: Registry
    interactive: bool
    """A reader sits there: results are cut, and said to be."""
    settings: Settings = field(default_factory=Settings)
    interrupts: Interrupts = field(default_factory=Interrupts)
    narrate: Callable[[str], object] = field(default=lambda _: None)
    """Says at once what a command that takes a while is doing."""
    notify: Callable[[str], object] = field(default=lambda _: None)
    """Tells of something that happened in the background, above the prompt."""
    tasks: Tasks | None = None
    """What goes on behind the prompt; it ends with the session."""
    history: Callable[[], Sequence[str]] = tuple
    """Lines typed so far, oldest first."""
    host: Host | None = None
    """Where the session runs."""
    recall: Recall = field(default_factory=Recall)
    """The rows of the last query."""
    queries: Library = field(default_factory=Library)
    """Those with a name."""
    alerts: Alerts = field(default_factory=Alerts)
    """What is asked behind the prompt."""
