"""docs/configuration.md and `help config` say what nshell.config does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nshell.config import TABLES, load
from nshell.shell.help.pages import config_page
from nshell.shell.prompt.history import MOST_ENTRIES
from nshell.shell.settings import CHOICES

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"
TEXT = DOCUMENT.read_text()


def rows(table: str) -> dict[str, list[str]]:
    """Cells by key, of the table below the heading of that name."""
    section = re.split(r"^#+ ", TEXT, flags=re.MULTILINE)
    (found,) = [part for part in section if part.startswith(f"`[{table}]`")]
    lines = re.findall(r"^\| `(\w+)` \|(.*)\|$", found, re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in lines}


@pytest.mark.parametrize("table", TABLES)
def test_every_key_is_explained_with_its_default_and_variables(table: str) -> None:
    told = rows(table)
    assert list(told) == list(TABLES[table])
    for name, key in TABLES[table].items():
        *_, default, variables, text = told[name]
        assert default.strip("`") == key.default
        assert re.findall(r"`(\w+)`", variables) == [v for v in (key.variable, key.left_to) if v]
        assert text.endswith(".")


def test_every_word_of_a_setting_is_there() -> None:
    told = rows("shell")
    for choice in CHOICES.values():
        assert re.findall(r"`(\w+)`", told[choice.name][0]) == list(choice.words)


def test_the_example_is_a_file_that_is_read_and_has_every_key(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "config.toml").write_text(example)
    found = load(tmp_path / "config.toml", {})
    assert list(found.shell) == list(TABLES["shell"])
    assert list(found.cluster) == list(TABLES["cluster"])


def test_the_number_of_lines_kept_is_the_one_told() -> None:
    assert f"the last {MOST_ENTRIES:,}" in TEXT


def test_help_config_has_every_key_and_variable() -> None:
    page = config_page()
    for keys in TABLES.values():
        for key in keys.values():
            assert re.search(rf"^  {key.name} .*{re.escape(key.default)}", page, re.MULTILINE)
            assert key.variable in page
            assert key.left_to in page
