"""Observations and deliveries as the agent would hand them to an output, and a home that an output may speak for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.plugin import (
    CameraInfo,
    CameraState,
    CommandRefused,
    Context,
    Delivery,
    Failure,
    HomeState,
    Moment,
    Observation,
)
from agent.values import Latency, LookError, PictureFacts

PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4 + b"\xff\xd9"
"""JPEG enough for an output: it never looks inside."""
START = datetime(2026, 11, 22, 18, 4, 5, 123_000, tzinfo=UTC)


def observation(number: int = 1, caption: str | None = "A person stands at the door.", **fields: Any) -> Observation:
    """The ``number``-th look; failed where ``caption`` is None."""
    failed = LookError(kind=Failure.TIMEOUT, message="The camera sent no picture within 5 s.")
    given: dict[str, Any] = {
        "id": f"019a0000-0000-7000-8000-{number:012d}",
        "camera": "front_door",
        "reason": "schedule",
        "taken_at": START + timedelta(seconds=number),
        "finished_at": START + timedelta(seconds=number, milliseconds=770),
        "caption": caption,
        "error": failed if caption is None else None,
        "captioner": "default",
        "model": "smolvlm-500m",
        "prompt": "Describe who is at the door.",
        "tokens": 14,
        "latency_ms": Latency(capture=8, queue=3, encode=4, image=410, generate=320, other=25, total=770),
        "picture": None if caption is None else PictureFacts(width=1280, height=720, sha256="ab" * 32, path="x.jpg"),
    }
    return Observation(**{**given, **fields})


def delivery(number: int = 1, caption: str | None = "A person stands at the door.", **fields: Any) -> Delivery:
    newest, picture, age = fields.pop("newest", True), fields.pop("picture", PICTURE), fields.pop("age", 0.0)
    look = observation(number, caption, **fields)
    return Delivery(number, look, picture if look.picture else None, newest, age)


class Hand:
    """Hands deliveries to ``deliver`` and remembers which were confirmed; ends when told, as a stopping agent does."""

    def __init__(self, deliveries: Iterable[Delivery] = (), *, stay: bool = False) -> None:
        self.confirmed: list[int] = []
        self._news = asyncio.Condition()
        self._waiting: asyncio.Queue[Delivery | None] = asyncio.Queue()
        for one in deliveries:
            self.give(one)
        if not stay:
            self.stop()

    def give(self, one: Delivery) -> None:
        self._waiting.put_nowait(one)

    def stop(self) -> None:
        self._waiting.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        while one := await self._waiting.get():
            yield one
            self.confirmed.append(one.seq)
            async with self._news:
                self._news.notify_all()

    async def confirms(self, count: int, seconds: float = 15) -> None:
        """Wait until ``count`` deliveries are confirmed."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: len(self.confirmed) >= count)


class OneHome:
    """A home of one or more cameras: a real implementation of ``agent.plugin.Home``, small enough to read."""

    def __init__(self, *cameras: str) -> None:
        self.commands: list[tuple[str | None, str, str]] = []
        self.asked: list[tuple[str, str | None]] = []
        self.may_look = asyncio.Event()
        """A look that is asked for waits for it."""
        self.may_look.set()
        self._touched = asyncio.Event()
        self._state = HomeState(
            version="0.1.0",
            engine="ready",
            captions_per_minute=12.0,
            queued=0,
            dropped=3,
            cameras={id_: _camera(id_) for id_ in cameras or ("front_door",)},
        )

    @property
    def state(self) -> HomeState:
        return self._state

    def set(self, camera: str, **fields: Any) -> None:
        changed = replace(self._state.cameras[camera], **fields)
        self._state = replace(self._state, cameras={**self._state.cameras, camera: changed})
        self.touch()

    def touch(self, **fields: Any) -> None:
        self._state = replace(self._state, **fields)
        self._touched.set()
        self._touched = asyncio.Event()

    async def changes(self) -> AsyncIterator[HomeState]:
        while True:
            touched = self._touched
            yield self._state
            await touched.wait()

    async def look(self, camera: str, prompt: str | None = None) -> Observation:
        self.asked.append((camera, prompt))
        if prompt is not None and not prompt.strip():
            raise CommandRefused("A prompt is a text of 1 to 4000 characters.")
        await self.may_look.wait()
        return observation(len(self.asked), camera=camera, prompt=prompt, ad_hoc=prompt is not None)

    async def command(self, camera: str | None, name: str, value: str) -> None:
        if name == "every" and not value.endswith("s"):
            raise CommandRefused("every is a duration such as 30s, 5m or 1h.")
        self.commands.append((camera, name, value))
        if camera is None:
            self.touch(**({"paused": value == "ON"} if name == "paused" else {"log_level": value}))
        elif name == "enabled":
            self.set(camera, enabled=value == "ON")
        elif name == "every":
            self.set(camera, every=float(value[:-1]))
        elif name == "prompt":
            self.set(camera, prompt=value)


def _camera(id_: str) -> CameraInfo:
    return CameraInfo(
        id=id_,
        name=id_.replace("_", " ").capitalize(),
        area=None,
        online=True,
        state=CameraState.LIVE,
        since=Moment(0.0, START),
        problem=None,
        enabled=True,
        every=30.0,
        prompt="Describe who is at the door.",
        last=None,
    )


def context(folder: Path, name: str = "out", home: OneHome | None = None) -> Context:
    return Context(name, logging.getLogger(f"camscribe.output.{name}"), folder, folder, home=home)
