"""What Wireshark's own programs read from a file."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FIELDS = (
    "frame.time_epoch",
    "frame.len",
    "frame.cap_len",
    "frame.interface_name",
    "frame.packet_flags_direction",
    "vlan.id",
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One packet as tshark shows it."""

    time: str
    length: int
    cap_len: int
    interface: str
    direction: str
    vlan: str


def _run(*arguments: str) -> str:
    # Each run's own preferences and a plain locale keep the output the same everywhere.
    environment = os.environ | {"HOME": "/nonexistent", "LC_ALL": "C", "TZ": "UTC"}
    done = subprocess.run(
        arguments, capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    complaints = [line for line in done.stderr.splitlines() if not line.startswith("Running as")]
    assert not complaints
    return done.stdout


def frames(path: Path) -> list[Frame]:
    """Every packet of a file."""
    fields = [word for name in _FIELDS for word in ("-e", name)]
    lines = _run("tshark", "-n", "-r", str(path), "-T", "fields", *fields).splitlines()
    found = []
    for line in lines:
        time, length, cap_len, interface, direction, vlan = line.split("\t")
        found.append(Frame(time, int(length), int(cap_len), interface, direction, vlan))
    return found


def data(path: Path) -> list[bytes]:
    """The bytes of every packet of a file."""
    dump = json.loads(_run("tshark", "-n", "-r", str(path), "-T", "json", "-x", "-j", "frame"))
    return [bytes.fromhex(each["_source"]["layers"]["frame_raw"][0]) for each in dump]


def info(path: Path) -> dict[str, str]:
    """What capinfos says, by its own words."""
    lines = _run("capinfos", "-M", str(path)).splitlines()
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
