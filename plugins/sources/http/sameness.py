"""Whether a camera shows the very same picture, byte for byte, again and again.

No living camera does: noise alone makes every JPEG another. So it hangs, or somebody hands out its last picture, or a
drawing that says it is offline. But an honest drawing does the same, and only a person can tell: it is said, and no
picture is refused for it.
"""

from __future__ import annotations

from dataclasses import dataclass

ENOUGH = 3
"""Looks that agree, at least."""


@dataclass(slots=True)
class Sameness:
    _picture: int | None = None
    _since: float = 0.0
    _count: int = 0

    def is_known(self, data: bytes) -> bool:
        """It is the last look's picture."""
        return self._picture == hash(data)

    def seconds(self, data: bytes, now: float) -> float:
        """For how long it has been the same, by the looks at it."""
        known = hash(data)
        if known != self._picture:
            self._picture, self._since, self._count = known, now, 0
        self._count += 1
        return now - self._since if self._count >= ENOUGH else 0.0
