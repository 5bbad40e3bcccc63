"""The image under test, on every node: built from this tree when no node has it yet.

Only what a node lacks is carried there: after a change of the programs that is
the topmost layer.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.cluster.nodes import Testbed

ROOT = Path(__file__).parents[2]
NAME = "localhost/netobserv-shell"
SOURCES = (".ci/image", ".containerignore", "Containerfile", "LICENSE", "README.md",
           "constraints.txt", "pyproject.toml", "agent", "manifests", "nshell")  # fmt: skip


def on_nodes(testbed: Testbed | None, nodes: Sequence[str]) -> str:
    """Name of an image that the nodes can run; skips where there is none."""
    if named := os.environ.get("NETOBSERV_TEST_IMAGE", ""):
        return named
    if testbed is None:
        pytest.skip("no image: NETOBSERV_TEST_IMAGE names none that the nodes can get")
    name = f"{NAME}:test-{_content()}"
    lacking = [n for n in nodes if name not in testbed.containerd(n, "images", "ls", "-q").split()]
    if lacking:
        build(testbed, lacking, name)
    return name


def build(testbed: Testbed, nodes: Sequence[str], name: str) -> None:
    """The present tree, loaded into the nodes; one at a time on a machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "netobserv-shell"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _build(testbed, nodes, name, cache)


def _build(testbed: Testbed, nodes: Sequence[str], name: str, cache: Path) -> None:
    layout, archive = cache / "image", cache / "image.tar"
    made = subprocess.run(
        [str(ROOT / ".ci/image"), f"{layout}/", name], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, f".ci/image: {made.stderr[-2000:]}"
    there = [set(testbed.containerd(node, "content", "ls", "-q").split()) for node in nodes]
    try:
        pack(layout, name, archive, known=set.intersection(*there))
        testbed.load(archive)
    finally:
        archive.unlink(missing_ok=True)
    keep_only(layout, name)
    drop_others(name)


def pack(layout: Path, name: str, archive: Path, *, known: set[str]) -> None:
    """An archive of the layout's image without the blobs that are known where it goes."""
    image = _manifest(layout, name)
    wanted = [digest for digest in _blobs(layout, image) if digest not in known]
    index = layout / "netobserv-index.json"
    annotations = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    index.write_text(
        json.dumps({"schemaVersion": 2, "manifests": [image | {"annotations": annotations}]})
    )
    with tarfile.open(archive, "w") as packed:
        packed.add(layout / "oci-layout", "oci-layout")
        packed.add(index, "index.json")
        # The manifest and its configuration always: they are what the archive is about.
        for digest in dict.fromkeys([image["digest"], *wanted]):
            packed.add(_path(layout, digest), str(_path(Path(), digest)))
    index.unlink()


def keep_only(layout: Path, name: str) -> None:
    """Drop from the layout what other images had."""
    image = _manifest(layout, name)
    kept = {digest.partition(":")[2] for digest in (image["digest"], *_blobs(layout, image))}
    for blob in (layout / "blobs/sha256").iterdir():
        if blob.name not in kept:
            blob.unlink()
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [image]}))


def drop_others(name: str) -> None:
    """Images of earlier trees; the layers that this one shares with them stay."""
    listed = ["buildah", "images", "--format", "{{.Name}}:{{.Tag}}"]
    done = subprocess.run(listed, capture_output=True, text=True, check=True)
    old = [each for each in done.stdout.split() if each.startswith(f"{NAME}:test-")]
    for each in sorted(set(old) - {name}):
        subprocess.run(["buildah", "rmi", each], capture_output=True, check=False)


def _manifest(layout: Path, name: str) -> dict[str, Any]:
    index = json.loads((layout / "index.json").read_text())
    found: list[dict[str, Any]] = [
        each
        for each in index["manifests"]
        if each.get("annotations", {}).get("org.opencontainers.image.ref.name") == name
    ]
    return found[-1]


def _blobs(layout: Path, image: dict[str, Any]) -> Iterator[str]:
    manifest = json.loads(_path(layout, image["digest"]).read_text())
    yield manifest["config"]["digest"]
    yield from (layer["digest"] for layer in manifest["layers"])


def _path(layout: Path, digest: str) -> Path:
    algorithm, _, number = digest.partition(":")
    return layout / "blobs" / algorithm / number


def _content() -> str:
    """Of everything that the image is made from."""
    found = hashlib.sha256()
    for source in SOURCES:
        top = ROOT / source
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                found.update(f"{path.relative_to(ROOT)}\0".encode())
                found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:12]
