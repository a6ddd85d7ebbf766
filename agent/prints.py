"""The pictures made of a frame, each once: looks with other prompts and fallbacks ask for the same ones again."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Any, TypeVar

from agent.values import Pixels

T = TypeVar("T")


class Prints:
    """What was made of a frame, for as long as that frame is somebody's. To be asked from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: dict[int, tuple[weakref.ref[Pixels], dict[Hashable, Future[Any]]]] = {}

    def __len__(self) -> int:
        return len(self._made)

    def once(self, frame: Pixels, what: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives; asked again, the same. It must not hold the frame, which would then never go."""
        with self._lock:
            made = self._of(frame)
            future = made.get(what)
            mine = future is None
            if future is None:
                future = made[what] = Future()
        if mine:
            try:
                future.set_result(make())
            except BaseException as error:
                future.set_exception(error)
                made.pop(what)  # an error knows where it was raised, and so holds the frame
                raise
        result: T = future.result()
        return result

    def _of(self, frame: Pixels) -> dict[Hashable, Future[Any]]:
        number = id(frame)
        known = self._made.get(number)
        if known is not None and known[0]() is frame:
            return known[1]
        made: dict[Hashable, Future[Any]] = {}
        self._made[number] = weakref.ref(frame, lambda gone: self._forget(number, gone)), made
        return made

    def _forget(self, number: int, gone: weakref.ref[Pixels]) -> None:
        """No lock: this may run at any moment, within ``once`` too. Another frame may have the number already."""
        known = self._made.get(number)
        if known is not None and known[0] is gone:
            self._made.pop(number, None)
