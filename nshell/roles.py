"""Who a peer is, as its certificate says: a URI among its subject's other names.

Invariant: imports nothing; those who make certificates and those who check them
mean the same words.
"""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a certificate allows its holder to be."""

    AGENT = "urn:netobserv:agent"
    SHELL = "urn:netobserv:shell"
