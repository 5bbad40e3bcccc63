"""410 Gone, as a server says it in either way.

A young API server remembers everything, and none can be made to forget at will, so
its two answers are given here; tests/cluster asks a real one where it has forgotten.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from nshell.collector.kube.api import AccessError
from nshell.collector.kube.reflector import GONE, KINDS, Listed, News, Reflector

if TYPE_CHECKING:
    from collections.abc import Iterator

LATEST = "7"


class Forgetful:
    """Knows no place but the latest."""

    def __init__(self, *, by_status: bool) -> None:
        self._by_status = by_status
        self.asked: list[str] = []

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        assert (path, query) == ("/api/v1/pods", {"limit": 500})
        return {"items": [], "metadata": {"resourceVersion": LATEST}}

    def watch(self, path: str, *, read_seconds: float, **query: Any) -> Iterator[list[Any]]:
        assert path == "/api/v1/pods"
        assert read_seconds > query["timeoutSeconds"]
        self.asked.append(query["resourceVersion"])
        if query["resourceVersion"] != LATEST:
            if self._by_status:
                raise AccessError("too old", status=GONE)
            yield [{"type": "ERROR", "object": {"kind": "Status", "code": GONE}}]


@pytest.mark.parametrize("by_status", [False, True])
def test_what_was_forgotten_is_listed_anew_and_watched_from_there(by_status: bool) -> None:
    server, news = Forgetful(by_status=by_status), list[News]()
    (pods,) = (kind for kind in KINDS if kind.name == "pods")
    reflector = Reflector(server, pods, tell=news.extend)  # type: ignore[arg-type]
    reflector._version = "1"
    reflector.thread.start()
    deadline = time.monotonic() + 30
    while LATEST not in server.asked and time.monotonic() < deadline:
        time.sleep(0.01)
    reflector.end()
    reflector.thread.join(10)
    assert server.asked[:2] == ["1", LATEST]
    assert [each for each in news if isinstance(each, Listed)] == [Listed("pods", {})]
