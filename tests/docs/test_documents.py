"""The README says what is so: its quick start is run, its commands and targets exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nshell.shell.commands import build_registry
from tests.docs import transcript

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def shown() -> str:
    (found,) = re.findall(r"```console\n(netobserv> .*?)```", README, re.DOTALL)
    return str(found)


@pytest.mark.kernel
def test_the_quick_start_is_what_happens(tmp_path: Path) -> None:
    expected = transcript.parse(shown())
    with transcript.scene() as pair:
        really = transcript.run(pair.ours, [e.command for e in expected[:-1]], tmp_path)
    assert [e.command for e in really] == [e.command for e in expected]
    for ours, theirs in zip(really, expected, strict=True):
        assert [transcript.alike(line) for line in ours.answer] == [
            transcript.alike(line) for line in theirs.answer
        ]
    assert (tmp_path / "web.pcap").stat().st_size > 1000


def test_every_command_is_in_the_readme() -> None:
    for name in build_registry().names():
        assert f"`{name}" in README, name


def test_every_make_target_in_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"make ([a-z-]+)", README))
    assert targets >= {"setup", "shell", "test", "bench"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_files_that_the_readme_names_are_there() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link
