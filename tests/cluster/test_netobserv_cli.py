"""`netobserv flows` and `packets` on the cluster: in the foreground, and left in the background."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nshell.shell.exits import Exit
from tests.cluster import leftovers
from tests.cluster import shell as shells
from tests.cluster.leftovers import wait_nothing
from tests.network import sh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.api import Api
    from tests.cluster.nodes import Nodes
    from tests.cluster.shell import ClusterShell

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

PROGRAM = str(Path(sys.executable).parent / "netobserv")
BEHIND, BEFORE = "behind", "before"


@pytest.fixture(scope="module")
def there(api: Api, nodes: Nodes, kubeconfig: str, image: str) -> Iterator[ClusterShell]:
    assert nodes
    made = shells.in_new_namespace(api, kubeconfig, image)
    yield made
    for name in (BEHIND, BEFORE):
        made.remove(name)
        wait_nothing(lambda name=name: leftovers.objects(api, name))  # type: ignore[misc]


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *words], cwd=folder, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@contextlib.contextmanager
def asking(nodes: Nodes) -> Iterator[None]:
    """One node asks another for a port that nobody serves, for two minutes at most."""
    loop = f"while sleep 0.2; do : < /dev/tcp/{nodes.addresses[1]}/9; done"
    process = nodes.inside(nodes.names[0]).start("timeout", "120", "bash", "-c", loop)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def test_in_the_foreground_files_are_written_and_the_session_is_removed(
    there: ClusterShell, api: Api, nodes: Nodes, tmp_path: Path
) -> None:
    with asking(nodes):
        done = run(tmp_path, "flows", "--max-time=4s", "--protocol=TCP", *there.words(BEFORE))
    assert done.returncode == Exit.OK, done.stderr
    (file,) = tmp_path.glob("output/flow/*.json")
    rows = json.loads(file.read_text())
    assert {row["Proto"] for row in rows} == {6}
    assert "capture ended: max-time of 4s reached" in done.stderr
    assert f"./{file.relative_to(tmp_path)}: " in done.stdout
    wait_nothing(lambda: leftovers.objects(api, BEFORE))


def test_in_the_background_it_is_left_fetched_and_stopped(
    there: ClusterShell, api: Api, tmp_path: Path
) -> None:
    words = ("packets", "--background", "--max-time=10m", "tcp,10250")
    began = run(tmp_path, *words, *there.words(BEHIND))
    assert began.returncode == Exit.OK, began.stderr
    assert began.stdout == ""
    assert not list(tmp_path.iterdir()), "its files are fetched when they are wanted"
    told = began.stderr
    assert "capturing in the background until " in told
    where = ["--kubeconfig", there.kubeconfig, "--agent-namespace", there.namespace]
    (copying,) = (line.split("  netobserv ")[1] for line in told.splitlines() if "fetch" in line)
    (stopping,) = (line.split("  netobserv ")[1] for line in told.splitlines() if "end it" in line)
    assert copying.split() == ["copy", "--session", BEHIND, *where]
    fetched = run(tmp_path, *copying.split())
    assert fetched.returncode == Exit.OK, fetched.stderr
    (file,) = tmp_path.glob("output/pcap/*.pcapng")
    assert "packets" in fetched.stdout
    assert sh("capinfos", "-c", str(file))
    again = run(tmp_path, *copying.split())
    assert again.returncode == Exit.OK, again.stderr
    assert len(list(tmp_path.glob("output/pcap/*"))) == 2
    stopped = run(tmp_path, *stopping.split())
    assert stopped.returncode == Exit.OK, stopped.stderr
    wait_nothing(lambda: leftovers.objects(api, BEHIND))
