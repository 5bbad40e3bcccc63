"""Makes captured text harmless before it reaches a terminal.

Names and payloads come from strangers: every text layout, notice, toolbar and
menu goes through here; csv and json carry raw values and do not.
"""

from __future__ import annotations

import unicodedata


class _Table(dict[int, str]):
    """For str.translate: works out each character once."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        # Cc: ESC, C0, DEL, C1. Cf: bidi controls and other invisible ones.
        # Zl, Zp: breaks a terminal may honour. Cs: would not encode.
        hostile = unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs")
        shown = _escaped(character) if hostile else character
        self[code] = shown
        return shown


def _escaped(character: str) -> str:
    code = ord(character)
    if character in "\t\n\r":
        return {"\t": "\\t", "\n": "\\n", "\r": "\\r"}[character]
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


_LINE = _Table()
_BLOCK = _Table({ord("\n"): "\n"})


def escape(text: str) -> str:
    """One line of it, every control and bidi character written out."""
    return text if text.isascii() and text.isprintable() else text.translate(_LINE)


def escape_block(text: str) -> str:
    """The same, line breaks kept: for text of ours with foreign words in it."""
    return text.translate(_BLOCK)
