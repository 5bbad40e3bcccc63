"""Named queries: those that come with the program, and those that a user saves."""

from nshell.shell.queries.library import Library, Query

__all__ = ["Library", "Query"]
