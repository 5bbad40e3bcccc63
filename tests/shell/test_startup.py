"""What is imported before the prompt is drawn: little, so that it is there at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from nshell.shell.exits import Exit
from tests.terminal import Terminal

ROOT = Path(__file__).parents[2]
HEAVY = (
    "grpc", "numpy", "dpkt", "kubernetes", "apsw", "pyroute2", "google.protobuf", "bcc",
    "cryptography", "yaml",
)  # fmt: skip

_AT_FIRST_DRAW = """
import json, os, pathlib, signal, sys
from prompt_toolkit.renderer import Renderer
from tests.shell import fake_netobserv

report = pathlib.Path(sys.argv[1])
drawn = Renderer.render

def render(*arguments, **named):
    drawn(*arguments, **named)
    if not report.exists():
        report.with_suffix(".new").write_text(json.dumps(sorted(sys.modules)))
        report.with_suffix(".new").rename(report)
        os.kill(os.getpid(), signal.SIGTERM)

Renderer.render = render
sys.argv[1:] = ["shell", "--local"]
fake_netobserv.main()
"""


def test_the_command_line_alone_imports_nothing_heavy() -> None:
    code = "import json, sys, nshell.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = json.loads(done.stdout)
    assert "click" in loaded
    assert not [name for name in (*HEAVY, "prompt_toolkit", "asyncio") if name in loaded]


def test_nothing_heavy_is_imported_before_the_prompt_is_drawn(tmp_path: Path) -> None:
    report = tmp_path / "modules"
    with Terminal(
        [sys.executable, "-c", _AT_FIRST_DRAW, str(report)],
        env={"XDG_RUNTIME_DIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)},
        cwd=str(ROOT),
    ) as terminal:
        terminal.wait_until(report.exists, "the first drawing")
        assert terminal.wait_end() == Exit.INTERRUPTED
    loaded = json.loads(report.read_text())
    assert "nshell.shell.prompt.front" in loaded
    assert not [name for name in HEAVY if name in loaded]
