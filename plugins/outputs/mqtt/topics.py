"""Where each message goes, and what this camscribe and its parts are called in Home Assistant."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

OF_A_CAMERA = ("state", "picture", "health", "answer", "availability")
"""What a broker keeps of a camera."""
HUB = "hub"


class Topics(NamedTuple):
    """design's table of topics. ``prefix``: where Home Assistant looks for announcements."""

    base: str
    prefix: str = "homeassistant"

    @property
    def status(self) -> str:
        return f"{self.base}/status"

    @property
    def hub(self) -> str:
        return self.of(HUB, "state")

    @property
    def refused(self) -> str:
        """Commands that were not obeyed, and why."""
        return self.of(HUB, "refused")

    @property
    def marker(self) -> str:
        """A command to ourselves: see Link.kept."""
        return self.of(HUB, "sync/set")

    @property
    def commands(self) -> str:
        return f"{self.base}/+/+/set"

    def of(self, camera: str, what: str) -> str:
        return f"{self.base}/{camera}/{what}"

    @property
    def node(self) -> str:
        """What all ids in Home Assistant begin with: another one for each base topic."""
        slug = re.sub(r"[^a-z0-9]+", "_", self.base.lower()).strip("_")
        if slug == self.base and "_" not in slug:  # or camera door of cam_front were front_door of cam
            return slug
        return f"{slug or 'camscribe'}_{hashlib.sha256(self.base.encode()).hexdigest()[:6]}"

    def announcement(self, device: str) -> str:
        """Of a camera, or the hub. ``+``: all of them."""
        return f"{self.prefix}/device/{self.node}/{device}/config"
