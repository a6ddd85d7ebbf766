"""What is behind the things: sky, ground, house or fence, trees."""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import ImageDraw

from plugins.sources.demo.doorstep import Time
from plugins.sources.demo.pen import NIGHT_SKY, Light, Rgb, brighten, rgb

_SKIES: tuple[Rgb, ...] = ((110, 170, 235), (150, 190, 230), (190, 205, 215), (205, 205, 205), (240, 190, 140))
_WALLS: tuple[Rgb, ...] = ((205, 190, 165), (175, 120, 95), (215, 215, 210), (150, 160, 170), (190, 170, 120))
_ROOFS: tuple[Rgb, ...] = ((110, 60, 50), (80, 80, 85), (90, 75, 60))
_FENCES: tuple[Rgb, ...] = ((170, 130, 85), (200, 195, 185), (120, 90, 60))


def draw_yard(canvas: ImageDraw.ImageDraw, time: Time, width: int, height: int, rng: random.Random) -> None:
    """The order of the draws is part of the recipe, see ``random_scene``."""
    horizon = int(rng.uniform(0.42, 0.58) * height)
    yard = _Yard(canvas, time, width, height, horizon, rng, _light(time, rng))
    yard.sky()
    yard.ground()
    what = rng.random()
    if what < 0.45:
        yard.house()
    elif what < 0.75:
        yard.fence()
    for _ in range(rng.randrange(0, 4)):
        yard.tree()


def _light(time: Time, rng: random.Random) -> Light:
    return Light(rng.uniform(0.24, 0.40), NIGHT_SKY) if time == "night" else Light(rng.uniform(0.82, 1.0))


