"""What ends a capture and what becomes of its files, with a session made up for it."""

from __future__ import annotations

import asyncio
import errno
import os
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from nshell.netobservcli import front
from nshell.netobservcli.files import OF_FLOWS, Place
from nshell.netobservcli.front import CaptureFront, Plan
from nshell.proto import session_pb2 as pb
from nshell.shell import batch
from nshell.shell.context import Settings
from nshell.shell.errors import CommandError, Failure, Interrupted
from nshell.shell.interrupts import Interrupts
from nshell.shell.live import Ending, Session
from nshell.shell.values import Answer, Row

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

COLUMNS = ("SrcAddr", "Bytes")


@dataclass
class MadeUp:
    """Answers as a collector would; the last rows come when the test lets them."""

    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    full: bool = False
    calls: list[str] = field(default_factory=list)

    async def set_paused(self, *, on: bool) -> None:
        self.calls.append(f"paused {on}")

    async def query(self, sql: str) -> Answer:
        self.calls.append(sql)
        answer = Answer(COLUMNS, cancel=lambda: None)
        answer.chunks = self._chunks()
        return answer

    async def _chunks(self) -> AsyncGenerator[Sequence[Row], None]:
        yield [("10.0.0.1", 60)]
        await self.go_on.wait()
        yield [("10.0.0.2", 61)]

    async def export(self, kind: str) -> AsyncGenerator[pb.ExportReply, None]:
        self.calls.append(f"export {kind}")
        if self.full:
            raise CommandError("cannot write it: no space left on device")
        yield pb.ExportReply(data=b"bytes")
        yield pb.ExportReply(summary=pb.ExportSummary())

    async def detach(self) -> None:
        self.calls.append("detach")


class Running:
    """A capture that goes on."""

    def __init__(self, folder: Path, *, return_by: str = "", max_seconds: float = 300) -> None:
        self.client = MadeUp()
        self.interrupts = Interrupts()
        self.ending = Ending()
        self.status = pb.Status()
        self.plan = Plan("flows", Place(0, OF_FLOWS, root=folder), Settings(), max_seconds, 1000)
        session = SimpleNamespace(
            client=self.client,
            context=SimpleNamespace(interrupts=self.interrupts),
            ending=self.ending,
            monitor=SimpleNamespace(status=self.status),
            host=SimpleNamespace(return_by=return_by),
        )
        shown = CaptureFront(self.plan)
        self.work: asyncio.Future[Any] = asyncio.gather(shown.run(cast("Session", session)))

    async def until(self, call: str) -> None:
        """Return once the client was asked this."""
        async with asyncio.timeout(10):
            while call not in self.client.calls:
                assert not self.work.done()
                self.interrupts.offer()
                await asyncio.sleep(0.01)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def test_a_second_ctrl_c_leaves_no_half_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Running(tmp_path)
    await run.until("SELECT * FROM flow")
    while files(tmp_path) != ["1970-01-01T000000Z.json.part"]:
        await asyncio.sleep(0.01)
    run.ending.fail(Interrupted("SIGINT"))
    with pytest.raises(Interrupted):
        await run.work
    assert files(tmp_path) == []
    assert "interrupted: what was not written yet is gone" in capsys.readouterr().err


async def test_the_first_ctrl_c_writes_whole_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Running(tmp_path)
    await run.until("SELECT * FROM flow")
    run.client.go_on.set()
    await run.work
    assert run.client.calls == ["paused True", "SELECT * FROM flow", "export db"]
    assert files(tmp_path) == ["1970-01-01T000000Z.db", "1970-01-01T000000Z.json"]
    text = (tmp_path / "flow/1970-01-01T000000Z.json").read_text()
    assert text == (
        '[\n{"SrcAddr": "10.0.0.1", "Bytes": 60},\n{"SrcAddr": "10.0.0.2", "Bytes": 61}\n]\n'
    )
    told = capsys.readouterr()
    assert "capture ended: Ctrl-C\n" in told.err
    assert told.out.splitlines()[0].endswith("1970-01-01T000000Z.json: 79 B, 2 rows")


@pytest.mark.parametrize("how", ["SIGTERM", "max-bytes of 1000 bytes reached", "max-time"])
async def test_whatever_ends_it_the_files_are_written(tmp_path: Path, how: str) -> None:
    run = Running(tmp_path, max_seconds=0 if how == "max-time" else 300)
    run.client.go_on.set()
    if how == "SIGTERM":
        run.ending.fail(Interrupted(how))
    elif how != "max-time":
        run.status.ended = how
    async with asyncio.timeout(10):
        await run.work
    assert files(tmp_path) == ["1970-01-01T000000Z.db", "1970-01-01T000000Z.json"]


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC])
async def test_files_are_written_though_nobody_takes_their_names(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
) -> None:
    def refused(text: str) -> None:
        del text
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(front, "print_line", refused)
    monkeypatch.setattr(batch, "silence_stdout", lambda: None)
    run = Running(tmp_path, max_seconds=0)
    run.client.go_on.set()
    if number == errno.EPIPE:
        await run.work
    else:
        with pytest.raises(Failure, match="flows: cannot write standard output: no space left"):
            await run.work
    assert files(tmp_path) == ["1970-01-01T000000Z.db", "1970-01-01T000000Z.json"]
    told = capsys.readouterr().err
    assert "1970-01-01T000000Z.json: 79 B, 2 rows\n" in told
    assert "1970-01-01T000000Z.db: 5 B\n" in told


async def test_one_file_that_cannot_be_written_keeps_no_other_from_it(tmp_path: Path) -> None:
    run = Running(tmp_path, max_seconds=0)
    run.client.go_on.set()
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow/1970-01-01T000000Z.json.part").mkdir()
    with pytest.raises(Failure, match=r"json: is a directory$"):
        await run.work
    assert files(tmp_path) == ["1970-01-01T000000Z.db"]


async def test_on_a_cluster_what_cannot_be_written_is_kept_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Running(tmp_path, return_by="netobserv attach mine --context c", max_seconds=0)
    run.client.full = True
    run.client.go_on.set()
    with pytest.raises(Failure, match="flows: cannot write it: no space left on device"):
        await run.work
    assert run.client.calls[-1] == "detach"
    assert files(tmp_path) == ["1970-01-01T000000Z.json"], "that one is whole"
    told = capsys.readouterr().err
    assert "`netobserv copy --session mine --context c` fetches it" in told
