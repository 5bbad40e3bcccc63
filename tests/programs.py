"""The programs as an installation has them, in a folder of the test's."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def entry_points() -> dict[str, str]:
    """Of the package: what each of its programs runs."""
    text = (ROOT / "pyproject.toml").read_text()
    scripts: dict[str, str] = tomllib.loads(text)["project"]["scripts"]
    return scripts


def installed(directory: Path) -> dict[str, str]:
    """Put them there; the environment of one who has that folder on the PATH."""
    for name, place in entry_points().items():
        module, _, function = place.partition(":")
        script = directory / name
        script.write_text(
            f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\n"
            f"sys.exit({function}())\n"
        )
        script.chmod(0o755)
    return os.environ | {"PATH": f"{directory}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
