"""The documents say what is so: their sessions are run, their commands and targets exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from nshell.shell.commands import build_registry
from nshell.shell.why.verdict import SLUGS
from tests.docs import transcript

if TYPE_CHECKING:
    from pathlib import Path

ROOT = transcript.ROOT
README = (ROOT / "README.md").read_text()


@pytest.mark.kernel
@pytest.mark.parametrize("document", transcript.SCENES)
def test_the_session_of_a_document_is_what_happens(document: str, tmp_path: Path) -> None:
    expected = transcript.parse(transcript.shown((ROOT / document).read_text()))
    with transcript.SCENES[document]() as pair:
        really = transcript.run(pair.ours, [e.prompt + e.command for e in expected], tmp_path)
    assert expected
    for ours, theirs in zip(really, expected, strict=True):
        assert transcript.matches(ours.answer, theirs.answer), (ours, theirs)
    for file in re.findall(r"export \S+ (\S+)", " ".join(e.command for e in expected)):
        assert (tmp_path / file).stat().st_size > 1000


def test_the_verdict_in_the_readme_is_that_of_the_incident() -> None:
    incident = (ROOT / "docs/what-happened.md").read_text().splitlines()
    (verdict,) = re.findall(r"^dropped-here: .*$", README, re.MULTILINE)
    assert transcript.alike(verdict) in map(transcript.alike, incident)


def test_every_command_is_in_the_readme() -> None:
    for name in build_registry().names():
        assert f"`{name}" in README, name


def test_every_make_target_in_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"make ([a-z-]+)", README))
    assert targets >= {"setup", "shell", "test", "bench"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize(
    "document",
    ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))],
)
def test_the_files_that_a_document_names_are_there(document: str) -> None:
    path = ROOT / document
    for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / link).exists(), link


def test_every_verdict_is_explained() -> None:
    text = (ROOT / "docs/what-happened.md").read_text()
    for slug in SLUGS:
        assert f"| `{slug}` |" in text, slug
