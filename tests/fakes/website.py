"""The web pages and the API over real HTTP, with a real journal, and cameras whose pictures the test makes."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from agent.camera import Camera
from agent.clock import Clock, SystemClock
from agent.config import Config, parse
from agent.config.grammar import WebSettings
from agent.controls import Controls
from agent.figures import Figures
from agent.house import House
from agent.status import Counters
from agent.values import Observation
from agent.web.access.access import Access
from agent.web.problems import Problem
from agent.web.server import WebServer
from agent.web.services import Services
from agent.web.site import make_site
from agent.web.stream import Stream
from tests.fakes.looking import Desk, desk
from tests.fakes.observations import observation
from tests.fakes.visiting import visitor


class Website:
    """``client`` asks it as a program would; ``see`` lets a camera have seen something."""

    def __init__(self, desk: Desk, house: House, stream: Stream, server: WebServer, figures: Figures) -> None:
        self.desk, self.house, self.stream, self._server = desk, house, stream, server
        self.figures = figures
        self.journal = desk.journal
        self.client: httpx.AsyncClient

    @property
    def url(self) -> str:
        assert self._server.url
        return self._server.url

    async def see(self, camera: str = "door", **facts: Any) -> Observation:
        """Record an observation, with a grey picture where it has one."""
        made = observation(camera=camera, **facts)
        seen = await self.journal.record(made, _grey() if made.picture else None)
        if camera in self.house.cameras:
            self.house.cameras[camera].looked(seen)
        self.house.touch()
        return seen

    async def events(self, last: int | None = None) -> AsyncIterator[tuple[str, int | None, Any]]:
        """Kind, id and data of each event of the stream."""
        headers = {} if last is None else {"Last-Event-ID": str(last)}
        async with self.client.stream("GET", "/api/v1/stream", headers=headers, timeout=20) as response:
            if response.status_code != 200:
                raise Problem(response.status_code, (await response.aread()).decode())
            rest = b""
            async for chunk in response.aiter_bytes():
                *events, rest = (rest + chunk).split(b"\n\n")
                for event in events:
                    fields = dict(line.split(b": ", 1) for line in event.split(b"\n"))
                    if b"event" in fields:
                        id_ = int(fields[b"id"]) if b"id" in fields else None
                        yield fields[b"event"].decode(), id_, json.loads(fields[b"data"])


@asynccontextmanager
async def website(
    folder: Path,
    cameras: tuple[str, ...] = ("door", "yard"),
    web: Mapping[str, Any] | None = None,
    figures: Callable[[Clock, Counters], Figures] = Figures,
) -> AsyncIterator[Website]:
    """On a free port of loopback, without a password unless the folder's data_dir has one."""
    settings = WebSettings.model_validate({"port": 0, **(web or {})})
    async with desk(folder, SystemClock()) as made:
        config = await asyncio.to_thread(_config, folder, cameras)
        house = _house(config, made)
        services = Services(
            config=lambda: config,
            house=house,
            journal=made.journal,
            counters=made.counters,
            clock=made.clock,
            figures=figures(made.clock, made.counters),
            visitor=visitor(made, house, lambda: config.captioners),
            status=lambda: {"version": "0"},
        )
        access = Access(settings, made.journal.data_dir, made.clock, made.counters)
        await access.open()
        stream = Stream(made.journal, house, made.counters)
        site = await asyncio.to_thread(make_site, services, access, stream)
        server = WebServer(site, settings.host, settings.port, made.clock, counters=made.counters, ending=stream.end)
        tasks = [asyncio.create_task(part()) for part in (server.run, stream.run)]
        tasks += [asyncio.create_task(camera.run()) for camera in house.cameras.values()]
        website = Website(made, house, stream, server, services.figures)
        try:
            while server.url is None:
                assert not tasks[0].done(), tasks[0].exception()
                await asyncio.sleep(0.01)
            async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=10) as website.client:
                yield website
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def _config(folder: Path, cameras: tuple[str, ...]) -> Config:
    return parse(
        {
            "data_dir": str(folder / "data"),
            "cameras": {id_: {"source": "demo"} for id_ in cameras},
            "model": {"preset": "tiny"},
        }
    )


def _house(config: Config, desk: Desk) -> House:
    controls = Controls(config.data_dir, keep=False)
    house = House("0", desk.queue, lambda: ("ready", "tiny"), controls, desk.clock, desk.counters)
    house.captioners = config.captioners
    for id_ in config.cameras:
        house.receive(_camera(desk, id_))
    return house


def _camera(desk: Desk, id_: str) -> Camera:
    return desk.camera(id=id_, name=id_.replace("_", " ").capitalize(), every=30.0)


def _grey() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (64, 48), (100, 110, 120)).save(made, "JPEG")
    return made.getvalue()
