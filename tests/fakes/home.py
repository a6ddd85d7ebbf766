"""camscribe itself with its web pages, as a subprocess: known scenes, the tiny model, the real engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from agent.web.access.credentials import new_token
from agent.web.access.passwords import hashed
from agent.web.access.store import Store
from tests.fakes.scenes import known_scenes
from tests.fakes.service import Service, camscribe, write_config

QUESTIONS = {
    "person": {"type": "boolean", "ask": "Is there a person?"},
    "things": {"type": "number", "ask": "How many things are there?", "max": 9},
    "light": {"type": "choice", "ask": "Is it day or night?", "options": ["day", "night"]},
}
SAID = "The web pages: "


class Home:
    """At ``url``; ``scenes`` has the truth about each camera's only picture."""

    def __init__(self, service: Service, url: str, scenes: Mapping[str, str]) -> None:
        self.service, self.url, self.scenes = service, url, scenes
        self.client: httpx.AsyncClient

    async def cameras(self) -> dict[str, Any]:
        answer = await self.client.get("/api/v1/cameras")
        return {camera["id"]: camera for camera in answer.raise_for_status().json()["cameras"]}

    async def latest(self) -> dict[str, Any]:
        """The newest observation."""
        answer = await self.client.get("/api/v1/observations", params={"limit": 1})
        return answer.raise_for_status().json()["observations"][0]


@asynccontextmanager
async def run_home(folder: Path, count: int, *, password: str | None = None, **config: Any) -> AsyncIterator[Home]:
    """With ``count`` cameras, each of which has had its first look, and one that is broken. After that they look when
    they are asked. ``password``: user "anna"'s, without which nobody comes in; the client has a token."""
    scenes = await asyncio.to_thread(_pictures, folder, count)
    cameras: dict[str, Any] = {
        id_: {
            "name": id_.replace("_", " ").capitalize(),
            "area": ("Entrance", "Garden", "Upstairs")[number % 3],
            "source": {"use": "file", "path": str(folder / f"{id_}.png"), "pace": "step"},
            "every": "1h",
            "questions": QUESTIONS if number % 3 == 0 else {},
        }
        for number, id_ in enumerate(scenes)
    }
    cameras["broken"] = {"source": {"use": "file", "path": str(folder / "missing.png"), "pace": "step"}, "every": "1h"}
    settings = {"model": {"preset": "tiny"}, "web": {"port": 0}, "cameras": cameras, "outputs": {}, **config}
    path = write_config(folder, settings)
    headers = await asyncio.to_thread(_lock, folder / "data", password) if password else {}
    async with camscribe("run", "--config", str(path)) as service:
        url = await service.until(lambda: _url(service.err))
        home = Home(service, url, scenes)
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=10) as home.client:
            await _all_seen(home, 60 + count)
            yield home
        assert await service.stop() == 0


def _pictures(folder: Path, count: int) -> dict[str, str]:
    scenes = {}
    for number, (truth, picture) in enumerate(known_scenes(count)):
        id_ = f"camera_{number}"
        picture.save(folder / f"{id_}.png")
        scenes[id_] = truth
    return scenes


def _lock(data_dir: Path, password: str) -> dict[str, str]:
    """What a program says to come in."""
    hash_, token = hashed(password), new_token()
    Store(data_dir).change(lambda old: old.with_user("anna", hash_).with_token("tests", token, datetime.now(UTC)))
    return {"Authorization": f"Bearer {token}"}


def _url(printed: list[str]) -> str | None:
    return next((line.partition(SAID)[2].strip() for line in printed if SAID in line), None)


async def _all_seen(home: Home, within: float) -> None:
    async with asyncio.timeout(within):
        cameras = await home.cameras()
        while not all(cameras[id_]["last"] for id_ in home.scenes):
            await asyncio.sleep(0.2)
            cameras = await home.cameras()
