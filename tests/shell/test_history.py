"""What is kept of the lines typed, and for whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from nshell.shell.prompt import history as kept
from nshell.shell.prompt.history import is_kept, latest, open_history


def test_it_is_private_and_forgets_lines_that_begin_with_a_space(tmp_path: Path) -> None:
    state = tmp_path / "state" / "netobserv"
    history = open_history(state)
    history.append_string("status")
    history.append_string(" secret")
    assert list(open_history(state).load_history_strings()) == ["status"]
    assert history.get_strings() == ["status"]
    assert (state / "history").stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700


def test_one_that_cannot_be_written_stays_in_memory() -> None:
    history = open_history(Path("/dev/null/state"))
    history.append_string("status")
    assert history.get_strings() == ["status"]


@pytest.mark.parametrize(
    ("line", "keeps"),
    [
        ("filter port 80", True),
        ("SELECT * FROM flow WHERE SrcK8S_Name = 'token-service'", True),
        (" filter port 80", False),
        ("run login password=hunter2", False),
        ("save x SELECT 'Authorization: Bearer abcdefgh123'", False),
        ("run x api-key: 123", False),
        ("source SSLKEYLOGFILE=/tmp/keys", False),
    ],
)
def test_lines_with_secrets_are_not_kept(line: str, keeps: bool) -> None:
    assert is_kept(line) is keeps


def test_an_entry_of_several_lines_comes_back_as_one(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.append_string("SELECT 1\n  + 1\n# not a time")
    history.append_string("status")
    again = list(open_history(tmp_path).load_history_strings())
    assert again == ["status", "SELECT 1\n  + 1\n# not a time"]


def test_the_latest_entries_are_kept_whole() -> None:
    text = "\n# 1\n+a\n+# a\n\n# 2\n+b\n\n# 3\n+c\n"
    assert latest(text, 2) == "# 2\n+b\n\n# 3\n+c\n"
    assert latest(text, 3) == text


def test_a_file_that_has_grown_is_cut_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = open_history(tmp_path)
    for number in range(30):
        history.append_string(f"SELECT {number} -- as long as an entry usually is")
    monkeypatch.setattr(kept, "MOST_ENTRIES", 10)
    again = list(open_history(tmp_path).load_history_strings())
    assert len(again) == 10
    assert again[0].startswith("SELECT 29")
    assert (tmp_path / "history").stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["history"]
