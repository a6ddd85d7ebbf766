"""The command: thin, calls in."""

from __future__ import annotations


def bench() -> None:
    """The same pictures through each captioner."""
