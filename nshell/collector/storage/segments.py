"""Packets in pcapng files that any tool can open at any moment.

Invariant: a file holds whole blocks at every moment between two calls; every
file starts with the description of all interfaces known so far, in the order
of the whole session, so a packet's interface number means the same everywhere.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.collector.storage import pcapng

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nshell.collector.interfaces import Interface

DEFAULT_SEGMENT_BYTES = 64 << 20
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
    block: bytes


class InterfaceBlocks:
    """Numbers the interfaces of a session in the order in which packets name them."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, int, str, int], int] = {}
        self._described: list[DescribedInterface] = []

    def number(self, node: str, interface: Interface) -> int:
        """Of an interface; one that was renamed is another interface."""
        key = (node, interface.ifindex, interface.name, interface.link_type)
        known = self._numbers.get(key)
        if known is not None:
            return known
        block = pcapng.interface_description(
            link_type=interface.link_type,
            name=f"{node}:{interface.name}",
            description=f"interface {interface.ifindex} ({interface.name}) of node {node}",
            mac=interface.mac,
        )
        # The block first: a reader in another thread never sees a number without it.
        self._described.append(DescribedInterface(node, interface.name, interface.link_type, block))
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

    def __init__(self, directory: Path, *, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._file: int | None = None
        self._size = 0
        self._described = 0
        self._number = 0
        self.interfaces = InterfaceBlocks()
        self.sizes: dict[int, int] = {}
        """Bytes of each file that exists, oldest first."""

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
        missing = b"".join(each.block for each in described[self._described :])
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
