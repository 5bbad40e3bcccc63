"""Pauses that would be felt while typing, and how they are kept short."""

from __future__ import annotations

import gc

_ALLOCATIONS = 10_000
"""Between two searches for cycles; 700 come with a screen or two."""


def spare_what_is_loaded() -> None:
    """Keep the garbage collector away from all that exists by now, and let it come less often.

    A search for cycles goes through every module that was ever imported, which
    takes some 50 ms and comes whenever many rows have. What is loaded when the
    session begins stays until it ends: there is nothing to find in it.
    """
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS)
