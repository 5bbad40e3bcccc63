"""A disk that is full: what is lost is counted, and the capture goes on."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.collector.conftest import running
from tests.collector.wiretap import many_flows, many_packets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")

DISK_BYTES = 6 << 20


@contextmanager
def small_disk(where: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    where.mkdir()
    options = f"size={DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(where)], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """No space left on it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    try:
        yield
    finally:
        ballast.unlink()


async def test_rows_that_a_full_disk_does_not_take_are_counted_and_it_recovers(
    short_path: Path,
) -> None:
    with small_disk(short_path / "disk") as disk:
        async with running(disk) as collector:
            agent = await collector.agent()
            await agent.send(flows=many_flows(1000))
            await agent.send(packets=many_packets(100, size=100))
            shell = collector.shell
            await shell.status(lambda s: s.flow_rows == 1000 and s.packet_rows == 100)
            with filled(disk):
                for seed in range(30):
                    await agent.send(flows=many_flows(2000, seed=seed))
                    await agent.send(packets=many_packets(100, size=1000))
                status = await shell.status(
                    lambda s: s.flow_rows + s.packet_rows + s.lost == 64_100
                )
                assert status.lost > 0
                assert any("the disk does not take rows" in p for p in status.agents[0].problems)
            await agent.send(flows=many_flows(1000, seed=99))
            status = await shell.status(
                lambda s: (
                    not any("disk" in p for p in s.agents[0].problems)
                    and s.flow_rows + s.packet_rows + s.lost == 65_100
                )
            )
            await shell.until("SELECT sum(Count) FROM loss WHERE Stage = 'store'", status.lost)
            await shell.until("SELECT count(*) FROM flow", status.flow_rows)
            await shell.until("SELECT count(*) FROM packet", status.packet_rows)
            _, summary = await shell.export("pcapng")
            assert summary.packets == status.packet_rows
