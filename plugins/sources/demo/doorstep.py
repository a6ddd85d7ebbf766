"""What can be seen at the doorstep: scenes, how they come about by chance, and the sentence that is true of each."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

Kind = Literal["person", "car", "dog", "cat", "package", "bicycle"]
Colour = Literal["red", "green", "blue", "yellow", "white", "black"]
Place = Literal["left", "centre", "right"]
Time = Literal["day", "night"]

KINDS: tuple[Kind, ...] = ("person", "car", "dog", "cat", "package", "bicycle")
COLOURS: tuple[Colour, ...] = ("red", "green", "blue", "yellow", "white", "black")
PLACES: tuple[Place, ...] = ("left", "centre", "right")
TIMES: tuple[Time, ...] = ("day", "night")

WHERE = {"left": "on the left", "centre": "in the centre", "right": "on the right"}
WHEN = {"day": "in daylight", "night": "at night"}

HEIGHTS: dict[Kind, tuple[float, float]] = {
    "person": (0.44, 0.62),
    "car": (0.24, 0.33),
    "dog": (0.22, 0.31),
    "cat": (0.24, 0.34),
    "package": (0.19, 0.28),
    "bicycle": (0.27, 0.37),
}
"""Smallest and largest height of each kind, as a share of the picture's."""
ASPECTS: dict[Kind, float] = {"person": 0.42, "car": 1.75, "dog": 1.30, "cat": 0.80, "package": 1.15, "bicycle": 1.55}
"""Width of each kind by its height."""
ACROSS: dict[Place, tuple[float, float]] = {"left": (0.13, 0.28), "centre": (0.40, 0.60), "right": (0.72, 0.87)}
"""Where the middle of a thing at that place may be, as a share of the picture's width."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that stands at the doorstep. Positions and sizes are shares of the picture's."""

    kind: Kind
    colour: Colour
    place: Place
    across: float
    """Its middle, from the left."""
    height: float
    base: float
    """Its foot, from the top."""
    flip: bool
    seed: int
    """Of the chance in its own drawing: shades, posture."""

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in pixels of a picture of that size."""
        tall = self.height * height
        wide = min(self.height * height * ASPECTS[self.kind], 0.36 * width)
        left = max(0.01 * width, min(width - wide - 0.01 * width, self.across * width - wide / 2))
        top = self.base * height - tall
        return left, top, left + wide, top + tall


@dataclass(frozen=True, slots=True)
class Scene:
    """A moment at the doorstep: at most two things, told apart by their places."""

    time: Time | None
    """None: nothing can be seen, the lens is covered or the picture dead."""
    things: tuple[Thing, ...] = ()


def back_to_front(scene: Scene) -> list[Thing]:
    return sorted(scene.things, key=lambda thing: thing.base)


def left_to_right(scene: Scene) -> list[Thing]:
    return sorted(scene.things, key=lambda thing: PLACES.index(thing.place))


def caption(scene: Scene) -> str:
    """The one sentence that the tiny model is taught to say of this scene."""
    if scene.time is None:
        return "The picture is blank."
    when = WHEN[scene.time]
    if not scene.things:
        return f"Nothing is happening; the driveway is empty {when}."
    named = [f"a {noun(thing.kind, thing.colour)} {WHERE[thing.place]}" for thing in left_to_right(scene)]
    sentence = f"{' and '.join(named)} {when}."
    return sentence[0].upper() + sentence[1:]


def noun(kind: Kind, colour: Colour) -> str:
    return f"person in {colour}" if kind == "person" else f"{colour} {kind}"


_EXCHANGED: dict[Colour, Colour] = {"red": "blue", "blue": "red"}


def swap_red_blue(scene: Scene) -> Scene | None:
    """What the picture shows once its red and blue channels are exchanged.

    None where that has no name here: yellow becomes cyan.
    """
    if any(thing.colour == "yellow" for thing in scene.things):
        return None
    things = (replace(thing, colour=_EXCHANGED.get(thing.colour, thing.colour)) for thing in scene.things)
    return replace(scene, things=tuple(things))


def random_scene(rng: random.Random, *, blank: float = 0.02, empty: float = 0.10, two: float = 0.40) -> Scene:
    """``blank``, ``empty`` and ``two`` are the shares of such scenes; the others show one thing.

    The order of the draws is part of the recipe: the tiny model's training and test sets hang on it.
    """
    share = rng.random()
    if share < blank:
        return Scene(None)
    time = rng.choice(TIMES)
    if share < blank + empty:
        return Scene(time)
    if share < blank + empty + two:
        return Scene(time, _two_things(rng))
    return Scene(time, (random_thing(rng, rng.choice(PLACES)),))


def random_thing(
    rng: random.Random, place: Place, kind: Kind | None = None, colour: Colour | None = None, *, small: bool = False
) -> Thing:
    chosen = rng.choice(KINDS) if kind is None else kind
    paint = rng.choice(COLOURS) if colour is None else colour
    lowest, highest = HEIGHTS[chosen]
    return Thing(
        kind=chosen,
        colour=paint,
        place=place,
        across=rng.uniform(*ACROSS[place]),
        height=rng.uniform(lowest, lowest + (highest - lowest) * (0.6 if small else 1.0)),
        base=rng.uniform(0.80, 0.95),
        flip=rng.random() < 0.5,
        seed=rng.randrange(1 << 30),
    )


def _two_things(rng: random.Random) -> tuple[Thing, ...]:
    places = [PLACES[place] for place in sorted(rng.sample(range(3), 2))]
    kinds = [rng.choice(KINDS) for _ in places]
    colours = [rng.choice(COLOURS) for _ in places]
    while True:
        things = tuple(random_thing(rng, *look, small=True) for look in zip(places, kinds, colours, strict=True))
        if _apart(things):
            return things


def _apart(things: Sequence[Thing]) -> bool:
    """They overlap a little at most, in a 4:3 picture."""
    halves = [0.375 * min(0.5, thing.height * ASPECTS[thing.kind]) for thing in things]
    middles = [thing.across for thing in things]
    return all(right - left >= 0.75 * sum(halves) for left, right in pairwise(middles))