@dataclass(frozen=True, slots=True)
class _Yard:
    canvas: ImageDraw.ImageDraw
    time: Time
    width: int
    height: int
    horizon: int
    rng: random.Random
    light: Light

    def sky(self) -> None:
        if self.time == "night":
            self._gradient((8, 10, 24), (28, 34, 60))
            self._stars()
            if self.rng.random() < 0.5:
                self._ball((0.04, 0.2), (0.02, 0.05), (225, 225, 205))  # moon
            return
        top = self.rng.choice(_SKIES)
        self._gradient(top, brighten(top, 30))
        if self.rng.random() < 0.5:
            self._ball((0.03, 0.18), (0.03, 0.06), (255, 236, 150))  # sun
            for _ in range(self.rng.randrange(0, 4)):
                self._cloud()

    def _gradient(self, top: Rgb, bottom: Rgb) -> None:
        for y in range(self.horizon):
            share = y / max(1, self.horizon)
            mixed = [a + (b - a) * share for a, b in zip(top, bottom, strict=True)]
            self.canvas.line([(0, y), (self.width, y)], fill=rgb(*mixed))

    def _stars(self) -> None:
        for _ in range(self.rng.randrange(4, 22)):
            x, y = self.rng.randrange(self.width), self.rng.randrange(max(1, self.horizon))
            level = self.rng.randrange(90, 220)
            self.canvas.point([(x, y), (x + 1, y)], fill=(level, level, level))

    def _ball(self, down: tuple[float, float], radius: tuple[float, float], colour: Rgb) -> None:
        x = self.rng.uniform(0.05, 0.95) * self.width
        y, r = self.rng.uniform(*down) * self.height, self.rng.uniform(*radius) * self.height
        self.canvas.ellipse([x - r, y - r, x + r, y + r], fill=colour)

    def _cloud(self) -> None:
        x = self.rng.uniform(0, 1) * self.width
        y, r = self.rng.uniform(0.05, 0.3) * self.height, self.rng.uniform(0.02, 0.06) * self.height
        for puff in range(3):
            self.canvas.ellipse([x + puff * r, y, x + puff * r + 2 * r, y + r * 1.2], fill=(235, 238, 242))

    def ground(self) -> None:
        rng, width, height, horizon = self.rng, self.width, self.height, self.horizon
        grass = self.light.on((rng.randrange(85, 135), rng.randrange(125, 165), rng.randrange(60, 95)))
        grey = rng.randrange(125, 175)
        drive = self.light.on((grey, grey, grey + rng.randrange(-12, 8)))
        self.canvas.rectangle([0, horizon, width, height], fill=grass)
        if rng.random() < 0.35:  # the whole yard is paved
            self.canvas.rectangle([0, int(horizon + 0.06 * height), width, height], fill=drive)
            return
        near_left, near_right, far = rng.uniform(-0.1, 0.25), rng.uniform(0.75, 1.1), rng.uniform(0.3, 0.6)
        corners = [
            ((far - 0.14) * width, horizon),
            ((far + 0.18) * width, horizon),
            (near_right * width, height),
            (near_left * width, height),
        ]
        self.canvas.polygon(corners, fill=drive)

    def house(self) -> None:
        rng, w, h = self.rng, self.width, self.height
        left = rng.uniform(-0.3, 0.5) * w
        right = left + rng.uniform(0.4, 0.8) * w
        eaves = rng.uniform(0.02, 0.22) * h
        wall = self.light.on(rng.choice(_WALLS))
        self.canvas.rectangle([left, eaves, right, self.horizon + 0.02 * h], fill=wall)
        ridge = eaves - 0.12 * h
        roof = [
            (left - 0.03 * w, eaves),
            (right + 0.03 * w, eaves),
            (right - 0.05 * w, ridge),
            (left + 0.05 * w, ridge),
        ]
        self.canvas.polygon(roof, fill=self.light.on(rng.choice(_ROOFS)))
        for _ in range(rng.randrange(1, 4)):
            self._window(left, right, eaves)
        if rng.random() < 0.5:
            self._garage(left, right)

    def _window(self, left: float, right: float, eaves: float) -> None:
        rng, w, h = self.rng, self.width, self.height
        x = rng.uniform(left, max(left + 1, right - 0.1 * w))
        y = rng.uniform(eaves + 0.03 * h, max(eaves + 0.04 * h, self.horizon - 0.2 * h))
        lit = self.time == "night" and rng.random() < 0.5
        self.canvas.rectangle(
            [x, y, x + 0.085 * w, y + 0.10 * h],
            fill=(225, 190, 110) if lit else self.light.on((140, 165, 185)),
            outline=self.light.on((235, 235, 235)),
            width=max(1, h // 160),
        )

    def _garage(self, left: float, right: float) -> None:
        w, h, horizon = self.width, self.height, self.horizon
        x = self.rng.uniform(left, max(left + 1, right - 0.26 * w))
        top = horizon - self.rng.uniform(0.16, 0.24) * h
        self.canvas.rectangle([x, top, x + 0.26 * w, horizon + 0.02 * h], fill=self.light.on((200, 200, 196)))
        for groove in range(1, 4):
            y = top + groove * (horizon - top) / 4
            line = [(x, y), (x + 0.26 * w, y)]
            self.canvas.line(line, fill=self.light.on((150, 150, 148)), width=max(1, h // 200))

    def fence(self) -> None:
        paint = self.light.on(self.rng.choice(_FENCES))
        top = self.horizon - self.rng.uniform(0.08, 0.16) * self.height
        step = self.rng.uniform(0.03, 0.06) * self.width
        x = -self.rng.random() * step
        while x < self.width:
            self.canvas.rectangle([x, top, x + step * 0.78, self.horizon + 0.01 * self.height], fill=paint)
            x += step

    def tree(self) -> None:
        rng, w, h, horizon = self.rng, self.width, self.height, self.horizon
        x = rng.uniform(0, 1) * w
        leaf = self.light.on((rng.randrange(40, 90), rng.randrange(85, 125), rng.randrange(40, 70)))
        if rng.random() < 0.5:
            trunk = [x - 0.012 * w, horizon - 0.2 * h, x + 0.012 * w, horizon + 0.03 * h]
            self.canvas.rectangle(trunk, fill=self.light.on((105, 75, 50)))
            r = rng.uniform(0.07, 0.13) * h
            self.canvas.ellipse([x - r, horizon - 0.24 * h - r, x + r, horizon - 0.24 * h + r], fill=leaf)
        else:  # a bush
            r = rng.uniform(0.04, 0.08) * h
            self.canvas.ellipse([x - 1.5 * r, horizon - r, x + 1.5 * r, horizon + r], fill=leaf)
