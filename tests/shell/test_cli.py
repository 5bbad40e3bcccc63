"""The program from outside: one-line errors, exit statuses, what goes to which stream."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nshell.collector import schema
from nshell.shell.exits import Exit
from tests.shell.fake_collector import DATABASE
from tests.shell.processes import alive, child, children, eventually

MANY = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000) SELECT i FROM n"
)
FAKE = (sys.executable, "-m", "tests.shell.fake_netobserv")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def base(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where session directories go."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return runtime


def run(
    *arguments: str, stdin: str | None = None, text: bool = True
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FAKE, *arguments],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=text,
        check=False,
        cwd=ROOT,
        timeout=60,
    )


def shell(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return run("shell", "--local", *arguments, stdin=stdin)


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*FAKE, "shell", "--local", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("shell --dir /tmp", "--dir is for a session with --local"),
        ("shell --store-limit 5Gi", "--store-limit: a collector on a cluster has room for 4Gi"),
        ("shell --session Mine", "Invalid value for '--session': 'Mine' cannot name a session: "
                                 "lowercase letters, digits and '-', no '-' at an end, at most 40: "
                                 "did you mean 'mine'?"),
        ("shell --local --context kind", "--context is for a session on a cluster"),
        ("shell --local -l zone=a", "--node-label is for a session on a cluster"),
        ("shell --local --node a --node b", "--node: with --local it is the name of this host, so "
                                            "there is one"),
        ("shell --local --max-time 90", "Invalid value for '--max-time': '90' is not a duration: "
                                        "did you mean 90s?"),
        ("attach --local", "No such option '--local'"),
        ("shel", "No such command 'shel'. Did you mean 'shell'?"),
        ("shell --lokal", "No such option '--lokal'. Did you mean '--local'?"),
        ("shell --local --snaplen x", "Invalid value for '--snaplen': 'x' is not a whole number "
                                      "from 0 to 262,144"),
        ("shell --local --ring-bytes 64MB", "Invalid value for '--ring-bytes': '64MB' has no known "
                                            "unit (k M G T, Ki Mi Gi Ti): did you mean 64M?"),
        ("shell --local --attach clsct", "Invalid value for '--attach': unknown word 'clsct': did "
                                         "you mean 'clsact'?"),
        ("shell --local --enable dns,dorps", "Invalid value for '--enable': unknown feature "
                                             "'dorps': did you mean 'drops'?"),
        ("shell --local --format xml", "Invalid value for '--format': unknown word 'xml': one of "
                                       "table, json, csv, markdown, vertical"),
        ("shell --local -c", "Option '-c' requires an argument"),
        ("shell --local -f /none", "-f: cannot read /none: no such file or directory"),
        ("shell --local --dir /dev/null", "--dir: /dev/null is not a directory"),
        ("shell --local extra", "Got unexpected extra argument (extra)"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line_and_status_2(arguments: str, line: str) -> None:
    done = run(*arguments.split())
    assert done.stderr == f"netobserv: {line}\n"
    assert done.stdout == ""
    assert done.returncode == Exit.USAGE


def test_a_wrong_filter_starts_nothing(base: Path) -> None:
    done = shell("--filter", "prot 80", "-c", "status")
    assert done.returncode == Exit.USAGE
    assert done.stderr.startswith("netobserv: --filter: ")
    assert done.stderr.count("\n") == 1
    assert not list(base.iterdir())


def test_the_program_describes_itself() -> None:
    assert "shell" in run("--help").stdout
    assert "--fail-on-loss" in run("shell", "--help").stdout
    assert run("version").stdout.startswith("netobserv 0.")


def test_a_host_without_rights_is_status_3_and_told_what_to_do() -> None:
    code = (
        "from nshell import cli; from nshell.shell import needs; "
        "needs._effective = lambda _: 0; cli.main(['shell', '--local', '-c', 'status'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == Exit.NO_AGENT
    assert done.stderr.startswith("netobserv: needs root ")
    assert done.stderr.endswith("run it with sudo, in a container with --privileged\n")


def test_an_agent_that_cannot_work_is_status_3_with_its_own_words(base: Path) -> None:
    done = shell("--node", "cannot", "-c", "status")
    assert done.returncode == Exit.NO_AGENT
    assert done.stderr == "netobserv: agent: this kernel has no BPF: use another\n"
    assert not list(base.iterdir())


def test_a_directory_that_holds_a_session_is_refused_with_status_2(
    base: Path, tmp_path: Path
) -> None:
    (tmp_path / "session.db").touch()
    done = shell("--dir", str(tmp_path), "-c", "status")
    assert done.returncode == Exit.USAGE
    assert done.stderr == f"netobserv: {tmp_path} is taken: choose another\n"
    assert not list(base.iterdir())


def test_data_goes_to_stdout_and_the_story_to_stderr(base: Path) -> None:
    done = shell("--format", "json", "-c", "filter port 80", "-c", "SELECT DstPort FROM flow")
    assert done.returncode == Exit.OK
    assert json.loads(done.stdout) == [{"DstPort": 443}, {"DstPort": 53}]
    assert done.stderr.splitlines() == [
        "filter 1 added: port 80  applied 1/1 in 42 ms (generation 2)",
        "2 rows in 3.0 ms",
        "session ended: 2 flow rows, 3 packets, no loss",
    ]
    assert "\x1b" not in done.stdout + done.stderr
    assert not list(base.iterdir())


def test_options_hold_from_the_start() -> None:
    options = ["--packets", "--no-flows", "--snaplen", "96", "--sampling", "10"]
    options += ["--enable", "dns,tcp", "--enable", "rtt"]
    done = shell(*options, "--filter", "port 80", "--filter", "reject port 81", "-c", "status")
    assert "capturing    packets\n" in done.stdout
    assert "features     dns, tcp, rtt\n" in done.stdout
    assert "snap length  96 bytes\n" in done.stdout
    assert "sampling     one of 10 packets\n" in done.stdout
    assert "filters      2, generation 1\n" in done.stdout


def test_commands_and_files_run_in_the_order_given(tmp_path: Path) -> None:
    first, second = tmp_path / "1.nsh", tmp_path / "2.nsh"
    first.write_text("SELECT 'one' AS a")
    second.write_text("# nothing\nSELECT\n 'three' AS a;\n")
    done = shell(
        "--format", "csv", "-f", str(first), "-c", "SELECT 'two' AS a", "-f", str(second),
        "-f", "-", stdin="SELECT 'four' AS a\n",
    )  # fmt: skip
    assert done.stdout.split() == ["a", "one", "a", "two", "a", "three", "a", "four"]


def test_commands_come_from_stdin_when_it_is_no_terminal() -> None:
    done = shell("--format", "csv", stdin="# hello\nSELECT 1 AS a;\nSELECT 2\n  AS b;\nfilter\n")
    assert done.returncode == Exit.OK
    assert done.stdout == "a\n1\nb\n2\nid,filter,flow hits,packet hits,applied,generation\n"


def test_the_first_failing_command_ends_a_script_with_status_1(base: Path) -> None:
    done = shell("-c", "filter port 80\nfilter prot 80\nstatus")
    assert done.returncode == Exit.FAILED
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[1].startswith("netobserv: filter: ")
    assert lines[2].startswith("session ended:")
    assert not list(base.iterdir())


@pytest.mark.parametrize("command", ["sql DELETE FROM flow", "SELECT nonsense", "sttaus", "wait 5"])
def test_a_failing_command_is_one_line_with_its_name(command: str) -> None:
    done = shell("-c", command)
    assert done.returncode == Exit.FAILED
    name = "sttaus" if command == "sttaus" else "wait" if command == "wait 5" else "sql"
    assert done.stderr.splitlines()[0].startswith(f"netobserv: {name}: ")
    assert len(done.stderr.splitlines()) == 2


def test_loss_beyond_the_limit_is_status_5() -> None:
    query = "SELECT lose(3)"
    assert shell("-c", query).returncode == Exit.OK
    assert shell("--fail-on-loss", "3", "-c", query).returncode == Exit.OK
    done = shell("--fail-on-loss", "2", "-c", query)
    assert done.returncode == Exit.LOSS
    assert done.stderr.splitlines()[-2:] == [
        "session ended: 2 flow rows, 3 packets, 3 lost",
        "netobserv: lost 3, more than --fail-on-loss 2",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_script_in_order_with_status_130(
    number: signal.Signals, base: Path
) -> None:
    with start("-c", "status", "-c", "wait 1h") as process:
        assert process.stdout is not None
        process.stdout.readline()
        pids = children(process.pid)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == Exit.INTERRUPTED
    assert b"session ended:" in stderr
    assert b"Traceback" not in stderr
    assert not [pid for pid in pids if alive(pid)]
    assert not list(base.iterdir())


def test_an_interrupt_ends_the_watching_of_why_and_the_script_goes_on(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema.create(tmp_path / "session.db")
    monkeypatch.setenv(DATABASE, str(tmp_path / "session.db"))
    with start("-c", "why 10.0.0.1 10.0.0.2 for 1h", "-c", "SELECT 42 AS answer") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"watching ")
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=60)
    assert process.returncode == Exit.OK
    assert stdout.startswith(b"nothing-sent: ")
    assert b"42" in stdout
    assert not list(base.iterdir())


def test_a_reader_that_goes_away_is_a_quiet_end(base: Path) -> None:
    with start("-c", MANY, "-c", "status") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        stderr = process.stderr.read().decode()
        assert process.wait(60) == Exit.OK
    assert stderr.splitlines() == ["session ended: 2 flow rows, 3 packets, no loss"]
    assert not list(base.iterdir())


def test_a_signal_ends_a_script_whose_reader_sleeps(base: Path) -> None:
    with start("-c", MANY) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == Exit.INTERRUPTED
    assert not list(base.iterdir())


def test_a_killed_collector_is_status_3_and_leaves_nothing(base: Path) -> None:
    with start("-c", "wait 1h") as process:
        collector = child(process.pid, "fake_collector")
        agent = child(process.pid, "fake_agent")
        eventually(lambda: any(path.name == "s" for path in base.glob("*/*")), "the socket")
        os.kill(collector, signal.SIGKILL)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == Exit.NO_AGENT
    assert stderr.decode().splitlines()[-1] == "netobserv: the collector ended (signal 9)"
    assert not alive(agent)
    assert not list(base.iterdir())


def test_the_directory_of_a_killed_shell_is_swept_by_the_next(base: Path) -> None:
    with start("-c", "wait 1h") as process:
        collector = child(process.pid, "fake_collector")
        process.kill()
        process.communicate(timeout=60)
    assert list(base.iterdir())
    assert shell("-c", "status").returncode == Exit.OK
    held = list(base.iterdir())
    assert len(held) == 1  # its collector still lives and holds it
    os.kill(collector, signal.SIGKILL)
    eventually(lambda: not alive(collector), "the collector's end")
    assert shell("-c", "status").returncode == Exit.OK
    assert not list(base.iterdir())


def test_exit_statuses_are_what_the_interface_says() -> None:
    assert {e.name: e.value for e in Exit} == {
        "OK": 0, "FAILED": 1, "USAGE": 2, "NO_AGENT": 3, "LOSS": 5, "INTERRUPTED": 130,
    }  # fmt: skip
