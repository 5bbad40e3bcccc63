"""Nothing makes the prompt pause that need not: what rows cost while they are held."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.shell.conftest import Shell


async def test_rows_that_are_held_cost_the_garbage_collector_nothing(shell: Shell) -> None:
    answer = await shell.client.query("SELECT DstPort, SrcAddr FROM flow")
    rows = [row async for chunk in answer.chunks for row in chunk]
    gc.collect()
    assert rows
    assert not any(map(gc.is_tracked, rows))


def test_what_is_loaded_is_never_searched_again() -> None:
    script = (
        "import gc, prompt_toolkit\n"
        "from nshell.shell.pauses import spare_what_is_loaded\n"
        "spare_what_is_loaded()\n"
        "print(len(gc.get_objects()), gc.get_freeze_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    left, frozen = map(int, done.stdout.split())
    assert left < 1_000 < 10_000 < frozen
