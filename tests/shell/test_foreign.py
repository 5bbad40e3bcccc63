"""Words of other shells: what they are called here is there."""

from __future__ import annotations

import re

from nshell.shell import foreign
from nshell.shell.commands import build_registry


def test_every_hint_names_a_command_that_there_is() -> None:
    registry = build_registry()
    for word, hint in foreign._OURS.items():
        assert word.lower() not in registry.names()
        for line in re.findall(r"`([a-z][^`]*)`", hint):
            assert registry.name_of(line) in registry.names(), line
