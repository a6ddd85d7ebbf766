"""The pen that draws one thing, and colours in a given light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

Rgb = tuple[int, int, int]
Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

WHITE_LIGHT = (1.0, 1.0, 1.0)
NIGHT_SKY = (0.88, 0.94, 1.2)
LAMP = (0.97, 0.98, 1.05)


def rgb(red: float, green: float, blue: float) -> Rgb:
    """The nearest colour that exists."""
    return _level(red), _level(green), _level(blue)


def _level(value: float) -> int:
    return max(0, min(255, round(value)))


@dataclass(frozen=True, slots=True)
class Light:
    level: float
    tint: tuple[float, float, float] = WHITE_LIGHT

    def on(self, colour: Rgb) -> Rgb:
        """How the colour looks in this light."""
        red, green, blue = colour
        tint = self.tint
        return rgb(red * self.level * tint[0], green * self.level * tint[1], blue * self.level * tint[2])


def dim(colour: Rgb, level: float) -> Rgb:
    return Light(level).on(colour)


def brighten(colour: Rgb, by: float) -> Rgb:
    return rgb(colour[0] + by, colour[1] + by, colour[2] + by)


class Pen:
    """Draws in a box of width 1 and height 1 (u to the right, v down) laid over the picture, mirrored where ``flip``.

    Radii and thicknesses are shares of the box's height.
    """

    def __init__(self, canvas: ImageDraw.ImageDraw, box: Box, *, flip: bool) -> None:
        self.canvas = canvas
        self.left, self.top, right, bottom = box
        self.width = right - self.left
        self.height = bottom - self.top
        self.flip = flip
        self.stroke = max(1, round(self.height * 0.022))

    def at(self, u: float, v: float) -> Point:
        if self.flip:
            u = 1 - u
        return self.left + u * self.width, self.top + v * self.height

    def pixels(self, share: float, least: int = 1) -> int:
        return max(least, round(share * self.height))

    def ellipse(self, box: Box, fill: Rgb, edge: Rgb | None = None) -> None:
        self.canvas.ellipse(self._box(box), fill=fill, outline=edge, width=self.stroke if edge else 0)

    def disc(self, u: float, v: float, radius: float, fill: Rgb) -> None:
        self.canvas.ellipse(self._around(u, v, radius), fill=fill, width=0)

    def ring(self, u: float, v: float, radius: float, colour: Rgb, width: int) -> None:
        self.canvas.ellipse(self._around(u, v, radius), outline=colour, width=width)

    def block(self, box: Box, fill: Rgb, edge: Rgb | None = None, *, rounded: float = 0.0) -> None:
        self.canvas.rounded_rectangle(
            self._box(box),
            radius=rounded * self.height,
            fill=fill,
            outline=edge,
            width=self.stroke if edge else 0,
        )

    def polygon(self, corners: Sequence[Point], fill: Rgb, edge: Rgb | None = None) -> None:
        points = [self.at(u, v) for u, v in corners]
        self.canvas.polygon(points, fill=fill)
        if edge:
            self.canvas.line([*points, points[0]], fill=edge, width=self.stroke, joint="curve")

    def line(self, path: Sequence[Point], colour: Rgb, thickness: float) -> None:
        """With round ends."""
        width = self.pixels(thickness)
        points = [self.at(u, v) for u, v in path]
        self.canvas.line(points, fill=colour, width=width, joint="curve")
        for x, y in (points[0], points[-1]):
            self.canvas.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=colour)

    def arc(self, box: Box, start: float, end: float, colour: Rgb, thickness: float) -> None:
        if self.flip:
            start, end = 180 - end, 180 - start
        self.canvas.arc(self._box(box), start, end, fill=colour, width=self.pixels(thickness))

    def _box(self, box: Box) -> list[float]:
        (xa, ya), (xb, yb) = self.at(*box[:2]), self.at(*box[2:])
        return [min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)]

    def _around(self, u: float, v: float, radius: float) -> list[float]:
        x, y = self.at(u, v)
        radius *= self.height
        return [x - radius, y - radius, x + radius, y + radius]
