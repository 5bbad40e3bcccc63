"""What commands of other shells are called here, for whose fingers know those."""

from __future__ import annotations

_OURS = {
    "\\d": "`tables`, or `schema TABLE`",
    "\\dt": "`tables`",
    "\\dv": "`tables`",
    "\\x": "`set expanded on`, or `\\G` behind a query",
    "\\timing": "`set timing on|off`",
    "\\pset": "`set format`, `set pager`",
    "\\watch": "`watch [2s] SELECT ...`",
    "\\i": "`source FILE`",
    "\\copy": "`export csv FILE SELECT ...`",
    "\\o": "`export csv FILE SELECT ...`",
    "\\s": "`history`",
    "\\e": "Ctrl-X Ctrl-E",
    "\\h": "`help COMMAND`",
    "\\?": "`help`",
    "\\q": "`quit`",
    ".tables": "`tables`",
    ".schema": "`schema TABLE`",
    ".mode": "`set format`",
    ".timer": "`set timing on|off`",
    ".last": "`last`",
    ".read": "`source FILE`",
    ".output": "`export csv FILE SELECT ...`",
    ".help": "`help`",
    ".quit": "`quit`",
    ".exit": "`quit`",
    "show": "`tables`, or `schema TABLE`",
    "describe": "`schema TABLE`",
    "desc": "`schema TABLE`",
    "tail": "`view`, or `watch SELECT ...`",
    "clear": "Ctrl-L; filters go with `filter clear`",
    "bye": "`quit`",
}


def called_here(word: str) -> str:
    """A tail for an error line: what it is here, or nothing."""
    ours = _OURS.get(word.lower().rstrip("+"))
    return f": here it is {ours}" if ours else ""
