"""What this host must offer before anything is started: one line says what is
missing and what to do about it.
"""

from __future__ import annotations

from pathlib import Path

_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_PERFMON": 38, "CAP_BPF": 39}
_SYS_ADMIN = 21
"""Stands for CAP_PERFMON and CAP_BPF."""


def missing(*, root: Path = Path("/")) -> str:
    """What stands in the way, or nothing."""
    held = _effective(root / "proc/self/status")
    lacking = [name for name in _CAPABILITIES if not _holds(held, name)]
    if lacking:
        return (
            f"needs root (or {', '.join(_CAPABILITIES)}; {', '.join(lacking)} is missing): "
            "run it with sudo, in a container with --privileged"
        )
    if not (root / "sys/kernel/btf/vmlinux").exists():
        return (
            "needs a kernel that carries its types (BTF): /sys/kernel/btf/vmlinux is missing; "
            "use a kernel built with CONFIG_DEBUG_INFO_BTF, as distributions' are since 2021"
        )
    return ""


def _holds(held: int, name: str) -> bool:
    if name != "CAP_NET_ADMIN" and held >> _SYS_ADMIN & 1:
        return True
    return bool(held >> _CAPABILITIES[name] & 1)


def _effective(status: Path) -> int:
    for line in status.read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
