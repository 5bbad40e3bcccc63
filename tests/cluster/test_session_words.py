"""`sessions`, `stop`, `copy` and `cleanup` without a cluster, and how one is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nshell.cluster.sessions import age, state
from nshell.proto import session_pb2 as pb
from nshell.shell.exits import Exit
from tests.session import once

if TYPE_CHECKING:
    from pathlib import Path

NS = 10**9


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["copy", "--force"], "--force goes with a DIR: without one nothing is replaced"),
        (["copy", "a", "dir", "--session", "b"], "'a' and --session name a session each"),
        (["copy", "a", "b", "c"], "'c' is too much: copy [NAME] DIR"),
        (["copy", "A b", "dir"], "'A b' cannot name a session: lowercase letters, digits and '-', "
         "no '-' at an end, at most 40: did you mean 'a-b'?"),
        (["stop", "Mine"], "Invalid value for '[NAME]': 'Mine' cannot name a session: lowercase "
         "letters, digits and '-', no '-' at an end, at most 40: did you mean 'mine'?"),
        (["sessions", "--format", "jsn"], "Invalid value for '--format': unknown word 'jsn': did "
         "you mean 'json'?"),
        (["cleanup", "--agent-namespace", "X"], "Invalid value for '--agent-namespace': 'X' cannot "
         "name a namespace: lowercase letters, digits and '-', no '-' at an end, at most 63: did "
         "you mean 'x'?"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_one_line_with_the_nearest_right_one(words: list[str], line: str) -> None:
    done = once(None, *words)
    assert (done.returncode, done.stdout, done.stderr) == (Exit.USAGE, "", f"netobserv: {line}\n")


@pytest.mark.parametrize("words", [["sessions"], ["stop"], ["copy", "dir"], ["cleanup", "--yes"]])
def test_a_cluster_that_cannot_be_reached_is_one_line(tmp_path: Path, words: list[str]) -> None:
    missing = tmp_path / "config"
    done = once(None, words[0], "--kubeconfig", str(missing), *words[1:])
    assert done.stdout == ""
    assert done.returncode in (Exit.USAGE, Exit.NO_AGENT)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"netobserv: no kubeconfig: {missing} is not there")


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (200_000, "2d")]
)
def test_an_age_is_told_in_its_largest_unit(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (pb.Status(shells=1), "attached"),
        (pb.Status(), "alone"),
        (pb.Status(detached=True, ends_ns=1000 * NS, now_ns=100 * NS), "detached, 15m left"),
        (pb.Status(detached=True, ended="max-time of 10m reached"),
         "detached, ended: max-time of 10m reached"),
        (pb.Status(stopping=True, shells=1), "ending"),
    ],
)  # fmt: skip
def test_the_state_of_a_session_is_told_in_words(status: pb.Status, text: str) -> None:
    assert state(status) == text
