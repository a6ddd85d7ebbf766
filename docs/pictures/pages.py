"""Makes the pictures of the web pages, from a real camscribe with the demo's cameras and the tiny model:

    python -m docs.pictures.pages

It needs Chromium (`apt-get install chromium fonts-noto-color-emoji`) and takes a minute.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
from pathlib import Path
from typing import Any

import httpx
import yaml
from PIL import Image

from tests.fakes.browser import chromium
from tests.fakes.home import SAID
from tests.fakes.service import camscribe

HERE = Path(__file__).parent
SIZE = {"width": 1280, "height": 800}
COLOURS = 256
LARGEST = 250_000
"""Bytes of a picture."""
QUESTIONS = {thing: {"type": "boolean", "ask": f"Is there a {thing}?"} for thing in ("person", "car", "dog", "package")}
LOOKS = 8
"""Of each camera, before the pictures are taken."""


def camera(name: str, area: str, seed: int, *questions: str, **more: Any) -> dict[str, Any]:
    source = {"use": "demo", "seed": seed, "seconds_a_scene": 4, "width": 960, "height": 540}
    asked = {question: QUESTIONS[question] for question in questions}
    return {"name": name, "area": area, "source": source, "every": "5s", "questions": asked, **more}


CAMERAS = {
    "front_door": camera("Front door", "Entrance", 7, "person", "package"),
    "driveway": camera("Driveway", "Outside", 11, "car"),
    "garden": camera("Garden", "Outside", 23, "dog", "person"),
    "side_gate": camera("Side gate", "Outside", 31, "person"),
    "porch": camera("Porch", "Entrance", 44, "package"),
    "shed": camera("Shed", "Garden", 58) | {"source": {"use": "http", "url": "http://127.0.0.1:9/shed.jpg"}},
}


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = {"model": {"preset": "tiny"}, "web": {"port": 0}, "outputs": {}, "cameras": CAMERAS}
        path = Path(folder, "config.yaml")
        path.write_text(yaml.safe_dump({"data_dir": f"{folder}/data", **config}, sort_keys=False))
        async with camscribe("run", "--config", str(path)) as service:
            url = await service.until(lambda: address(service.err))
            await looked(url)
            async with chromium() as browser:
                for name, place, scheme in (("home", "/", "light"), ("timeline", "/timeline", "dark")):
                    page = await browser.new_page(viewport=SIZE, color_scheme=scheme)
                    await page.goto(url + place)
                    await asyncio.sleep(3)
                    keep(await page.screenshot(animations="disabled"), name)
            assert await service.stop() == 0


def address(printed: list[str]) -> str | None:
    return next((line.partition(SAID)[2].strip() for line in printed if SAID in line), None)


async def looked(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        while True:
            days = (await client.get("/api/v1/days")).json()["days"]
            if sum(day["count"] for day in days) >= LOOKS * len(CAMERAS):
                return
            await asyncio.sleep(1)


def keep(png: bytes, name: str) -> None:
    file = HERE / f"{name}.png"
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(file, optimize=True)
    assert file.stat().st_size <= LARGEST, f"{file.name} has {file.stat().st_size:,} bytes"


if __name__ == "__main__":
    asyncio.run(main())
