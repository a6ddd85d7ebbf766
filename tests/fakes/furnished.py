"""A home that looks lived in: cameras of several kinds with drawn pictures, for the pages' tests and their pictures."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from agent.camera import Camera
from agent.errors import Failure, FrameUnavailable
from agent.plugin import Answer, LookError, Observation
from agent.values import CameraState, CaptionRequest, Frame, Geometry, Latency, Moment, PictureFacts, SentFacts
from tests.fakes.looking import ScriptedSource
from tests.fakes.observations import observation
from tests.fakes.scenes import as_sent, known_scenes
from tests.fakes.website import Website, website

QUESTIONS = {
    "person": {"type": "boolean", "ask": "Is there a person?"},
    "cars": {"type": "number", "ask": "How many cars are there?", "max": 4},
    "parcel": {"type": "choice", "ask": "Where is the parcel?", "options": ["on the step", "in the hands", "nowhere"]},
}
CAMERAS: Mapping[str, Mapping[str, Any]] = {
    "front_door": {"name": "Front door", "area": "Entrance", "every": 30.0, "questions": QUESTIONS},
    "driveway": {"name": "Driveway", "area": "Outside", "every": 60.0, "questions": {"cars": QUESTIONS["cars"]}},
    "garage": {"name": "Garage", "cron": "*/5 8-18 * * mon-fri"},
    "nursery": {"name": "Nursery", "area": "Upstairs"},
}


@dataclass
class Scene:
    """What a camera shows until it shows another."""

    caption: str
    picture: Image.Image

    @cached_property
    def jpeg(self) -> bytes:
        file = io.BytesIO()
        self.picture.save(file, "JPEG", quality=80)
        return file.getvalue()


@dataclass(frozen=True)
class _Stopped:
    """The journal's clock while it is told of something past."""

    moment: Moment

    def now(self) -> Moment:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@dataclass
class Furnished:
    """``site`` with its cameras; ``past`` fills the journal, ``show`` changes what a camera sees from now on."""

    site: Website
    scenes: Iterator[Scene]
    shown: dict[str, Scene] = field(default_factory=dict)
    _running: list[asyncio.Task[None]] = field(default_factory=list)

    def add(self, id_: str, **options: Any) -> Camera:
        """A camera that looks when it is asked."""
        camera = self.site.desk.camera(id=id_, **options)
        self.shown[id_] = next(self.scenes)
        source = camera.source
        assert isinstance(source, ScriptedSource)
        source.give = lambda: self._frame(id_)
        self.site.house.receive(camera)
        camera.report(CameraState.LIVE, "")
        self._running.append(asyncio.create_task(camera.run()))
        self.site.house.touch()
        return camera

    def _frame(self, id_: str) -> Frame:
        return Frame(id_, np.asarray(self.shown[id_].picture), self.site.desk.clock.now())

    def breaks(self, id_: str, state: CameraState, failure: Failure, sentence: str) -> None:
        """From now on each of its looks fails."""

        def give() -> Frame:
            raise FrameUnavailable(failure, sentence)

        camera = self.site.house.cameras[id_]
        assert isinstance(camera.source, ScriptedSource)
        camera.source.give = give
        camera.report(state, sentence)
        camera.looked(self.failed(id_, failure, sentence, self.site.desk.clock.now().wall))
        self.site.house.touch()

    @property
    def sent(self) -> bytes:
        """A picture as a model gets it."""
        return as_sent(next(self.scenes).picture, 96)

    async def past(
        self,
        id_: str,
        when: datetime | None = None,
        scene: Scene | None = None,
        sent: bytes | None = None,
        **facts: Any,
    ) -> Observation:
        """It saw this then; the picture that the model got was kept where there is one."""
        scene = scene or next(self.scenes)
        jpeg = scene.jpeg
        rng = random.Random(scene.caption)
        parts = {"capture": 8, "queue": rng.randrange(40), "encode": 5, "image": 380 + rng.randrange(90)}
        parts |= {"generate": 240 + rng.randrange(150), "other": 20}
        total = sum(parts.values())
        end = when or self.site.desk.clock.now().wall
        facts = {
            "captioner": "default",
            "model": "smolvlm-500m",
            "prompt": "Describe what you see in one short sentence.",
            "tokens": 14,
            "answers": _answers(self.site.house.cameras[id_], scene.caption, rng),
            **facts,
        }
        made = observation(
            id_, facts.pop("caption", scene.caption), taken_at=end - timedelta(milliseconds=total), **facts
        )
        made = made.model_copy(
            update={
                "finished_at": end,
                "latency_ms": Latency(**parts, total=total),
                "picture": PictureFacts(
                    width=scene.picture.width, height=scene.picture.height, sha256=hashlib.sha256(jpeg).hexdigest()
                ),
                "sent": SentFacts(width=512, height=512, geometry=Geometry.SQUARE, sha256="0" * 64),
            }
        )
        return await self._record(made, jpeg, sent)

    async def past_failure(self, id_: str, failure: Failure, sentence: str, when: datetime) -> Observation:
        return await self._record(self.failed(id_, failure, sentence, when), None)

    def failed(self, id_: str, failure: Failure, sentence: str, when: datetime) -> Observation:
        made = observation(id_, None, taken_at=when - timedelta(seconds=5))
        late = Latency(capture=5000, queue=0, encode=0, image=0, generate=0, other=0, total=5000)
        error = LookError(kind=failure, message=sentence)
        return made.model_copy(update={"error": error, "finished_at": when, "latency_ms": late})

    async def _record(self, made: Observation, jpeg: bytes | None, sent: bytes | None = None) -> Observation:
        journal, now = self.site.journal, self.site.journal._clock
        ago = (now.now().wall - made.finished_at).total_seconds()
        journal._clock = _Stopped(now.now().plus(-ago))
        try:
            kept = await journal.record(made, jpeg, sent)
        finally:
            journal._clock = now
        self.site.house.cameras[made.camera].looked(kept)
        self.site.house.captioned()
        self.site.house.touch()
        return kept

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)


def _answers(camera: Camera, caption: str, rng: random.Random) -> dict[str, Answer]:
    known = {
        "person": any(word in caption for word in ("person", "man", "woman", "child")),
        "cars": int("car" in caption),
        "parcel": "on the step" if "package" in caption or "parcel" in caption else "nowhere",
    }
    asked = [name for name in camera.settings.questions if name in known]
    return {name: Answer(value=known[name], confidence=round(rng.uniform(0.81, 0.99), 4)) for name in asked}


def drawn_scenes(count: int, size: tuple[int, int] = (960, 540), seed: int = 3) -> list[Scene]:
    return [Scene(caption[0].upper() + caption[1:], picture) for caption, picture in known_scenes(count, seed, size)]


@asynccontextmanager
async def furnished(
    folder: Path, cameras: Mapping[str, Mapping[str, Any]] = CAMERAS, scenes: list[Scene] | None = None
) -> AsyncIterator[Furnished]:
    """Running, at ``site.url``, with nothing seen yet."""
    scenes = scenes or await asyncio.to_thread(drawn_scenes, 6)
    async with website(folder, ("door",)) as site:
        site.house.cameras.clear()  # a config has one at least
        home = Furnished(site, cycle(scenes))

        def say(request: CaptionRequest) -> str:
            return home.shown[request.camera].caption

        site.desk.captioner.say = say
        try:
            for id_, options in cameras.items():
                home.add(id_, **options)
            yield home
        finally:
            await home.close()
