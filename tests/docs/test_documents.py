"""The documents say what is so: their sessions are run, their commands and targets exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nshell.shell.commands import build_registry
from nshell.shell.why.verdict import SLUGS
from tests.docs import transcript

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def shown(document: str) -> str:
    (found,) = re.findall(
        r"```console\n(netobserv> .*?)```", (ROOT / document).read_text(), re.DOTALL
    )
    return str(found)


@pytest.mark.kernel
@pytest.mark.parametrize("document", transcript.SCENES)
def test_the_session_of_a_document_is_what_happens(document: str, tmp_path: Path) -> None:
    expected = transcript.parse(shown(document))
    scene, _ = transcript.SCENES[document]
    with scene() as pair:
        really = transcript.run(pair.ours, [e.command for e in expected[:-1]], tmp_path)
    assert [e.command for e in really] == [e.command for e in expected]
    for ours, theirs in zip(really, expected, strict=True):
        assert [transcript.alike(line) for line in ours.answer] == [
            transcript.alike(line) for line in theirs.answer
        ]
    for file in re.findall(r"\S+\.pcap", " ".join(e.command for e in expected)):
        assert (tmp_path / file).stat().st_size > 1000


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
    "document", ["README.md", "CONTRIBUTING.md", "docs/what-happened.md", "docs/kubernetes.md"]
)
def test_the_files_that_a_document_names_are_there(document: str) -> None:
    path = ROOT / document
    for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / link).exists(), link


def test_every_verdict_is_explained() -> None:
    text = (ROOT / "docs/what-happened.md").read_text()
    for slug in SLUGS:
        assert f"| `{slug}` |" in text, slug
