"""What outlives a connection: a broker that comes back may have forgotten everything."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from agent.plugin import Observation

MOST_WARNED = 1000


@dataclass
class Shown:
    """What a camera's state and picture topics are about."""

    look: Observation | None
    jpeg: bytes | None
    there: bool
    """The picture topic holds this look's picture, as far as we know."""


@dataclass
class Memory:
    shown: dict[str, Shown] = field(default_factory=dict)
    """Each camera's last good look that was delivered as the newest."""
    before: dict[str, Observation | None] = field(default_factory=dict)
    """The look whose answers each camera's events have told; at the start, the last of the run before."""
    there: dict[str, dict[str, str]] = field(default_factory=dict)
    """What Home Assistant was told of: the platforms of each device's components."""
    warned: set[str] = field(default_factory=set)

    def once(self, log: logging.Logger, about: str, message: str, *args: object) -> None:
        """A warning that would otherwise come with every connection or every picture."""
        if about not in self.warned and len(self.warned) < MOST_WARNED:
            self.warned.add(about)
            log.warning(message, *args)
