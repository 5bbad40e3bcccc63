"""`flows`, `packets`, `help` and `completion` from outside, as far as nothing is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nshell.shell.exits import Exit
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
FAKE = (sys.executable, "-m", "tests.shell.fake_netobserv")
PROGRAMS = Path(sys.executable).parent


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
        ("packets --local tcp", "'tcp' is not understood: packets takes PROTOCOL,PORT such as "),
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
    assert done.stderr == "netobserv: cannot make output/flow: not a directory\n"


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


ENV = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "PS1": "$ "}


def test_bash_completes_commands_options_and_values() -> None:
    with Terminal(["bash", "--norc", "--noprofile", "-i"], env=ENV) as bash:
        bash.type('eval "$(netobserv completion bash)"; echo re""ady\n')
        bash.wait_for("ready")
        bash.type("netobserv fl\t")
        bash.wait_for("netobserv flows")
        bash.type("--proto\t")
        bash.wait_for("flows --protocol")
        bash.press("backspace")
        bash.type("=t\t")
        bash.wait_for("--protocol=TCP")
        bash.type(" or --tcp_flags syn-\t")
        bash.wait_for("--tcp_flags SYN-ACK")
        bash.type(" --act\t")
        bash.wait_for("--action")
        bash.press("backspace")
        bash.type("=\t")
        bash.wait_until(lambda: bash.line().endswith("--action="), "the line again")
        bash.type("\t")
        bash.wait_for("Accept  Reject")


@pytest.mark.parametrize(
    ("shell", "words", "answer"),
    [
        # zsh takes three lines a candidate, fish one with its help behind a tab.
        ("zsh", {"COMP_WORDS": "netobserv flows --protocol=ud", "COMP_CWORD": "2"},
         "plain\n--protocol=UDP\n_\n"),
        ("zsh", {"COMP_WORDS": "netobserv flows --copy p", "COMP_CWORD": "3"},
         "plain\nprompt\n_\n"),
        ("fish", {"COMP_WORDS": "netobserv flows --protocol=ud", "COMP_CWORD": "--protocol=ud"},
         "plain,--protocol=UDP\n"),
        ("fish", {"COMP_WORDS": "netobserv help pac", "COMP_CWORD": "pac"}, "plain,packets\n"),
    ],
)  # fmt: skip
def test_zsh_and_fish_are_answered_in_whole_words(
    shell: str, words: dict[str, str], answer: str
) -> None:
    done = run(env={"_NETOBSERV_COMPLETE": f"{shell}_complete", **words})
    assert (done.stdout, done.stderr) == (answer, "")
    assert "_NETOBSERV_COMPLETE" in run("completion", shell).stdout
