"""From the frame to all that is stored and sent: what is masked is nowhere, and the model's copy goes nowhere."""

from __future__ import annotations

import asyncio
import hashlib
import io
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent.picture import prepare, sent
from agent.values import Frame, Geometry, ModelView
from tests.fakes.looking import desk
from tests.fakes.waiting import eventually

SECRET = (255, 0, 255)
WIDTH, HEIGHT = 640, 360
MASK = ((0.5, 0.25), (0.75, 0.25), (0.75, 0.75), (0.5, 0.75))
OPTIONS = {"rotate": 90, "flip": "horizontal", "crop": (0.1, 0.2, 0.9, 0.9), "masks": [MASK]}


def behind_the_mask(colour) -> np.ndarray:
    """A frame as the camera sends it: where it hangs on its side, people see it transposed (turned and mirrored)."""
    upright = np.full((WIDTH, HEIGHT, 3), 180, np.uint8)
    (left, top), (right, bottom) = MASK[0], MASK[2]
    upright[round(top * WIDTH) : round(bottom * WIDTH), round(left * HEIGHT) : round(right * HEIGHT)] = colour
    return np.ascontiguousarray(upright.transpose(1, 0, 2))


@asynccontextmanager
async def looked_at(folder: Path, pixels: np.ndarray, **options):
    await asyncio.to_thread(folder.mkdir)
    async with desk(folder) as house:
        camera = house.camera(**options)
        camera.source.give = lambda: Frame("door", pixels, house.clock.now())
        running = asyncio.create_task(camera.run())
        camera.due()
        await eventually(lambda: camera.last_good)
        yield house, camera.last_good
        running.cancel()
        await asyncio.wait({running})


def pictures_in(folder: Path) -> tuple[bytes, bytes]:
    """All there are: the one people see and, beside it, the one the model got."""
    found = {
        path: data for path in folder.rglob("*") if path.is_file() and (data := path.read_bytes())[:2] == b"\xff\xd8"
    }
    (sent,) = (path for path in found if path.name.endswith(".sent.jpg"))
    (shown,) = found.keys() - {sent}
    assert sent == shown.with_suffix(".sent.jpg")
    return found[shown], found[sent]


def opened(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)


def shows_the_secret(jpeg: bytes) -> bool:
    """Any pixel a shade of it: much redder and bluer than green."""
    pixels = opened(jpeg)
    return bool(((pixels[:, :, 0] - pixels[:, :, 1] > 25) & (pixels[:, :, 2] - pixels[:, :, 1] > 25)).any())


async def test_what_is_masked_is_in_no_picture_that_is_stored_shown_or_sent(tmp_path):
    seen = []
    for name, colour in (("secret", SECRET), ("nothing", (180, 180, 180))):
        async with looked_at(tmp_path / name, behind_the_mask(colour), **OPTIONS) as (house, observation):
            stored, kept = await asyncio.to_thread(pictures_in, tmp_path / name)
            (request,) = house.captioner.requests
            assert hashlib.sha256(stored).hexdigest() == observation.picture.sha256
            assert not shows_the_secret(stored)
            assert not shows_the_secret(request.picture)
            assert kept == request.picture
            assert opened(stored).shape == (round(0.9 * WIDTH) - round(0.2 * WIDTH), 288, 3)
            assert opened(stored).min() < 10, "the mask is in the part that is kept"
            assert opened(stored).max() > 170, "and so is something else"
            seen.append((stored, request.picture))
    assert seen[0] == seen[1], "not a bit depends on what is behind the mask"


async def test_without_the_mask_it_would_be_seen(tmp_path):
    """So that the test above proves something."""
    unmasked = {**OPTIONS, "masks": []}
    async with looked_at(tmp_path / "open", behind_the_mask(SECRET), **unmasked) as (house, _):
        stored, _ = await asyncio.to_thread(pictures_in, tmp_path / "open")
        assert shows_the_secret(stored)
        assert shows_the_secret(house.captioner.requests[0].picture)


@pytest.mark.parametrize("size", [(96, 96), (640, 360)])
async def test_the_models_picture_is_kept_aside_and_never_shown_or_published(tmp_path, size):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    async with looked_at(tmp_path / "house", pixels) as (house, observation):
        (request,) = house.captioner.requests
        stored, kept = await asyncio.to_thread(pictures_in, tmp_path / "house")
        assert hashlib.sha256(request.picture).hexdigest() == observation.sent.sha256
        assert request.picture == sent(prepare(pixels), ModelView(Geometry.SQUARE, 96)).jpeg
        assert request.picture == kept == await house.journal.sent(observation)
        assert hashlib.sha256(stored).hexdigest() == observation.picture.sha256
        assert await house.journal.picture(observation) == stored
        (row,) = await house.journal.read(0, 9)
        assert await house.journal.picture_of(row) == stored, "which is what outputs are handed"
        assert ".sent" not in observation.model_dump_json()
        assert opened(stored).shape[:2] == (size[1], size[0])
