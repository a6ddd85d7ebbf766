"""The demo's camera: which scene is on when, and a picture of it."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import Field

from agent.plugin import CameraState, Context, Frame, Moment, Pixels, PluginConfig, Source
from plugins.sources.demo.scenes import Scene, caption, draw, random_scene

SWAY = 0.006
"""How far a thing moves to and fro, as a share of the picture's width: visible, too little for another caption."""
SWAY_SECONDS = 3.0


class DemoConfig(PluginConfig):
    """Drawn scenes of a doorstep: people, cars, animals, parcels, by day and by night."""

    seed: int = 0
    """The same seed shows the same scenes in the same order."""
    seconds_a_scene: float = Field(default=5.0, ge=0.1, le=86400)
    """How long each scene lasts, in seconds."""
    width: int = Field(default=640, ge=64, le=1920)
    """The picture's width in pixels."""
    height: int = Field(default=480, ge=64, le=1920)
    """The picture's height in pixels."""


class DemoSource(Source[DemoConfig]):
    """Draws the scene that is on at each look, and logs the truth about it the first time."""

    schemes = ("demo",)

    @classmethod
    def from_short(cls, text: str) -> Mapping[str, Any]:
        """``demo``, or ``demo:7`` for the scenes of seed 7."""
        _, _, seed = text.partition(":")
        return {"seed": seed} if seed else {}

    def __init__(self, config: DemoConfig, context: Context, now: Callable[[], Moment] = Moment.now) -> None:
        super().__init__(config, context)
        self._now = now
        self._began: Moment | None = None
        self._told = -1
        self._artist = ThreadPoolExecutor(1, thread_name_prefix=f"draw-{context.name}")  # starts at the first picture

    async def run(self) -> None:
        """Nothing to keep alive; at the end the drawing thread is let go."""
        try:
            await asyncio.Event().wait()
        finally:
            self._artist.shutdown(wait=False)

    async def take(self, timeout: float) -> Frame:  # noqa: ARG002  a drawing takes milliseconds
        taken = self._now()
        if self._began is None:
            self._began = taken
            self.context.report(CameraState.LIVE, "")
        elapsed = taken.monotonic - self._began.monotonic
        number = math.floor(elapsed / self.config.seconds_a_scene)
        scene = self.scene(number)
        self._tell(number, scene, taken.plus(number * self.config.seconds_a_scene - elapsed))
        drawing = asyncio.get_running_loop().run_in_executor(self._artist, self._picture, number, scene, elapsed)
        return Frame(self.context.name, await drawing, taken, f"scene {number}")

    def scene(self, number: int) -> Scene:
        """Mostly one thing at a time: of two, the tiny model mixes up one in forty."""
        return random_scene(self._rng("scene", number), blank=0.0, empty=0.12, two=0.15)

    def _tell(self, number: int, scene: Scene, began: Moment) -> None:
        if number == self._told:
            return
        self._told = number
        truth = caption(scene)
        # Cut to milliseconds as the observation's taken_at is, so that no frame seems older than its scene.
        began_at = began.wall.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.log.info("scene %d: %s", number, truth, extra={"scene": number, "truth": truth, "began_at": began_at})

    def _picture(self, number: int, scene: Scene, elapsed: float) -> Pixels:
        sway = SWAY * math.sin(2 * math.pi * elapsed / SWAY_SECONDS)
        things = tuple(replace(thing, across=thing.across + sway) for thing in scene.things)
        size = self.config.width, self.config.height
        return np.asarray(draw(replace(scene, things=things), *size, self._rng("picture", number)), np.uint8)

    def _rng(self, what: str, number: int) -> random.Random:
        return random.Random(f"{what} {self.config.seed} {number}")  # noqa: S311  a drawing, not a secret
