"""What runs on a node: eBPF programs, their maps, and the link to a collector."""

from __future__ import annotations

__version__ = "0.1.0"
