"""The files of a capture: where they go, and how they get there.

`./output/flow/TIME.json`, `./output/flow/TIME.db`, `./output/pcap/TIME.pcapng`.
Nothing is replaced, and a file is there whole or not at all.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nshell.shell.errors import CommandError, why
from nshell.shell.output.outfile import OutFile
from nshell.shell.units import human_bytes, plural

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from nshell.shell.client import Client
    from nshell.shell.values import Cell, Row

ROOT = "output"
FOLDERS = {"json": "flow", "db": "flow", "pcapng": "pcap"}
"""By the kind of a file, the folder it goes to."""
OF_FLOWS = ("json", "db")
OF_PACKETS = ("pcapng",)
_DROPPED = "PktDropPackets > 0"
_ARRAYS = ("Interfaces", "IfDirections")
"""Columns that hold JSON."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files of one capture go."""

    began: float
    """Seconds since 1970; it names them."""
    kinds: tuple[str, ...]
    root: Path = Path(ROOT)

    def prepare(self) -> None:
        """Make the folders; CommandError where they cannot be written to."""
        for kind in self.kinds:
            self.make_folder(kind)
            name = self.root / FOLDERS[kind] / f"{self._stem(1)}.{kind}"
            with OutFile(str(name), stdout=False):
                pass

    def make_folder(self, kind: str) -> None:
        """That of a kind of file."""
        folder = self.root / FOLDERS[kind]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"cannot make {folder}: {why(error)}") from error

    def tidy(self) -> None:
        """Take away the folders that nothing came to."""
        for folder in (*(self.root / FOLDERS[kind] for kind in self.kinds), self.root):
            with suppress(OSError):
                folder.rmdir()

    def paths(self) -> dict[str, Path]:
        """By kind; names that no file has yet, the same for all of the capture."""
        number = 1
        while True:
            stem = self._stem(number)
            found = {kind: self.root / FOLDERS[kind] / f"{stem}.{kind}" for kind in self.kinds}
            if not any(path.exists() for path in found.values()):
                return found
            number += 1

    def _stem(self, number: int) -> str:
        stem = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime(self.began))
        return stem if number == 1 else f"{stem}-{number}"


async def write(
    client: Client,
    place: Place,
    *,
    paths: Mapping[str, Path] | None = None,
    only_drops: bool = False,
) -> AsyncGenerator[tuple[Path, str], None]:
    """Write them one after the other, or those of `paths`: each path, and what is in it.

    One that cannot be written keeps none of the others from it; CommandError at the end.
    """
    failed = []
    for kind, path in dict(place.paths() if paths is None else paths).items():
        try:
            place.make_folder(kind)  # somebody may have tidied up meanwhile
            holds = await _written(client, kind, path, only_drops=only_drops)
        except CommandError as error:
            failed.append(str(error))
        else:
            yield path, holds
    if failed:
        raise CommandError("; ".join(failed))


async def _written(client: Client, kind: str, path: Path, *, only_drops: bool) -> str:
    with OutFile(str(path), stdout=False) as file:
        if kind == "json":
            holds = plural(await _rows(client, file, only_drops=only_drops), "row")
        else:
            holds = await _exported(client, kind, file)
        await file.commit()
    return ", ".join(filter(None, (human_bytes(file.size), holds)))


async def _exported(client: Client, kind: str, file: OutFile) -> str:
    packets = evicted = 0
    whole = False
    async with aclosing(client.export(kind)) as replies:
        async for reply in replies:
            await file.write(reply.data)
            if reply.HasField("summary"):
                whole = True
                packets, evicted = reply.summary.packets, reply.summary.evicted
    if not whole:
        raise CommandError(f"the collector broke off: {file.name} was not written")
    if kind == "db":
        return ""
    gone = f"; {plural(evicted, 'older packet')} had made room" if evicted else ""
    return f"{plural(packets, 'packet')}{gone}"


async def _rows(client: Client, file: OutFile, *, only_drops: bool) -> int:
    """An array of objects, one a line."""
    where = f" WHERE {_DROPPED}" if only_drops else ""
    answer = await client.query(f"SELECT * FROM flow{where}")  # noqa: S608 - ours
    count = 0
    await file.write(b"[")
    try:
        async for chunk in answer.chunks:
            text = await asyncio.to_thread(json_lines, answer.columns, chunk)
            await file.write((f",\n{text}" if count else f"\n{text}").encode())
            count += len(chunk)
    finally:
        await answer.close()
    await file.write(b"\n]\n")
    return count


def json_lines(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Objects with commas between them; what was not observed has no field."""
    return ",\n".join(
        json.dumps(
            {
                name: _value(name, cell)
                for name, cell in zip(columns, row, strict=True)
                if cell is not None
            }
        )
        for row in rows
    )


def _value(name: str, cell: Cell) -> object:
    if name in _ARRAYS and isinstance(cell, str):
        return json.loads(cell)
    return cell.hex() if isinstance(cell, bytes) else cell
