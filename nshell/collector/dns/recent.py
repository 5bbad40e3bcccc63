"""A mapping that remembers what was put into it lately.

Invariant: between `limit` and twice as many of the newest keys are held, and
forgetting costs nothing per key.
"""

from __future__ import annotations

from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Two dicts: when the newer one is full, it becomes the older one."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._newer: dict[Key, Value] = {}
        self._older: dict[Key, Value] = {}

    def put(self, key: Key, value: Value) -> None:
        """Remember a value."""
        if len(self._newer) >= self._limit:
            self._older, self._newer = self._newer, {}
        self._newer[key] = value

    def get(self, key: Key) -> Value | None:
        """The newest value of a key, None if it is not remembered."""
        found = self._newer.get(key)
        return self._older.get(key) if found is None else found

    def pop(self, key: Key) -> Value | None:
        """As get, and forget it."""
        older = self._older.pop(key, None)
        newer = self._newer.pop(key, None)
        return older if newer is None else newer
