"""Packets in pcapng files that any tool can open at any moment.

Invariant: a file holds whole blocks at every moment between two calls; every
file starts with the description of all interfaces known so far, in the order
of the whole session, so a packet's interface number means the same everywhere.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from nshell.collector.storage import pcapng

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nshell.collector.interfaces import Interface

_LOG = logging.getLogger(__name__)
DEFAULT_SEGMENT_BYTES = 64 << 20
INTERFACES_NAME = "interfaces"
_NAME = re.compile(r"packets-(\d{6,})\.pcapng")


def segment_path(directory: Path, number: int) -> Path:
    """Where a segment stands."""
    return directory / f"packets-{number:06}.pcapng"


def segment_files(directory: Path) -> Iterator[tuple[int, Path]]:
    """Every segment in a directory, oldest first."""
    found = ((_NAME.fullmatch(path.name), path) for path in directory.iterdir())
    yield from sorted((int(match[1]), path) for match, path in found if match)


@dataclass(frozen=True, slots=True)
class DescribedInterface:
    """An interface that the files describe."""

    node: str
    name: str
    link_type: int
    ifindex: int
    mac: bytes = b""

    def block(self, machine: str = "") -> bytes:
        """Its description; machine: who is known to be at its other end."""
        place = f"interface {self.ifindex} ({self.name}) of node {self.node}"
        return pcapng.interface_description(
            link_type=self.link_type,
            name=f"{self.node}:{self.name}",
            description=f"{place}: {machine}" if machine else place,
            mac=self.mac,
        )


class InterfaceNotes:
    """The interfaces in the order of their numbers, one line each, for a later process."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / INTERFACES_NAME

    def read(self) -> list[DescribedInterface]:
        """Those noted so far; a line that was not written to its end is none."""
        if not self._path.exists():
            return []
        *lines, rest = self._path.read_bytes().split(b"\n")
        if rest:
            os.truncate(self._path, sum(len(line) + 1 for line in lines))
        read = (json.loads(line) for line in lines)
        return [DescribedInterface(**each | {"mac": bytes.fromhex(each["mac"])}) for each in read]

    def add(self, described: DescribedInterface) -> None:
        """Before a packet names it; a disk that does not take it keeps nothing from going on."""
        line = json.dumps(asdict(described) | {"mac": described.mac.hex()})
        try:
            with self._path.open("ab") as file:
                file.write(line.encode() + b"\n")
        except OSError as error:
            _LOG.error("cannot write %s: %s", self._path, error)


class InterfaceBlocks:
    """Numbers the interfaces of a session in the order in which packets name them."""

    def __init__(self, notes: InterfaceNotes | None = None) -> None:
        """notes: where to find them again."""
        self._notes = notes
        self._described: list[DescribedInterface] = notes.read() if notes else []
        self._numbers = {
            (each.node, each.ifindex, each.name, each.link_type): number
            for number, each in enumerate(self._described)
        }

    def number(self, node: str, interface: Interface) -> int:
        """Of an interface; one that was renamed is another interface."""
        key = (node, interface.ifindex, interface.name, interface.link_type)
        known = self._numbers.get(key)
        if known is not None:
            return known
        described = DescribedInterface(
            node, interface.name, interface.link_type, interface.ifindex, interface.mac
        )
        if self._notes:
            self._notes.add(described)
        # It first: a reader in another thread never sees a number without it.
        self._described.append(described)
        number = self._numbers[key] = len(self._described) - 1
        return number

    def described(self) -> tuple[DescribedInterface, ...]:
        """All of them so far, by number."""
        return tuple(self._described)


def section_header() -> bytes:
    """First block of every file we write."""
    return pcapng.section_header(
        hardware=platform.machine(),
        system=f"{platform.system()} {platform.release()}",
        application="netobserv shell",
    )


class Segments:
    """Appends blocks to the newest file, and starts the next when it is full."""

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        notes: InterfaceNotes | None = None,
    ) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._file: int | None = None
        self._size = 0
        self._described = 0
        self._number = 0
        self.interfaces = InterfaceBlocks(notes)
        self.sizes: dict[int, int] = {}
        """Bytes of each file that exists, oldest first."""

    def go_on(self, sizes: dict[int, int], *, last: int) -> None:
        """These files are there; the next one is the one after the last."""
        self.sizes, self._number = sizes, last

    @property
    def current(self) -> int:
        """Number of the newest file, 0 before there is one."""
        return self._number

    @property
    def total_bytes(self) -> int:
        """Of all files."""
        return sum(self.sizes.values())

    def append(self, blocks: bytes) -> tuple[int, int]:
        """Write blocks; segment number and offset of the first. OSError: nothing written."""
        if self._file is None or self._size >= self._segment_bytes:
            self._start_next()
        described = self.interfaces.described()
        missing = b"".join(each.block() for each in described[self._described :])
        offset = self._size + len(missing)
        self._write(missing + blocks if missing else blocks)
        self._described = len(described)
        return self._number, offset

    def remove(self, number: int) -> None:
        """Delete a file; who has it open keeps it."""
        if number == self._number:
            self.close()
        segment_path(self._directory, number).unlink(missing_ok=True)
        self.sizes.pop(number, None)

    def close(self) -> None:
        """Close the newest file; the next packets start another."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _start_next(self) -> None:
        self.close()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(segment_path(self._directory, self._number + 1), flags, 0o600)
        self._number += 1
        self._size = self.sizes[self._number] = self._described = 0
        try:
            self._write(section_header())
        except OSError:
            self.remove(self._number)
            raise

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size += len(data)
        self.sizes[self._number] = self._size
