"""Function names by address, from the kernel's own table and from made ones."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from agent.kernel.symbols import KALLSYMS, look_up

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.kernel
def test_addresses_inside_functions_are_named() -> None:
    functions = [
        (int(line[:16], 16), line.split()[2])
        for line in KALLSYMS.read_text().splitlines()
        if line[17] in "tT"
    ]
    starts = sorted({address for address, _ in functions})
    chosen = random.Random(1).sample(range(len(starts) - 1), 50)
    inside = {starts[i] + (starts[i + 1] - starts[i]) // 2: starts[i] for i in chosen}
    names = look_up(list(inside))
    for address, start in inside.items():
        name, _, offset = names[address].rpartition("+")
        assert (start, name) in functions
        assert int(offset, 16) == address - start


def test_hidden_and_missing_tables_name_nothing(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.write_text("0000000000000000 T kfree\n0000000000000000 t other\n")
    assert look_up([0xFFFFFFFF81000000], hidden) == {}
    assert look_up([1], tmp_path / "none") == {}


def test_an_address_far_from_any_function_has_no_name(tmp_path: Path) -> None:
    table = tmp_path / "kallsyms"
    table.write_text("ffffffff81000000 T first\nffffffff81000100 D data\nffffffff81000200 t last\n")
    far = 0xFFFFFFFF81000000 + (1 << 24)
    near = 0xFFFFFFFF81000110
    assert look_up([near, far, 0x10], table) == {near: "first+0x110"}
