"""How tests are shared out between two workers: a module to one, the cluster's modules all to one.

A module's tests share what its fixtures make; the cluster's share an image, nodes and
what is left of each other's sessions.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling


class ByModule(LoadScopeScheduling):  # type: ignore[misc]  # untyped
    """xdist's own groups (`--dist loadgroup`) are not seen by every pytest."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return "tests/cluster" if module.startswith("tests/cluster/") else module
