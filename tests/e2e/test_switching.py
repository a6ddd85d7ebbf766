"""A camera is sent to another captioner by command: its engine starts for it, and nothing that waits is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent import control
from agent.app import App
from agent.config import load
from agent.errors import CommandRefused
from agent.runtime import control_socket
from tests.fakes.accounts import status
from tests.fakes.service import write_config
from tests.fakes.waiting import eventually

pytestmark = pytest.mark.slow

CONFIG = {
    "model": {"preset": "tiny"},
    "captioners": {"spare": {"preset": "tiny"}},
    "cameras": {
        "door": {"source": "demo", "every": "300ms", "questions": {"dog": "Is there a dog?"}},
        "yard": {"source": "demo", "max_age": "1m"},
    },
}


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[App]:
    path = write_config(folder, CONFIG)
    # What runs once before the service begins reads files as it likes.
    app, stop = await asyncio.to_thread(lambda: App(load(path))), asyncio.Event()
    task = asyncio.create_task(app.run(stop))
    try:
        await eventually(lambda: task.done() or captioned(app, "default") > 1, 60)
        yield app
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


def captioned(app: App, captioner: str) -> int:
    return app._counters.value("captions_total", captioner=captioner, camera="door")


async def test_the_engine_that_is_wanted_starts_and_the_one_that_nobody_wants_ends(tmp_path: Path):
    async with running(tmp_path) as app:
        assert set((await status(tmp_path))["captioners"]) == {"default"}, "a model nobody asks takes no memory"
        for camera in ("door", "yard"):
            await app._house.command(camera, "captioner", "spare")
        asked = control.ask(control_socket(tmp_path / "data"), {"do": "look", "camera": "yard"}, 30)
        assert (await asked)["observation"]["captioner"] == "spare"
        await eventually(lambda: captioned(app, "spare") > 1)
        assert set((await status(tmp_path))["captioners"]) == {"spare"}
        await app._house.command("door", "captioner", "default, spare")
        before = captioned(app, "default")
        await eventually(lambda: captioned(app, "default") > before + 1)
        told = await status(tmp_path)
        assert {name: about["state"] for name, about in told["captioners"].items()} == {
            "default": "ready",
            "spare": "ready",
        }
        assert told["captioners"]["default"]["model"] == "tiny"
        assert app._house.state.cameras["door"].captioner == ("default", "spare")
        assert app._counters.value("looks_failed_total") == 0


async def test_an_unknown_captioner_is_refused_with_those_that_are_known(tmp_path: Path):
    async with running(tmp_path) as app:
        with pytest.raises(CommandRefused, match=r"no captioner 'sparse'\. There is: default, spare\."):
            await app._house.command("door", "captioner", "default, sparse")
        assert app._house.cameras["door"].captioner == ("default",)


async def test_what_a_command_has_set_outlives_a_reload_unless_the_file_says_something_new_of_it(tmp_path: Path):
    async with running(tmp_path) as app:
        door = app._house.cameras["door"]
        for name, value in (("every", "1h"), ("prompt", "Who is there?"), ("captioner", "spare"), ("enabled", "OFF")):
            await app._house.command("door", name, value)
        reload = {"do": "reload"}
        changed = {**CONFIG, "cameras": {**CONFIG["cameras"]}}
        changed["cameras"]["door"] = {**CONFIG["cameras"]["door"], "prompt": "What is new?", "max_tokens": 30}
        await asyncio.to_thread(write_config, tmp_path, changed)
        said = (await control.ask(control_socket(tmp_path / "data"), reload, 30))["told"]
        assert said.endswith("is taken over: camera door (prompt, max_tokens).")
        assert (door.every, door.prompt, door.captioner, door.enabled) == (3600, "What is new?", ("spare",), False)
        del changed["captioners"]
        changed["cameras"]["door"]["every"] = "2s"
        await asyncio.to_thread(write_config, tmp_path, changed)
        await control.ask(control_socket(tmp_path / "data"), reload, 30)
        assert (door.every, door.captioner) == (2, ("default",)), "the captioner it had is no more"
        assert app._house.cameras["door"] is door, "its connection was not touched"


async def test_the_cameras_questions_are_answered_on_the_same_picture(tmp_path: Path):
    async with running(tmp_path):
        look = {"do": "look", "camera": "door"}
        own = (await control.ask(control_socket(tmp_path / "data"), look, 30))["observation"]
        assert own["answers"]["dog"]["value"]
        other = await control.ask(control_socket(tmp_path / "data"), {**look, "prompt": "Is there a cat?"}, 30)
        assert other["observation"]["answers"] == {}
