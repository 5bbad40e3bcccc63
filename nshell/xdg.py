"""Where a user's files are, by the XDG base directory specification."""

from __future__ import annotations

import os
from pathlib import Path


def config_directory() -> Path:
    """What the user writes, we read."""
    return _base("XDG_CONFIG_HOME", ".config")


def state_directory() -> Path:
    """What we keep from one session to the next."""
    return _base("XDG_STATE_HOME", ".local/state")


def _base(variable: str, otherwise: str) -> Path:
    named = os.environ.get(variable, "")
    # The specification has a path that is not absolute ignored.
    base = Path(named) if named.startswith("/") else from_home("~") / otherwise
    return base / "netobserv"


def from_home(name: str) -> Path:
    """A path, ~ in front expanded as a shell does: left as it is where there is no such home."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 - that of pathlib fails there
