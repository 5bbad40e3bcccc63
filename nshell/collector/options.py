"""What a collector can be told at its start.

Invariant: imports nothing heavy, so wrong options are refused at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nshell.collector.lifetime import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from nshell.tls import Credentials

DEFAULT_LEASE_SECONDS = 60.0
DEFAULT_LIMIT_BYTES = 4 << 30
LEAST_LIMIT_BYTES = 1 << 20


class StartError(Exception):
    """The collector cannot start; str() is the line for the user."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    listen: str
    """unix:PATH or HOST:PORT."""
    directory: Path
    name: str
    lease_seconds: float = DEFAULT_LEASE_SECONDS
    """Without a shell; 0: for ever."""
    keep: bool = False
    """Leave the files at the end."""
    tls: Credentials | None = None
    """None: peers are who can reach the socket."""
    store_limit_bytes: int = DEFAULT_LIMIT_BYTES
    """On disk; the oldest goes first."""
    kubernetes: bool = False
    """Watch the API server."""
    limits: Limits = field(default_factory=Limits)
    detached: bool = False
    """No shell is needed, from the start."""
    owner: str = ""
    """ClusterRole that owns all of the session: deleted at its end."""
    resume: bool = False
    """Go on with what the directory holds, and leave it to the next at a signal."""
