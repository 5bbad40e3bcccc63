"""`netobserv-agent --check`: what this node can do, as one line of JSON.

Invariant: nothing is attached anywhere and nothing stays: the programs are compiled
and loaded as an agent would, tried, and let go.
"""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import __version__
from agent.kernel import btf
from agent.kernel.attach import supports_tcx
from agent.kernel.compile import CompileError, Loading, Sizes
from agent.kernel.features import FEATURES

if TYPE_CHECKING:
    from collections.abc import Iterator

CAPABILITIES = {"NET_ADMIN": 12, "SYS_ADMIN": 21, "SYSLOG": 34, "PERFMON": 38, "BPF": 39}
"""Numbers of those that matter here."""
_SIZES = Sizes(flow_capacity=1000, ring_bytes=1 << 16, event_bytes=1 << 16)
_LOOPBACK = 1


def check(*, root: Path = Path("/")) -> dict[str, Any]:
    """All facts; `problem` is empty where an agent would work."""
    found: dict[str, Any] = {
        "kernel": os.uname().release,
        "machine": platform.machine(),
        "version": __version__,
        "capabilities": sorted(_capabilities(root / "proc/self/status")),
        "btf": _btf(),
        "attach": "",
        "features": {},
        "problem": "",
    }
    if not (root / "proc/sys/kernel/unprivileged_bpf_disabled").exists():
        found["problem"] = "this kernel has no BPF: CONFIG_BPF_SYSCALL is needed"
        return found
    try:
        loading = Loading(_SIZES)
        core = loading.finish()
    except CompileError as error:
        found["problem"] = f"the eBPF programs cannot be loaded: {error}"
        return found
    except OSError as error:
        found["problem"] = f"the eBPF programs cannot be loaded: {error.strerror}"
        return found
    try:
        tcx = supports_tcx(core.programs["nobs_eth_in"], _LOOPBACK)
        found["attach"] = "tcx" if tcx else "clsact"
        found["features"] = _features(loading)
    finally:
        core.close()
    return found


def _features(loading: Loading) -> dict[str, str]:
    """Why each does not work, empty where it does."""
    loading.hurry()
    made = loading.finish_features()
    made.loaded.close()
    return {feature.name: made.problems.get(feature.name, "") for feature in FEATURES}


def _btf() -> str:
    """Why the kernel's types cannot be read, empty where they can."""
    try:
        btf.kernel()
    except btf.BtfError as error:
        return str(error)
    return ""


def _capabilities(status: Path) -> Iterator[str]:
    held = 0
    for line in status.read_text().splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
    yield from (name for name, number in CAPABILITIES.items() if held >> number & 1)


def report() -> bool:
    """Print the line; whether an agent would work."""
    found = check()
    print(json.dumps(found), flush=True)  # noqa: T201
    return not found["problem"]
