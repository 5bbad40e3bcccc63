"""What a collector must know again after a crash and what no table holds.

Invariant: the file is whole at every moment; it is written before an agent is
told of a change, so that no two generations ever share a number.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_LOG = logging.getLogger(__name__)
STATE_NAME = "session_state"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class SavedGeneration:
    """A filter set that agents may still send rows of."""

    number: int
    changed_ns: int
    sampling: int
    filters: tuple[int, ...]
    """Their ids, by position; the filter log has the rest."""


@dataclass(frozen=True, slots=True)
class SavedRun:
    """The present run of a node's agent, and what earlier ones came to."""

    run_id: str
    counters: dict[str, int] = field(default_factory=dict)
    hits: tuple[tuple[int, int, int, int, int], ...] = ()
    """Generation, position, kind, packets, bytes."""


@dataclass(frozen=True, slots=True)
class SavedState:
    """Of a session."""

    started_ns: int
    generation: int = 0
    next_id: int = 1
    filters: tuple[tuple[int, str], ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    generations: tuple[SavedGeneration, ...] = ()
    runs: dict[str, SavedRun] = field(default_factory=dict)
    ended: str = ""
    detached: bool = False
    waits_since_ns: int = 0
    grown_bytes: int = 0
    over: str = ""
    """Why the session is over: what is left of it is to be removed."""


class StateFile:
    """In the session's directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / STATE_NAME
        self._written = ""

    def write(self, state: SavedState) -> None:
        """Replace it; a disk that does not take it keeps nothing from going on."""
        text = to_text(state)
        if text == self._written:
            return
        new = self._path.with_name(f"{STATE_NAME}.new")
        try:
            new.write_text(text, encoding="utf-8")
            os.replace(new, self._path)  # noqa: PTH105 - the same, said plainly
        except OSError as error:
            _LOG.error("cannot write %s: %s", self._path, error)
            return
        self._written = text

    def read(self) -> SavedState | None:
        """None where there is none, or none that can be read."""
        try:
            return from_text(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            _LOG.error("cannot read %s: %s", self._path, error)
            return None


def to_text(state: SavedState) -> str:
    """As JSON."""
    return json.dumps({"format": _FORMAT, **asdict(state)}, ensure_ascii=False)


def from_text(text: str) -> SavedState:
    """The same again; ValueError, TypeError, KeyError or AttributeError where it is none."""
    read: dict[str, Any] = json.loads(text)
    if read["format"] != _FORMAT:
        raise ValueError(f"format {read['format']}")
    plain = {each.name: read[each.name] for each in fields(SavedState)}
    return SavedState(
        **plain
        | {
            "filters": _pairs(read["filters"]),
            "generations": tuple(
                SavedGeneration(**each | {"filters": tuple(each["filters"])})
                for each in read["generations"]
            ),
            "runs": {
                node: SavedRun(run["run_id"], run["counters"], tuple(map(tuple, run["hits"])))
                for node, run in read["runs"].items()
            },
        }
    )


def _pairs(read: list[list[Any]]) -> tuple[tuple[int, str], ...]:
    return tuple((int(number), str(text)) for number, text in read)
