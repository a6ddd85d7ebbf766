"""Training batches: pictures varied by chance, dialogs about them as token rows; made in a thread of their own."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from plugins.sources.demo.scenes import Place, Scene, swap_red_blue
from tiny_model.dialog import AROUND_PICTURE, END, PAD, PICTURE, Dialog, random_dialog
from tiny_model.model import Shape
from tiny_model.pictures import OLD_OVERVIEW, OLD_TILE, STRETCHED, Drawings

NOT_TAUGHT = -100
HELD_BACK = 300
"""The last scenes of the older builds' set are for checks."""
MIRRORED: dict[Place, Place] = {"left": "right", "right": "left", "centre": "centre"}
RED_BLUE_SWAPPED = np.array([0, 3, 2, 1, 4, 5, 6], np.uint8)


@dataclass(frozen=True, slots=True)
class Row:
    """A dialog as tokens; -1-i stands for the picture's token i (those of the tile, then those of the overview)."""

    tokens: list[int]
    answer_at: int
    first_word_taught: bool


@dataclass(frozen=True, slots=True)
class Dialogs:
    """Rows of equal length, and what is to follow at each place."""

    tokens: Tensor
    targets: Tensor
    overview_of: Tensor
    """For each row the picture that it is about."""
    tile_of: Tensor
    """For each picture the one that is its tile: itself, but for the older builds' scaling."""


@dataclass(frozen=True, slots=True)
class Batch:
    pictures: Tensor
    """First an overview a scene, then the tiles that differ from their overviews."""
    kinds: Tensor
    colours: Tensor
    times: Tensor
    dialogs: Dialogs | None


@dataclass(frozen=True, slots=True)
class Mix:
    """What a stage's batches hold."""

    scenes: int = 48
    dialogs_a_scene: int = 2
    """0: pictures alone, for the helper heads."""
    old_builds: float = 0.0
    wordy: float = 0.0


class Encoder:
    def __init__(self, tokenizer: Tokenizer, shape: Shape) -> None:
        self.tokenizer = tokenizer
        self._slots = shape.picture_tokens
        self._end = tokenizer.token_to_id(END)
        self._pad = tokenizer.token_to_id(PAD)

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def prompt(self, dialog: Dialog) -> list[int]:
        before, after = dialog.prompt.split(PICTURE)
        tokens, slot = self.ids(before), 0
        for part in AROUND_PICTURE:
            if part == PICTURE:
                tokens += [-1 - place for place in range(slot, slot + self._slots)]
                slot += self._slots
            else:
                tokens += self.ids(part)
        return tokens + self.ids(after)

    def row(self, dialog: Dialog) -> Row:
        prompt = self.prompt(dialog)
        # JSON that only a grammar brings about: were its first token taught, plain questions would get JSON too.
        return Row([*prompt, *self.ids(dialog.answer), self._end], len(prompt), not dialog.unasked_json)

    def stack(self, rows: Sequence[Row], overview_of: Sequence[int], tile_of: Sequence[int]) -> Dialogs:
        length = (max(len(row.tokens) for row in rows) + 15) // 16 * 16
        tokens = torch.full((len(rows), length), self._pad)
        targets = torch.full((len(rows), length), NOT_TAUGHT)
        for number, row in enumerate(rows):
            end = len(row.tokens)
            tokens[number, :end] = torch.tensor(row.tokens)
            targets[number, row.answer_at - 1 : end - 1] = torch.tensor(row.tokens[row.answer_at :])
            if not row.first_word_taught:
                targets[number, row.answer_at - 1] = NOT_TAUGHT
        return Dialogs(tokens, targets, torch.tensor(overview_of), torch.tensor(tile_of))


def as_input(pictures: NDArray[np.uint8] | NDArray[np.float32]) -> Tensor:
    """Pictures (n, height, width, 3) in 0..255 as the model takes them."""
    floats = torch.from_numpy(np.ascontiguousarray(pictures, np.float32))
    return floats.permute(0, 3, 1, 2).contiguous().div_(255).sub_(0.5).div_(0.5)


@dataclass(frozen=True, slots=True)
class Example:
    overview: NDArray[np.float32]
    tile: NDArray[np.float32] | None
    """None: the same as the overview."""
    kinds: NDArray[np.uint8]
    colours: NDArray[np.uint8]
    scene: Scene


