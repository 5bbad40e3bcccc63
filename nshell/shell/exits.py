"""What the program's exit status means: an interface, so it stands here alone."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """A status keeps its meaning for ever; scripts rely on it."""

    OK = 0
    """Everything asked for was done."""

    FAILED = 1
    """A command or a query failed; those after it were not run."""

    USAGE = 2
    """The command line is wrong. Nothing was started."""

    NO_AGENT = 3
    """No agent can work here, or the capture ended by itself: no root, no BPF,
    no BTF, a child that died. Trying again may help."""

    LOSS = 5
    """More was lost than --fail-on-loss allows. The results are there."""

    INTERRUPTED = 130
    """SIGINT or SIGTERM ended a script. The session was closed in order."""
