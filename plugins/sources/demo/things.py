"""How each kind of thing is drawn."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import ImageDraw

from plugins.sources.demo.doorstep import Colour, Kind, Thing, Time
from plugins.sources.demo.pen import LAMP, WHITE_LIGHT, Light, Pen, Rgb, brighten, dim, rgb

PAINT: dict[Colour, Rgb] = {
    "red": (208, 32, 32),
    "green": (36, 156, 52),
    "blue": (36, 66, 210),
    "yellow": (238, 204, 36),
    "white": (242, 242, 240),
    "black": (22, 22, 25),
}


@dataclass(frozen=True, slots=True)
class Paint:
    """The colours of one thing in its light."""

    main: Rgb
    edge: Rgb
    light: Light

    @property
    def is_dark(self) -> bool:
        return sum(self.main) <= 150

    def shaded(self, level: float, by: float) -> Rgb:
        """Another tone of the main colour: darker, or lighter where darker could not be seen."""
        return brighten(self.main, by) if self.is_dark else dim(self.main, level)


def draw_thing(canvas: ImageDraw.ImageDraw, thing: Thing, time: Time | None, width: int, height: int) -> None:
    rng = random.Random(thing.seed)  # noqa: S311  a drawing, not a secret
    paint = _paint(thing.colour, time, rng)
    left, _top, right, bottom = box = thing.box(width, height)
    shadow = dim((70, 70, 70), 0.35 if time == "night" else 1.0)
    canvas.ellipse([left, bottom - 0.022 * height, right, bottom + 0.022 * height], fill=shadow)
    _DRAW[thing.kind](Pen(canvas, box, flip=thing.flip), paint, rng)


def _paint(colour: Colour, time: Time | None, rng: random.Random) -> Paint:
    red, green, blue = PAINT[colour]
    base = rgb(red + rng.uniform(-14, 14), green + rng.uniform(-14, 14), blue + rng.uniform(-14, 14))
    if colour == "black":
        base = rgb(min(base[0], 34), min(base[1], 34), min(base[2], 34))
    light = Light(rng.uniform(0.70, 0.95), LAMP) if time == "night" else Light(rng.uniform(0.86, 1.0))
    main = light.on(base)
    if colour == "black":
        edge = dim((150, 150, 155), light.level) if time == "night" else (70, 70, 74)
    elif colour == "white":
        edge = dim((110, 110, 115), light.level)
    else:
        edge = dim(main, 0.55)
    return Paint(main, edge, light)


def _person(pen: Pen, paint: Paint, rng: random.Random) -> None:
    light, main = paint.light, paint.main
    skin = light.on(rng.choice([(236, 196, 160), (205, 150, 110), (150, 100, 70), (100, 66, 46)]))
    trousers = light.on(rng.choice([(50, 50, 60), (70, 60, 50), (40, 44, 70), (90, 90, 95)]))
    hair = light.on(rng.choice([(30, 24, 20), (90, 60, 30), (150, 120, 60), (120, 120, 120)]))
    stride = rng.uniform(0.02, 0.12)
    pen.line([(0.42, 0.62), (0.36 - stride, 0.97)], trousers, 0.11)
    pen.line([(0.58, 0.62), (0.64 + stride, 0.97)], trousers, 0.11)
    raised = rng.uniform(-0.10, 0.16)
    pen.line([(0.26, 0.28), (0.10, 0.45 - raised), (0.12, 0.60 - 2 * raised)], main, 0.085)
    pen.line([(0.74, 0.28), (0.90, 0.46 - raised), (0.90, 0.60)], main, 0.085)
    pen.block((0.22, 0.215, 0.78, 0.68), main, paint.edge, rounded=0.07)
    pen.disc(0.5, 0.115, 0.108, hair)
    pen.disc(0.5, 0.128, 0.094, skin)


def _car(pen: Pen, paint: Paint, rng: random.Random) -> None:
    light, main, edge = paint.light, paint.main, paint.edge
    glass, tyre, hub = light.on((165, 205, 225)), light.on((28, 28, 30)), light.on((170, 170, 175))
    slant = rng.uniform(0.0, 0.06)
    pen.polygon([(0.17 + slant, 0.48), (0.30 + slant, 0.06), (0.68, 0.06), (0.84, 0.48)], main, edge)
    pen.block((0.01, 0.42, 0.99, 0.82), main, edge, rounded=0.10)
    pen.polygon([(0.25 + slant, 0.44), (0.335 + slant, 0.14), (0.485, 0.14), (0.485, 0.44)], glass)
    pen.polygon([(0.53, 0.44), (0.53, 0.14), (0.65, 0.14), (0.765, 0.44)], glass)
    for u in (0.23, 0.77):
        pen.disc(u, 0.82, 0.175, tyre)
        pen.disc(u, 0.82, 0.08, hub)
    pen.ellipse((0.94, 0.48, 1.0, 0.60), light.on((255, 240, 180)))


def _dog(pen: Pen, paint: Paint, rng: random.Random) -> None:
    main, edge = paint.main, paint.edge
    nose = paint.light.on((25, 22, 20))
    far_legs = dim(main, 0.75)
    for u in (0.27, 0.63):
        pen.line([(u + 0.05, 0.6), (u + 0.06, 0.96)], far_legs, 0.10)
    pen.line([(0.14, 0.42), (0.02, 0.14 + rng.uniform(-0.06, 0.1))], main, 0.085)  # tail up
    pen.block((0.10, 0.35, 0.74, 0.70), main, edge, rounded=0.16)  # trunk
    for u in (0.18, 0.66):
        pen.line([(u, 0.6), (u, 0.96)], main, 0.115)
    pen.polygon([(0.58, 0.48), (0.66, 0.16), (0.82, 0.16), (0.76, 0.52)], main)  # neck
    pen.ellipse((0.62, 0.02, 0.88, 0.36), main, edge)  # head
    pen.block((0.78, 0.17, 1.00, 0.33), main, edge, rounded=0.07)  # muzzle
    pen.ellipse((0.60, 0.05, 0.70, 0.40), paint.shaded(0.62, 45))  # ear
    pen.disc(0.985, 0.20, 0.04, nose)
    pen.disc(0.79, 0.13, 0.030, paint.light.on((230, 230, 230)) if paint.is_dark else nose)  # eye


def _cat(pen: Pen, paint: Paint, _rng: random.Random) -> None:
    light, main, edge = paint.light, paint.main, paint.edge
    pen.arc((-0.12, 0.50, 0.42, 1.02), 60, 250, main, 0.085)  # tail curl
    pen.polygon([(0.28, 0.97), (0.36, 0.46), (0.64, 0.46), (0.86, 0.97)], main, edge)  # sitting body
    pen.ellipse((0.18, 0.58, 0.92, 1.0), main)
    pen.polygon([(0.22, 0.26), (0.20, -0.02), (0.44, 0.12)], main, edge)  # ears
    pen.polygon([(0.80, 0.26), (0.82, -0.02), (0.58, 0.12)], main, edge)
    pen.ellipse((0.17, 0.08, 0.85, 0.52), main, edge)
    for u in (0.36, 0.66):
        pen.disc(u, 0.27, 0.050, (200, 225, 80))
        pen.disc(u, 0.27, 0.022, (10, 10, 10))
    pen.polygon([(0.47, 0.36), (0.55, 0.36), (0.51, 0.41)], light.on((220, 120, 130)))
    whisker = light.on((225, 225, 225)) if sum(main) < 500 else light.on((60, 60, 60))
    for v in (0.36, 0.42):
        pen.line([(0.30, v), (0.02, v - 0.03)], whisker, 0.012)
        pen.line([(0.72, v), (1.0, v - 0.03)], whisker, 0.012)
    pen.line([(0.50, 0.72), (0.50, 0.97)], paint.shaded(0.7, 40), 0.02)


def _package(pen: Pen, paint: Paint, _rng: random.Random) -> None:
    light, main, edge = paint.light, paint.main, paint.edge
    tape = light.on((205, 175, 125))
    if paint.is_dark:
        top, side = brighten(main, 34), brighten(main, 14)
    else:
        top, side = rgb(main[0] * 1.12 + 12, main[1] * 1.12 + 12, main[2] * 1.12 + 12), dim(main, 0.72)
    pen.polygon([(0.0, 0.26), (0.20, 0.02), (1.0, 0.02), (0.80, 0.26)], top, edge)
    pen.polygon([(0.80, 0.26), (1.0, 0.02), (1.0, 0.74), (0.80, 1.0)], side, edge)
    pen.block((0.0, 0.26, 0.80, 1.0), main, edge)
    pen.polygon([(0.335, 0.26), (0.535, 0.02), (0.645, 0.02), (0.465, 0.26)], tape)
    pen.polygon([(0.335, 0.26), (0.465, 0.26), (0.465, 0.62), (0.335, 0.62)], tape)
    pen.block((0.52, 0.70, 0.74, 0.90), light.on((235, 235, 225)), light.on((90, 90, 90)))  # label


_HUBS, _PEDALS, _BAR = ((0.21, 0.68), (0.79, 0.68)), (0.46, 0.68), (0.66, 0.16)
_FRAME = (
    [_HUBS[0], _PEDALS, (0.36, 0.26)],
    [_HUBS[0], (0.38, 0.34), (0.69, 0.32)],
    [_PEDALS, (0.70, 0.32)],
    [_HUBS[1], _BAR],
)


def _bicycle(pen: Pen, paint: Paint, _rng: random.Random) -> None:
    light = paint.light
    pale = light.tint != WHITE_LIGHT or paint.is_dark
    tyre = light.on((110, 110, 116) if pale else (40, 40, 44))
    spoke = light.on((150, 150, 150))
    for u, v in _HUBS:
        x, y = pen.at(u, v)
        radius = 0.31 * pen.height
        for angle in range(0, 180, 45):
            dx, dy = radius * math.cos(math.radians(angle)), radius * math.sin(math.radians(angle))
            pen.canvas.line([x - dx, y - dy, x + dx, y + dy], fill=spoke, width=pen.pixels(0.012))
        pen.ring(u, v, 0.315, tyre, pen.pixels(0.055, least=2))
    thickness = 0.085
    for tube in _FRAME:
        pen.line(tube, paint.edge, thickness + 0.045)
    for tube in _FRAME:
        pen.line(tube, paint.main, thickness)
    saddle = light.on((50, 45, 40))
    pen.line([(0.29, 0.22), (0.44, 0.22)], saddle, 0.07)
    pen.line([(0.62, 0.13), (0.76, 0.07)], saddle, 0.055)


_DRAW: dict[Kind, Callable[[Pen, Paint, random.Random], None]] = {
    "person": _person,
    "car": _car,
    "dog": _dog,
    "cat": _cat,
    "package": _package,
    "bicycle": _bicycle,
}
