"""The filter language: words as typed after ``filter`` become a ``Rule``, or one
line that says what is wrong. It knows nothing of BPF, RPC or storage."""

from __future__ import annotations

from nshell.filters.errors import FilterError
from nshell.filters.needs import needs_cluster
from nshell.filters.parse import parse_rule
from nshell.filters.predicates import PREDICATES, Predicate
from nshell.filters.rule import MAX_RULES, Direction, FlagMatch, Prefix, Range, Rule
from nshell.filters.selectors import Labelled, Named, OwnedBy, Selectors
from nshell.filters.words import is_name, name_in, split_words

__all__ = [
    "MAX_RULES",
    "PREDICATES",
    "Direction",
    "FilterError",
    "FlagMatch",
    "Labelled",
    "Named",
    "OwnedBy",
    "Predicate",
    "Prefix",
    "Range",
    "Rule",
    "Selectors",
    "is_name",
    "name_in",
    "needs_cluster",
    "parse_rule",
    "split_words",
]
