"""Packets and rows as files, while the capture goes on.

Invariant: an export holds exactly the packets that were committed at one
moment, in the order of their times, whatever is written or evicted meanwhile;
memory stays bounded whatever its size.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import numpy as np

from nshell.collector.interfaces import ETHERNET, RAW_IP
from nshell.collector.query.names import names_for
from nshell.collector.query.sql import LockedReader
from nshell.collector.query.sqlerrors import QueryError
from nshell.collector.query.where import check_expression, condition
from nshell.collector.storage import pcapng
from nshell.collector.storage.segments import section_header, segment_files

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from numpy.typing import NDArray

    from nshell.collector.decode.rows import Cell
    from nshell.collector.query.functions import Functions
    from nshell.collector.storage.segments import DescribedInterface

FORMATS = ("pcap", "pcapng", "db")
CHUNK_BYTES = 1 << 20
_ROWS = 4096
_NS = 1_000_000_000
_LINK_NAMES = {ETHERNET: "Ethernet", RAW_IP: "raw IP"}
_COLUMNS = "Segment, Offset, CapLen, Length, TimeNs"


class MixedLinkTypesError(ValueError):
    """Packets that one pcap file cannot hold; str() is the line for the user."""


@dataclass(frozen=True, slots=True)
class Packets:
    """Some packets of an export and where they stand."""

    segment: NDArray[np.int64]
    offset: NDArray[np.int64]
    cap_len: NDArray[np.int64]
    length: NDArray[np.int64]
    time_ns: NDArray[np.int64]

    @property
    def padded(self) -> NDArray[np.int64]:
        """Bytes of each packet in its block."""
        return (self.cap_len + 3) & ~3

    @property
    def block(self) -> NDArray[np.int64]:
        """Bytes of each block."""
        return self.padded + pcapng.EPB_OVERHEAD


class SegmentReader:
    """The packet files that exist at one moment, open: who deletes them later does no harm."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[int, int] = {}

    def open_all(self) -> None:
        """Open what is there and not yet open."""
        for number, path in segment_files(self._directory):
            if number not in self._files:
                with contextlib.suppress(FileNotFoundError):
                    self._files[number] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def blocks(self, packets: Packets) -> Iterator[bytes]:
        """The blocks of packets, neighbours in one piece, none larger than a chunk by much."""
        size = packets.block
        ends = packets.offset + size
        apart = (packets.segment[1:] != packets.segment[:-1]) | (packets.offset[1:] != ends[:-1])
        full = np.diff(np.cumsum(size) // CHUNK_BYTES) > 0
        starts = np.flatnonzero(np.concatenate(([True], apart | full)))
        lasts = np.concatenate((starts[1:], [len(size)])) - 1
        for segment, offset, end in zip(
            packets.segment[starts].tolist(),
            packets.offset[starts].tolist(),
            ends[lasts].tolist(),
            strict=True,
        ):
            data = os.pread(self._files[segment], end - offset, offset)
            if len(data) != end - offset:
                raise OSError(f"packet file {segment} is shorter than its rows say")
            yield data

    def close(self) -> None:
        """Close them all."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()


def pcap_records(blocks: bytes, packets: Packets) -> bytes:
    """Classic records of packets whose blocks follow each other."""
    heads = np.zeros(len(packets.offset), pcapng.PCAP_RECORD)
    heads["seconds"], heads["nanoseconds"] = packets.time_ns // _NS, packets.time_ns % _NS
    heads["cap_len"], heads["orig_len"] = packets.cap_len, packets.length
    head_bytes, step = memoryview(heads.tobytes()), heads.itemsize
    block_ends = np.cumsum(packets.block)
    starts = block_ends - packets.block + pcapng.EPB_HEAD.itemsize
    data = memoryview(blocks)
    pieces: list[memoryview] = [data] * (2 * len(heads))
    pieces[0::2] = [head_bytes[at : at + step] for at in range(0, len(head_bytes), step)]
    pieces[1::2] = [
        data[start:end]
        for start, end in zip(starts.tolist(), (starts + packets.cap_len).tolist(), strict=True)
    ]
    return b"".join(pieces)


class PacketExport:
    """One export of packets; its pieces come from chunks(), in one thread at a time."""

    def __init__(
        self,
        path: Path,
        where: str,
        *,
        classic: bool,
        functions: Functions,
        interfaces: Callable[[], tuple[DescribedInterface, ...]],
    ) -> None:
        """interfaces: those that the files describe, asked once the moment is fixed."""
        self._where = condition(check_expression(where))
        self._classic = classic
        self._interfaces = interfaces
        self._reader = LockedReader(path, functions, one_moment=True)
        self._segments = SegmentReader(path.parent)
        self.packets = 0
        self.bytes = 0

    def chunks(self) -> Generator[bytes]:
        """The file, about a MiB at a time; errors come before the first piece if they can."""
        # Files before the moment is fixed: what is evicted later is then open.
        self._segments.open_all()
        cursor = self._reader.execute(
            f"SELECT {_COLUMNS} FROM packet{self._where} ORDER BY TimeNs, rowid"  # noqa: S608
        )
        rows = self._reader.rows(cursor)
        first = list(itertools.islice(rows, _ROWS))
        # And after it: what was begun in between.
        self._segments.open_all()
        header = self._header()
        yield from self._counted(itertools.chain([header], self._body(first, rows)))

    def interrupt(self) -> None:
        """From any thread: end it."""
        self._reader.interrupt()

    def close(self) -> None:
        """Give the snapshot and the files back."""
        self._segments.close()
        self._reader.close()

    def _header(self) -> bytes:
        described = self._interfaces()
        if self._classic:
            return pcapng.pcap_header(self._link_type(described))
        names = names_for(self._reader, self._where)
        machines = names.machines
        return b"".join(
            (
                section_header(),
                *(
                    each.block(machines.get((each.node, each.ifindex, each.name), ""))
                    for each in described
                ),
                *pcapng.name_resolution(names.addresses),
            )
        )

    def _link_type(self, described: tuple[DescribedInterface, ...]) -> int:
        types = {each.link_type for each in described} or {ETHERNET}
        if len(types) > 1:
            used = self._reader.rows(
                self._reader.execute(f"SELECT DISTINCT Node, Interface FROM packet{self._where}")  # noqa: S608
            )
            seen = set(used)
            used_types = {each.link_type for each in described if (each.node, each.name) in seen}
            types = used_types or {min(types)}
        if len(types) > 1:
            names = " and ".join(
                _LINK_NAMES.get(each, f"link type {each}") for each in sorted(types)
            )
            raise MixedLinkTypesError(
                f"pcap holds one link type, these packets have {names}: use export pcapng"
            )
        return types.pop()

    def _body(
        self, first: list[tuple[Cell, ...]], rows: Iterator[tuple[Cell, ...]]
    ) -> Iterator[bytes]:
        batch = first
        while batch:
            table = np.array(batch, np.int64)
            packets = Packets(*(np.ascontiguousarray(column) for column in table.T))
            self.packets += len(batch)
            blocks = self._segments.blocks(packets)
            yield from self._classic_records(blocks, packets) if self._classic else blocks
            batch = list(itertools.islice(rows, _ROWS))

    def _classic_records(self, blocks: Iterator[bytes], packets: Packets) -> Iterator[bytes]:
        """Records of each piece, with the packets that are in it."""
        ends = np.cumsum(packets.block)
        done = taken = 0
        for piece in blocks:
            taken += len(piece)
            upto = int(np.searchsorted(ends, taken, side="right"))
            part = slice(done, upto)
            yield pcap_records(
                piece,
                Packets(
                    packets.segment[part],
                    packets.offset[part],
                    packets.cap_len[part],
                    packets.length[part],
                    packets.time_ns[part],
                ),
            )
            done = upto

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same bytes in larger pieces, counted."""
        waiting: list[bytes] = []
        size = 0
        for piece in pieces:
            waiting.append(piece)
            size += len(piece)
            if size >= CHUNK_BYTES:
                self.bytes += size
                yield b"".join(waiting)
                waiting, size = [], 0
        if waiting:
            self.bytes += size
            yield b"".join(waiting)


class DatabaseExport:
    """A consistent copy of the database, as one file."""

    def __init__(self, path: Path, where: str) -> None:
        if check_expression(where):
            raise QueryError("where: export db takes no expression, it copies every row")
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        self._connection.set_busy_timeout(5000)
        self._directory = path.parent
        self.packets = 0
        self.bytes = 0

    def chunks(self) -> Generator[bytes]:
        """The file, a MiB at a time."""
        with tempfile.TemporaryDirectory(prefix="export-", dir=self._directory) as directory:
            copy = Path(directory) / "copy.db"
            try:
                self._connection.execute("VACUUM INTO ?", (str(copy),))
            except apsw.Error as error:
                raise OSError(f"cannot copy the database: {error}") from error
            with copy.open("rb") as file:
                # The name is not needed any more, the space only until the end.
                copy.unlink()
                while data := file.read(CHUNK_BYTES):
                    self.bytes += len(data)
                    yield data

    def interrupt(self) -> None:
        """From any thread: end it."""
        self._connection.interrupt()

    def close(self) -> None:
        """Give the snapshot back."""
        self._connection.close(force=True)
