"""The files of a capture, without one."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from nshell.netobservcli.files import OF_FLOWS, OF_PACKETS, Place, json_lines
from nshell.shell.errors import CommandError

if TYPE_CHECKING:
    from pathlib import Path

BEGAN = 1_795_545_083.7


def test_files_are_named_after_the_time_in_utc_and_sort_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        paths = Place(BEGAN, OF_FLOWS + OF_PACKETS).paths()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert {kind: str(path) for kind, path in paths.items()} == {
        "json": "output/flow/2026-11-24T183123Z.json",
        "db": "output/flow/2026-11-24T183123Z.db",
        "pcapng": "output/pcap/2026-11-24T183123Z.pcapng",
    }


def test_a_name_that_one_of_the_files_has_is_taken_for_all(tmp_path: Path) -> None:
    place = Place(BEGAN, OF_FLOWS, root=tmp_path)
    place.prepare()
    assert [path.name for path in tmp_path.rglob("*")] == ["flow"], "nothing but the folder"
    place.paths()["db"].touch()
    assert {path.stem for path in place.paths().values()} == {"2026-11-24T183123Z-2"}


def test_folders_that_nothing_came_to_do_not_stay(tmp_path: Path) -> None:
    place = Place(BEGAN, OF_FLOWS + OF_PACKETS, root=tmp_path / "output")
    place.prepare()
    place.paths()["pcapng"].touch()
    place.tidy()
    assert [path.name for path in (tmp_path / "output").iterdir()] == ["pcap"]
    place.paths()
    next(tmp_path.rglob("*.pcapng")).unlink()
    place.tidy()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "pcap").touch()
    with pytest.raises(CommandError, match=r"cannot make .*/pcap: file exists"):
        Place(BEGAN, OF_PACKETS, root=tmp_path).prepare()


def test_a_row_is_an_object_without_what_was_not_observed() -> None:
    columns = ("SrcAddr", "DnsName", "Interfaces", "PktDropBytes")
    rows = [("10.0.0.1", 'a"\x1b\u202e', '["eth0", "veth1"]', 0), ("::1", None, None, None)]
    text = json_lines(columns, rows)
    assert text.isascii()
    assert len(text.splitlines()) == 2
    assert json.loads(f"[{text}]") == [
        {"SrcAddr": "10.0.0.1", "DnsName": 'a"\x1b\u202e', "Interfaces": ["eth0", "veth1"],
         "PktDropBytes": 0},
        {"SrcAddr": "::1"},
    ]  # fmt: skip
