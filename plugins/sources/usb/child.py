"""The camera's process: ``python -m plugins.sources.usb.child WISHES``. Opens the camera, hands out pictures.

Whatever goes wrong is told, and ends it; the agent starts another. It ends as well when its standard input does: then
the agent wants it gone, or is gone itself, however it died.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import Any

from plugins.sources.usb.capture import Capture, Wishes
from plugins.sources.usb.wire import Lost, pack

GLANCE = 2.0
"""Seconds between two looks whether the camera is still plugged in, while nobody wants a picture."""
MOST_WAITING = 4


def main() -> None:
    out = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not get between the messages
    requests: queue.Queue[dict[str, Any]] = queue.Queue(MOST_WAITING)
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    try:
        _serve(Wishes(**json.loads(sys.argv[1])), requests, out)
    except Lost as lost:
        _tell(out, pack({"is": "fault", "why": lost.why, "detail": lost.detail[:500]}))


def _serve(wishes: Wishes, requests: queue.Queue[dict[str, Any]], out: int) -> None:
    capture = Capture(wishes)
    _tell(out, pack({"is": "opened"}))
    while True:
        try:
            request = requests.get(timeout=GLANCE)
        except queue.Empty:
            capture.check()
        else:
            _tell(out, pack(*capture.picture(float(request["since"]))))


def _listen(requests: queue.Queue[dict[str, Any]]) -> None:
    """In a thread: the main one may hang in a driver, and that must not keep this process alive."""
    rest = b""
    while chunk := os.read(0, 4096):  # not sys.stdin: its lock, held here, would be waited for at the end
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            requests.put_nowait(json.loads(line))
    os._exit(0)


def _tell(out: int, message: bytes) -> None:
    rest = memoryview(message)
    while rest:
        rest = rest[os.write(out, rest) :]


if __name__ == "__main__":
    main()
