"""What can be observed beside flows and packets: the names, and how they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.shell.errors import CommandError, did_you_mean
from nshell.shell.kinds import Candidate, Fragment, Kind, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nshell.shell.words import Cursor

FEATURES = {
    "dns": "DNS queries and responses",
    "drops": "packets that the kernel drops, and why",
    "rtt": "round-trip times of TCP",
    "tcp": "retransmits, resets and state changes of TCP",
}
"""Name to what it shows."""


def feature_named(word: str) -> str:
    """The feature; CommandError, with the nearest one, where there is none of that name."""
    if word not in FEATURES:
        near = did_you_mean(word, FEATURES) or f": there are {', '.join(FEATURES)}"
        raise CommandError(f"unknown feature {word!r}{near}")
    return word


class FeatureNames(Kind["tuple[str, ...]"]):
    """One feature or more, each once; commas are as good as blanks."""

    takes_rest = True

    shown = f"{'|'.join(FEATURES)}..."

    def take(self, cursor: Cursor) -> tuple[str, ...]:
        words = [part for word in cursor.rest() for part in word.split(",") if part]
        if not words:
            raise CommandError(f"which feature? there are {', '.join(FEATURES)}")
        return tuple(dict.fromkeys(feature_named(word.lower()) for word in words))

    def complete(self, at: Fragment, world: World) -> Iterable[Candidate]:  # noqa: ARG002
        *before, last = at.word.split(",")
        used = {*before, *(part for word in at.before for part in word.split(","))}
        return [
            Candidate(name, summary, replaces=len(last))
            for name, summary in FEATURES.items()
            if name not in used
        ]

    def paint(self, words: Sequence[str], world: World) -> Sequence[str]:  # noqa: ARG002
        right = ({*word.lower().split(","), ""} <= {*FEATURES, ""} for word in words)
        return ["keyword" if each else "wrong" for each in right]
