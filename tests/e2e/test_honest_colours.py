"""Whatever way a picture comes in, red is red and blue is blue: in the pixels, and in the captions made of them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from plugins.sources.demo.doorstep import caption, random_scene, swap_red_blue
from plugins.sources.demo.scenes import draw
from tests.fakes.http_camera import http_camera
from tests.fakes.service import camscribe, write_config
from tests.fakes.v4l2.camera import FakeCamera, Tree, build

COUNT = 3
SIZE = (640, 480)


def _scenes() -> list[tuple[str, Image.Image]]:
    """Truth, which would be another one with red and blue exchanged, and picture."""
    rng = random.Random(7)
    scenes: dict[str, Image.Image] = {}
    while len(scenes) < COUNT:
        scene = random_scene(rng, blank=0, empty=0, two=0)
        swapped = swap_red_blue(scene)
        if swapped is not None and caption(swapped) != caption(scene):
            scenes.setdefault(caption(scene), draw(scene, *SIZE, rng))
    return list(scenes.items())


@pytest.mark.slow
async def test_red_is_red_through_http_and_usb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = _scenes()
    monkeypatch.setenv("LD_PRELOAD", str(build(tmp_path)))
    tree, pictures = Tree(tmp_path), tmp_path / "pictures"
    pictures.mkdir()
    sources: dict[str, Any] = {}
    for number, (_, picture) in enumerate(scenes):
        picture.save(pictures / f"{number}.jpg", quality=90)
        for port, form in ((number, "mjpeg"), (COUNT + number, "yuyv")):
            camera = FakeCamera(tree.plug(port, port=f"1-{port}:1.0"), form=form, picture=picture)
            device = {"use": "usb", "device": str(camera.path), "width": SIZE[0], "height": SIZE[1]}
            sources[f"{form}_{number}"] = device | {"connect": "on_demand"}
    async with http_camera(pictures=pictures) as shown:
        for number in range(COUNT):
            sources[f"snapshot_{number}"] = shown.url(same=number)
            sources[f"stream_{number}"] = shown.stream(same=number)
        said = await _captions(tmp_path, sources)
    assert said == {camera: scenes[int(camera[-1])][0] for camera in sources}


async def _captions(folder: Path, sources: dict[str, Any]) -> dict[str, str]:
    cameras = {camera: {"source": source, "every": "1h"} for camera, source in sources.items()}
    settings = {"model": {"preset": "tiny"}, "cameras": cameras, "outputs": {"log": {"format": "json"}}}
    async with camscribe("run", "--config", str(write_config(folder, settings))) as service:
        await service.until(lambda: len(service.observations) >= len(cameras), 80)
        assert await service.stop() == 0
    return {observation["camera"]: observation["caption"] for observation in service.observations}
