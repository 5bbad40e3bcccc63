"""Queries that are asked again and again: `watch` on the screen, `alert` behind the prompt."""
