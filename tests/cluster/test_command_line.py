"""`netobserv manifests` from outside: YAML on stdout, or one line on stderr and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nshell.cluster import manifests
from nshell.cluster.manifests import Deployment
from nshell.shell.exits import Exit

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nshell.cli", "manifests", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=60,
    )


def test_without_options_a_session_goes_by_the_defaults() -> None:
    done = run()
    assert done.returncode == Exit.OK
    assert done.stderr == ""
    assert done.stdout == manifests.text(Deployment(image=manifests.default_image()))


def test_every_option_arrives() -> None:
    done = run(
        "--agent-namespace=here", "--session=mine", "--image=r.example/a:1", "--openshift",
        "--lease=0", "-l", "zone=a", "-l", "disk=ssd", "--node=n1", "--node=n2",
    )  # fmt: skip
    asked = Deployment(
        namespace="here",
        session="mine",
        image="r.example/a:1",
        openshift=True,
        lease_seconds=0,
        node_labels=(("zone", "a"), ("disk", "ssd")),
        nodes=("n1", "n2"),
    )
    assert done.returncode == Exit.OK
    assert list(yaml.safe_load_all(done.stdout)) == manifests.objects(asked)


def test_no_key_is_printed() -> None:
    kinds = {item["kind"] for item in yaml.safe_load_all(run().stdout)}
    assert "Deployment" in kinds
    assert "Secret" not in kinds


@pytest.mark.parametrize(
    ("arguments", "word", "near"),
    [
        (["--session", "My Session"], "'My Session'", "'my-session'"),
        (["--agent-namespace", "Net_Obs"], "'Net_Obs'", "'net-obs'"),
        (["--image", "App:1"], "'App:1'", "'app:1'"),
        (["--node", "N1"], "'N1'", "'n1'"),
        (["-l", "zone:a"], "'zone:a'", "'zone=a'"),
        (["-l", "zone=a", "-l", "zone=b"], "zone=b", ""),
        (["--lease", "-1"], "'-1'", ""),
        (["--sesion", "x"], "--sesion", "--session"),
    ],
)
def test_a_wrong_word_is_one_line_with_the_nearest_right_one(
    arguments: list[str], word: str, near: str
) -> None:
    done = run(*arguments)
    assert done.returncode == Exit.USAGE
    assert done.stdout == ""
    assert done.stderr.startswith("netobserv: ")
    assert done.stderr.count("\n") == 1
    assert word in done.stderr
    assert near in done.stderr


def test_output_that_nobody_reads_any_more_is_no_traceback() -> None:
    line = f"{sys.executable} -m nshell.cli manifests | true"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )
    assert "Traceback" not in done.stderr
