"""Whom an output trusts, and what it says where that can't be known."""

from __future__ import annotations

from agent.plugin import OutputUnavailable
from plugins.tls import Named, Tls, UnusableFile

FIX_FIRST = 60.0
"""Seconds until the next try where somebody has to change something first: a file, a password, an address."""


def trust(tls: Tls) -> Named:
    """Reads files, so call it in a thread. Raises OutputUnavailable."""
    try:
        return tls.context()
    except UnusableFile as error:
        raise OutputUnavailable(str(error), FIX_FIRST) from None
