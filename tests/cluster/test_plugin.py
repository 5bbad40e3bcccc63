"""kubectl and krew find the program under the names that they give plugins."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from nshell.cluster.manifests import fill
from tests.programs import ROOT, entry_points, installed

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = ROOT / "manifests/krew/netobserv.yaml"
NAMES = ("kubectl-netobserv", "oc-netobserv")
PLACES = ("linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64")


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_kubectl_runs_it_as_a_plugin(tmp_path: Path) -> None:
    environment = installed(tmp_path)

    def kubectl(*words: str) -> str:
        done = subprocess.run(
            ["kubectl", *words], env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout

    assert str(tmp_path / "kubectl-netobserv") in kubectl("plugin", "list")
    assert kubectl("netobserv", "version") == f"netobserv {version('netobserv-shell')}\n"
    assert "shell" in kubectl("netobserv", "--help")


def test_plugins_and_what_completes_them_are_the_program() -> None:
    completing = [name.replace("-", "_complete-") for name in NAMES]
    assert {entry_points()[name] for name in (*NAMES, *completing)} == {entry_points()["netobserv"]}


def filled() -> dict[str, Any]:
    """The manifest as a release makes it."""
    quoted = {
        "version": version("netobserv-shell"),
        "homepage": "https://example.invalid/netobserv",
        "release": "https://example.invalid/netobserv/releases",
        **{f"sha256_{place}": "0" * 64 for place in PLACES},
    }
    text = fill(MANIFEST.read_text().replace("${...}", ""), quoted=quoted, values={})
    made: dict[str, Any] = yaml.safe_load(text)
    return made


def test_the_krew_manifest_has_what_krew_asks_for() -> None:
    made = filled()
    assert made["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2"
    assert made["kind"] == "Plugin"
    assert made["metadata"]["name"] == MANIFEST.stem
    spec = made["spec"]
    assert re.fullmatch(r"v\d+\.\d+\.\d+.*", spec["version"])
    assert len(spec["shortDescription"]) <= 50
    assert not spec["shortDescription"].endswith(".")
    places = set()
    for platform in spec["platforms"]:
        assert set(platform) == {"selector", "uri", "sha256", "bin", "files"}
        labels = platform["selector"]["matchLabels"]
        places.add(f"{labels['os']}_{labels['arch']}")
        assert platform["uri"].endswith(f"-{labels['os']}-{labels['arch']}.tar.gz")
        assert re.fullmatch(r"[0-9a-f]{64}", platform["sha256"])
        assert platform["bin"] in NAMES
        assert platform["bin"] in [each["from"] for each in platform["files"]]
    assert places == set(PLACES)


def test_the_krew_manifest_is_none_of_a_sessions_manifests() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nshell.cli", "manifests", "--openshift"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "krew" not in done.stdout
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "package-data"
    ]["nshell"]
    packaged = {path.name for pattern in patterns for path in (ROOT / "nshell").glob(pattern)}
    assert "namespace.yaml" in packaged
    assert "netobserv.yaml" not in packaged
