"""`netobserv-agent --check`: what a node can do, and that nothing stays of the asking."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.network import host

pytestmark = pytest.mark.kernel


def checked(*before: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [*before, sys.executable, "-m", "agent.main", "--check"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return done.returncode, found


def test_it_tells_what_an_agent_would_find_and_leaves_nothing() -> None:
    with host("alone") as alone:
        code, found = checked(*alone.words())
        assert "nobs" not in alone.run("bpftool", "net", "show")
        assert "clsact" not in alone.run("tc", "qdisc", "show")
    assert code == 0
    assert found["problem"] == ""
    assert found["attach"] in ("tcx", "clsact")
    assert set(found["features"]) == {"dns", "drops", "rtt", "tcp"}
    assert {"BPF", "NET_ADMIN", "PERFMON"} <= set(found["capabilities"])


def test_without_capabilities_it_says_why_no_agent_would_work() -> None:
    code, found = checked("setpriv", "--inh-caps=-all", "--bounding-set=-all")
    assert code == 3
    assert found["capabilities"] == []
    assert "cannot be loaded" in found["problem"]


def test_a_collector_is_needed_otherwise() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent.main"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--connect" in done.stderr


def test_it_imports_nothing_of_the_shell() -> None:
    script = "import sys, agent.check; sys.exit(any(n.startswith('nshell') for n in sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
