"""Fixtures that every area may use."""

from __future__ import annotations

from tests.kernel import kernel

__all__ = ["kernel"]
