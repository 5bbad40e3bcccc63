"""`flows`, `packets`, `help` and `completion` from outside, as far as nothing is started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nshell.shell.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
FAKE = (sys.executable, "-m", "tests.shell.fake_netobserv")


def run(
    *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FAKE, *words], capture_output=True, text=True, check=False, timeout=60,
        stdin=subprocess.DEVNULL, cwd=cwd or ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("flows --local --protocol=tpc",
         "--protocol: unknown value 'tpc': one of TCP, UDP, SCTP, ICMP, ICMPv6"),
        ("flows --local --enable_filter", "--enable_filter: say what to keep, for instance "
                                          "--protocol=TCP --port=80"),
        ("flows --local --max-time=5", "Invalid value for '--max-time': '5' is not a duration: "
                                       "did you mean 5s?"),
        ("flows --local --max-bytes=lots", "Invalid value for '--max-bytes': "),
        ("flows --local --copy=maybe", "Invalid value for '--copy': unknown value 'maybe': one of "
                                       "true, false, prompt"),
        ("flows --local --log-level=loud", "Invalid value for '--log-level': unknown value 'loud'"),
        ("flows --local --sampling=0", "Invalid value for '--sampling': '0' is not a whole number "
                                       "from 1 to 1,000,000"),
        ("flows --local --interfaces=/eth[0-9]/", "Invalid value for '--interfaces' / '-i': "
                                                  "'/eth[0-9]/' is more than * and ? can say"),
        ("flows --node-selector=zone", "Invalid value for '--node-selector': "),
        ("flows --local --session mine", "--session is for a session on a cluster"),
        ("flows --local --node-selector=a:b", "--node-selector is for a session on a cluster"),
        ("packets --local tcp", "'tcp': write it as --protocol=tcp"),
        ("packets --local all", "'all' is not understood: packets takes PROTOCOL,PORT such as "),
        ("packets --local --drops", "--drops is for `netobserv flows`"),
        ("metrics", "No such command 'metrics': there are no metrics here: "),
        ("follow", "No such command 'follow': `netobserv attach` comes back to a session"),
        ("help flow", "No such command 'flow'. Did you mean 'flows'?"),
        ("completion tcsh", "Invalid value for 'bash|zsh|fish': unknown word 'tcsh'"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_one_line_and_nothing_is_started(
    tmp_path: Path, line: str, why: str
) -> None:
    (tmp_path / "run").mkdir()
    done = run(*line.split(), cwd=tmp_path, env={"XDG_RUNTIME_DIR": str(tmp_path / "run")})
    assert done.returncode == Exit.USAGE
    assert done.stderr.startswith(f"netobserv: {why}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert [path.name for path in tmp_path.rglob("*")] == ["run"]


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_started(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file")
    done = run("flows", "--local", "--background", cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert done.stderr == (
        "netobserv: cannot make output/flow: not a directory: go where files can be written, "
        "or add --copy=false\n"
    )


def test_help_of_a_command_is_its_help_option() -> None:
    by_option = run("flows", "--help")
    assert by_option.stderr == ""
    for words in (("help", "flows"), ("flows", "help"), ("flows", "-h")):
        assert run(*words).stdout == by_option.stdout
    for expected in ("Examples:", "--tcp_flags", "Exit statuses:", "Environment:", "Files:",
                     "./output/flow/TIME.json"):  # fmt: skip
        assert expected in by_option.stdout


def test_help_alone_lists_every_command() -> None:
    shown = run("help")
    assert shown.stdout == run("--help").stdout
    for name in ("shell", "flows", "packets", "copy", "cleanup", "completion", "version"):
        assert f"\n  {name} " in shown.stdout


def test_the_version_is_an_option_as_well() -> None:
    assert run("--version").stdout == run("version").stdout


def test_ctrl_c_while_it_starts_is_the_end_without_a_word() -> None:
    # Whatever it imports first interrupts it.
    code = (
        "import os, signal, sys, nshell.start\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'nshell.cli':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "nshell.start.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60,
        cwd=ROOT, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
