"""How far a request for a picture has come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """What a deadline means depends on it."""

    connected: bool = False
    answered: bool = False
    """The first byte behind the head has come."""
    pictures: bool = False
    """A stream has begun to send them."""
