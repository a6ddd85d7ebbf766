"""Where an earlier config had everything at the broker: what is changed there would leave ghosts behind."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from plugins.outputs.mqtt.topics import Topics


class Former:
    """A small file beside the client id. Its methods block, and a disk that fails them costs a ghost at most."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def topics(self, now: Topics) -> Topics | None:
        """Those of before, where they were others."""
        with suppress(OSError, ValueError, TypeError):
            found = Topics(**json.loads(self._path.read_text()))
            return found if found != now else None
        return None

    def note(self, now: Topics) -> None:
        """From here on these are in use."""
        text = json.dumps(now._asdict())
        with suppress(OSError):
            if not self._path.exists() or self._path.read_text() != text:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.write_text(text)
