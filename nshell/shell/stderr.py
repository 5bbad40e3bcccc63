"""Keeps what others write to file descriptor 2 off the screen while a prompt is on it."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def stderr_aside(log: int) -> Iterator[None]:
    """Descriptor 2 leads to this one, which is taken over, and so does logging."""
    saved = os.dup(2)
    os.dup2(log, 2)
    handler = logging.StreamHandler(os.fdopen(log, "w", buffering=1))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.stream.close()
        os.dup2(saved, 2)
        os.close(saved)
