"""The commands that NetObserv's CLI has, `flows` and `packets`, with its option names.

Invariant: a word that is wrong is refused before anything is started; a word that
is right is never ignored.
"""
