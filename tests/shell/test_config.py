"""The configuration: what holds, and what is told of a file that cannot be used."""

from __future__ import annotations

import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from nshell.config import TABLES, Config, ConfigError, load
from nshell.shell.exits import Exit
from nshell.xdg import config_directory, from_home, state_directory

ROOT = str(Path(__file__).parents[2])


def configured(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load(path, environ)


def test_no_file_and_no_variable_configure_nothing(tmp_path: Path) -> None:
    assert load(tmp_path / "config.toml", {}) == Config()
    assert load(None, {}) == Config()


def test_every_key_is_read_as_what_it_is(tmp_path: Path) -> None:
    found = configured(
        tmp_path,
        """
        [shell]
        format = "json"
        expanded = true
        pager = "off"
        timing = false
        human = "off"
        theme = "light"
        keys = "vi"
        color = "never"
        startup = ["enable dns drops", "set timing on"]

        [cluster]
        context = "kind-prod"
        kubeconfig = "~/.kube/prod"
        agent_namespace = "debugging"
        image = "registry.example:5000/team/netobserv-shell:1.2"
        lease = 300
        """,
    )
    assert {name: value.value for name, value in found.shell.items()} == {
        "format": "json",
        "expanded": "on",
        "pager": "off",
        "timing": "off",
        "human": "off",
        "theme": "light",
        "keys": "vi",
        "color": "never",
        "startup": ("enable dns drops", "set timing on"),
    }
    assert {name: value.value for name, value in found.cluster.items()} == {
        "context": "kind-prod",
        "kubeconfig": str(Path("~/.kube/prod").expanduser()),
        "agent_namespace": "debugging",
        "image": "registry.example:5000/team/netobserv-shell:1.2",
        "lease": 300,
    }
    assert {value.origin for value in found.shell.values()} == {str(tmp_path / "config.toml")}
    assert set(found.shell) == set(TABLES["shell"])
    assert set(found.cluster) == set(TABLES["cluster"])


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    text = '[shell]\ntheme = "light"\nkeys = "vi"\n[cluster]\nlease = 5'
    found = configured(tmp_path, text, NETOBSERV_THEME="dark", NETOBSERV_LEASE="7")
    assert (found.shell["theme"].value, found.shell["theme"].origin) == ("dark", "NETOBSERV_THEME")
    assert found.shell["keys"].value == "vi"
    assert found.cluster["lease"].value == 7


def test_variables_that_others_read_too_make_the_file_void(tmp_path: Path) -> None:
    text = '[shell]\ncolor = "auto"\n[cluster]\nkubeconfig = "/a"'
    found = configured(tmp_path, text, NO_COLOR="1", KUBECONFIG="/b:/c")
    assert (found.shell["color"].value, found.shell["color"].origin) == ("never", "NO_COLOR")
    assert "kubeconfig" not in found.cluster
    empty = configured(tmp_path, text, NO_COLOR="", KUBECONFIG="")
    assert empty.shell["color"].value == "auto"
    assert empty.cluster["kubeconfig"].value == "/a"
    own = configured(tmp_path, text, NO_COLOR="1", NETOBSERV_COLOR="auto")
    assert own.shell["color"].value == "auto"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[shel]\n", "unknown table [shel]: did you mean 'shell'?"),
        ("[x]\n", "unknown table [x]: there are shell, cluster"),
        ("format = 'csv'\n", "'format' belongs under [shell]"),
        ("shell = 'csv'\n", "'shell' is a table: write [shell]"),
        ("[shell]\nthme = 'dark'\n", "unknown key 'thme' in [shell]: did you mean 'theme'?"),
        ("[shell]\nimage = 'a'\n", "unknown key 'image' in [shell]: it belongs under [cluster]"),
        (
            "[cluster]\nxyz = 'a'\n",
            "unknown key 'xyz' in [cluster]: there are context, kubeconfig, agent_namespace, "
            "image, lease",
        ),
        ("[shell]\ntheme = 'drak'\n", "[shell] theme cannot be 'drak': did you mean 'dark'?"),
        ("[shell]\nkeys = 'wasd'\n", "[shell] keys cannot be 'wasd': emacs or vi"),
        ("[shell]\nkeys = 1\n", "[shell] keys cannot be 1: emacs or vi"),
        ("[shell]\nformat = true\n", "[shell] format cannot be True"),
        ("[shell]\nstartup = 'x'\n", "[shell] startup: 'x' is not a list of commands in quotes"),
        ("[shell]\nstartup = [1]\n", "[shell] startup: [1] is not a list of commands in quotes"),
        ("[cluster]\nlease = -1\n", "[cluster] lease: -1 is not a whole number from 0 to"),
        ("[cluster]\nlease = true\n", "[cluster] lease: True is not a whole number from 0 to"),
        ("[cluster]\ncontext = ''\n", "[cluster] context: '' is not a text in quotes"),
        ("[cluster]\nimage = 3\n", "[cluster] image: 3 is not a text in quotes"),
        (
            "[cluster]\nagent_namespace = 'Prod_1'\n",
            "[cluster] agent_namespace: 'Prod_1' cannot name a namespace",
        ),
        ("[shell\n", "expected ']' at the end of a table declaration (at line 1, column 7)"),
        ("[shell]\nkeys = vi\n", "invalid value (at line 2, column 8)"),
        (f"[cluster]\nlease = {'1' * 5000}\n", "a number in it is too long, or brackets too deep"),
        (f"[shell]\nstartup = {'[' * 5000}\n", "a number in it is too long, or brackets too deep"),
        (f"[cluster]\nlease = '{'1' * 5000}'\n", "[cluster] lease: '1111"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_word_and_the_right_one(
    tmp_path: Path, text: str, line: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        configured(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'config.toml'}: {line}")
    assert "\n" not in str(refused.value)


def test_a_variable_that_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        configured(tmp_path, "", NETOBSERV_KEYS="vim")
    assert str(refused.value) == "NETOBSERV_KEYS: keys cannot be 'vim': did you mean 'vi'?"


def test_a_file_that_was_named_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing: no such file"):
        load(tmp_path / "nothing", {}, must_exist=True)
    with pytest.raises(ConfigError, match="is a directory"):
        load(tmp_path, {})
    (tmp_path / "latin").write_bytes(b"# \xe9\n")
    with pytest.raises(ConfigError, match="not text"):
        load(tmp_path / "latin", {})


def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The program with children that are made up."""
    return subprocess.run(
        [sys.executable, "-m", "tests.shell.fake_netobserv", *words],
        capture_output=True, text=True, cwd=ROOT, timeout=60, stdin=subprocess.DEVNULL,
        check=False, env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environ},
    )  # fmt: skip


LOCAL = ("shell", "--local")


def test_a_wrong_file_is_status_2_before_anything_is_started(tmp_path: Path) -> None:
    path = tmp_path / "netobserv" / "config.toml"
    path.parent.mkdir()
    path.write_text("[shell]\nthme = 'dark'\n")
    done = run(*LOCAL, "-c", "status", XDG_CONFIG_HOME=str(tmp_path))
    assert done.returncode == Exit.USAGE
    assert (done.stdout, done.stderr) == (
        "",
        f"netobserv: {path}: unknown key 'thme' in [shell]: did you mean 'theme'?\n",
    )
    assert run("version", XDG_CONFIG_HOME=str(tmp_path)).returncode == Exit.OK
    ignored = run(*LOCAL, "--no-config", "-c", "set theme", XDG_CONFIG_HOME=str(tmp_path))
    assert (ignored.returncode, ignored.stdout) == (Exit.OK, "theme auto\n")


def test_the_command_line_goes_before_all(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[shell]\nformat = 'csv'\ntiming = 'off'\n[cluster]\nimage = 'a/b:c'\n")
    words = ("--config", str(path), "-c", "set")
    told = run(*LOCAL, *words, "--format", "json", NETOBSERV_THEME="mono")
    assert f'{{"setting": "timing", "value": "off", "from": "{path}"}}' in told.stdout
    assert '{"setting": "format", "value": "json", "from": "--format"}' in told.stdout
    assert '{"setting": "theme", "value": "mono", "from": "NETOBSERV_THEME"}' in told.stdout
    assert '{"setting": "keys", "value": "emacs", "from": "default"}' in told.stdout
    by_variable = run(*LOCAL, "-c", "SELECT 1 AS n", NETOBSERV_CONFIG=str(path))
    assert by_variable.stdout == "n\n1\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--config", "/nonexistent"), "/nonexistent: no such file"),
        (("--config", "/dev/null", "--no-config"), "--config and --no-config exclude each other"),
        (("--no-config", "--config", "x"), "--config and --no-config exclude each other"),
    ],
)
def test_options_that_make_no_sense_are_refused(words: tuple[str, ...], line: str) -> None:
    done = run(*LOCAL, *words, "-c", "status")
    assert (done.returncode, done.stderr) == (Exit.USAGE, f"netobserv: {line}\n")


def test_a_startup_command_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[shell]\nstartup = ['enbale dns']\n")
    done = run(*LOCAL, "--config", str(path), "-c", "status")
    assert done.returncode == Exit.USAGE
    assert done.stderr == (
        f"netobserv: {path}: [shell] startup: 'enbale dns': "
        "unknown command 'enbale': did you mean 'enable'?\n"
    )


def test_defaults_of_the_cluster_come_from_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[cluster]\nkubeconfig = '/nonexistent/kube'\n")
    done = run("sessions", "--config", str(path))
    assert done.returncode == Exit.USAGE
    assert "/nonexistent/kube" in done.stderr


def test_manifests_are_made_as_a_session_would_be() -> None:
    text = run("manifests", NETOBSERV_IMAGE="x/y:1", NETOBSERV_NAMESPACE="elsewhere").stdout
    assert 'image: "x/y:1"' in text
    assert 'name: "elsewhere"' in text
    told = run("manifests", "--image", "a/b:2", NETOBSERV_IMAGE="x/y:1").stdout
    assert "a/b:2" in told
    assert "x/y:1" not in told


def test_what_is_for_clusters_does_not_concern_a_session_on_this_host() -> None:
    done = run(*LOCAL, "-c", "set format", NETOBSERV_IMAGE="x/y:1", NETOBSERV_LEASE="5")
    assert (done.returncode, done.stdout) == (Exit.OK, "format table\n")


def test_directories_are_where_the_specification_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/me")
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    assert config_directory() == Path("/etc/me/netobserv")
    assert state_directory() == Path("/home/me/.local/state/netobserv")


def test_a_home_that_is_not_known_is_no_reason_to_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # As in a container whose user has no name.
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert config_directory() == Path("~/.config/netobserv")
    assert load(config_directory() / "config.toml", {}) == Config()
    monkeypatch.chdir(tmp_path)
    assert from_home("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("shell", "--help"),
        (*LOCAL, "-c", "help", "-c", "set", "-c", "SELECT NULL AS n, 1536 AS Bytes", "-c", "x"),
        (*LOCAL, "--format", "vertical", "-c", "SELECT NULL AS n", "-c", "help keys"),
    ],
)
def test_no_escape_goes_into_a_pipe_whatever_is_set(words: tuple[str, ...]) -> None:
    done = run(*words, TERM="xterm-256color", COLORTERM="truecolor", NETOBSERV_THEME="dark",
               FORCE_COLOR="1", CLICOLOR_FORCE="1")  # fmt: skip
    assert done.stdout
    assert "\x1b" not in done.stdout + done.stderr