def _example(drawings: Drawings, number: int, versions: Sequence[int], rng: random.Random) -> Example:
    """One scene, varied: mirrored, red and blue exchanged (so that colour is really read), lighter or darker."""
    pictures = [drawings.pictures[number, version] for version in versions]
    kinds, colours, scene = drawings.kinds[number], drawings.colours[number], drawings.scenes[number]
    if rng.random() < 0.5:
        pictures = [picture[:, ::-1] for picture in pictures]
        kinds, colours = kinds[:, ::-1], colours[:, ::-1]
        scene = replace(scene, things=tuple(replace(thing, place=MIRRORED[thing.place]) for thing in scene.things))
    if rng.random() < 0.25 and (swapped := swap_red_blue(scene)):
        pictures = [picture[:, :, ::-1] for picture in pictures]
        colours, scene = RED_BLUE_SWAPPED[colours], swapped
    floats = [picture.astype(np.float32) for picture in pictures]
    if rng.random() < 0.5:
        gain, offset = rng.uniform(0.88, 1.12), rng.uniform(-10, 10)
        floats = [np.clip(picture * gain + offset, 0, 255) for picture in floats]
    return Example(floats[0], floats[1] if len(floats) > 1 else None, kinds, colours, scene)


def _old_versions(rng: random.Random) -> list[int]:
    """The overview and the tile of older builds; or one of the two alone, where tile and overview are alike."""
    if rng.random() < 0.75:
        return [OLD_OVERVIEW, OLD_TILE]
    return [OLD_OVERVIEW] if rng.random() < 0.5 else [OLD_TILE]


class Maker:
    def __init__(self, encoder: Encoder, drawings: Drawings, old: Drawings | None, mix: Mix, seed: int) -> None:
        self._encoder = encoder
        self._drawings = drawings
        self._old = old
        self._mix = mix
        self._rng = random.Random(seed)
        self._order: list[int] = []

    def batch(self) -> Batch:
        examples = [self._example() for _ in range(self._mix.scenes)]
        tiles = [example.tile for example in examples if example.tile is not None]
        return Batch(
            pictures=as_input(np.stack([*(example.overview for example in examples), *tiles])),
            kinds=torch.from_numpy(np.stack([example.kinds for example in examples])).long().flatten(1),
            colours=torch.from_numpy(np.stack([example.colours for example in examples])).long().flatten(1),
            times=torch.tensor([("day", "night", None).index(example.scene.time) for example in examples]),
            dialogs=self._dialogs(examples) if self._mix.dialogs_a_scene else None,
        )

    def _example(self) -> Example:
        if self._old and self._rng.random() < self._mix.old_builds:
            number = self._rng.randrange(len(self._old.scenes) - HELD_BACK)
            return _example(self._old, number, _old_versions(self._rng), self._rng)
        if not self._order:
            self._order = self._rng.sample(range(len(self._drawings.scenes)), len(self._drawings.scenes))
        return _example(self._drawings, self._order.pop(), [STRETCHED], self._rng)

    def _dialogs(self, examples: Sequence[Example]) -> Dialogs:
        rows, overview_of, tile_of = [], [], []
        tiles = 0
        for number, example in enumerate(examples):
            tile_of.append(number if example.tile is None else len(examples) + tiles)
            tiles += example.tile is not None
            for turn in range(self._mix.dialogs_a_scene):
                mode = "caption" if turn == 0 and self._rng.random() < 0.6 else None
                rows.append(self._encoder.row(random_dialog(example.scene, self._rng, mode, self._mix.wordy)))
                overview_of.append(number)
        return self._encoder.stack(rows, overview_of, tile_of)


@contextmanager
def made_ahead(maker: Maker) -> Iterator[queue.Queue[Batch]]:
    """Six batches are kept ready."""
    ready: queue.Queue[Batch] = queue.Queue(6)
    stop = threading.Event()

    def fill() -> None:
        while not stop.is_set():
            ready.put(maker.batch())

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        yield ready
    finally:
        stop.set()
        while thread.is_alive():
            try:
                ready.get(timeout=0.05)
            except queue.Empty:
                continue
