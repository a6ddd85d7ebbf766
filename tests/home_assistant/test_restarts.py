"""Broker, Home Assistant and camscribe all go, and come back in every order: everything ends right, by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.fakes.broker import Broker
from tests.fakes.home_assistant import HomeAssistant
from tests.fakes.service import Service, camscribe, write_config

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

ORDERS = list(permutations(("broker", "home assistant", "camscribe")))
RIGHT_WITHIN = 40.0
"""Seconds after the last of them was started: Home Assistant tries its broker every ten."""


class Household:
    """The three, each of which can go and come back."""

    def __init__(self, folder: Path, broker: Broker, ha: HomeAssistant) -> None:
        self.broker, self.ha = broker, ha
        questions = {"person": {"type": "boolean", "ask": "Is there a person?"}}
        cameras = {"door": {"source": "demo", "every": "2s", "questions": questions}}
        self._config = write_config(
            folder, {"model": {"preset": "tiny"}, "outputs": {"mqtt": broker.config}, "cameras": cameras}
        )
        self._running = AsyncExitStack()
        self.service: Service | None = None

    async def start(self, who: str) -> None:
        if who == "broker":
            await self.broker.start()
        elif who == "home assistant":
            await self.ha.start(connected=False)
        else:
            self.service = await self._running.enter_async_context(camscribe("run", "--config", str(self._config)))

    async def kill(self, who: str) -> None:
        if who == "broker":
            await self.broker.kill()
        elif who == "home assistant":
            await self.ha.kill()
        else:
            await self.close()

    async def close(self) -> None:
        """Its end is a kill -9 where nobody asked it to stop."""
        await self._running.aclose()

    async def wrong(self, since: str) -> str | None:
        """What is not as it should be; the last look must be younger than ``since``."""
        states = {id_: one["state"] for id_, one in (await self.ha.states()).items()}
        away = [id_ for id_, state in states.items() if state == "unavailable"]
        if away or "camscribe_door_caption" not in states:
            return f"unavailable: {away}, of {len(states)}"
        if states["camscribe_door_last_look"] in ("unknown", "") or states["camscribe_door_last_look"] <= since:
            return f"the last look is of {states['camscribe_door_last_look']}"
        expected = {"enabled": "on", "problem": "off", "camera_state": "live", "captioner": "default"}
        different = {key: states[f"camscribe_door_{key}"] for key in expected}
        if different != expected:
            return str(different)
        if states["camscribe_door_caption"] in ("", "unknown") or states["camscribe_hub_engine"] != "ready":
            return f"caption {states['camscribe_door_caption']!r}, engine {states['camscribe_hub_engine']!r}"
        picture = await self.ha.picture("camscribe_door_picture")
        return None if picture.startswith(b"\xff\xd8") else "no picture"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def household(
    ha: HomeAssistant, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Household]:
    household = Household(tmp_path_factory.mktemp("camscribe"), broker, ha)
    await household.start("camscribe")
    await all_right(household, "")
    # Home Assistant writes its registry down after ten seconds; a kill before that is not what is tried here.
    await asyncio.sleep(11)
    yield household
    await household.close()


async def all_right(household: Household, since: str) -> None:
    """Wait for it."""
    wrong: Any = "nothing looked yet"

    async def right() -> bool:
        nonlocal wrong
        try:
            wrong = await household.wrong(since)
        except (AssertionError, OSError, KeyError) as error:
            wrong = repr(error)[:300]
        return wrong is None

    try:
        await household.ha.until(right, RIGHT_WITHIN)
    except AssertionError as error:
        raise AssertionError(f"{wrong}\n{error}") from None


@pytest.mark.parametrize("order", ORDERS, ids=[", ".join(order) for order in ORDERS])
@pytest.mark.parametrize("store", ["kept", "wiped"])
async def test_all_go_and_come_back(household: Household, order: tuple[str, ...], store: str):
    since = (await household.ha.state("camscribe_door_last_look"))["state"]
    for who in order:
        await household.kill(who)
    if store == "wiped":
        household.broker.forget()
    for who in order:
        await household.start(who)
    began = time.monotonic()
    await all_right(household, since)
    print(f"{', '.join(order)}; store {store}: right after {time.monotonic() - began:.1f} s")


@pytest.mark.parametrize("who", ["broker", "home assistant", "camscribe"])
async def test_one_alone_goes_and_comes_back(household: Household, who: str):
    since = (await household.ha.state("camscribe_door_last_look"))["state"]
    await household.kill(who)
    if who == "broker":
        household.broker.forget()
    await household.start(who)
    began = time.monotonic()
    await all_right(household, since)
    print(f"{who}: right after {time.monotonic() - began:.1f} s")
