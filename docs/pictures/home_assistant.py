"""Makes the pictures of Home Assistant, from a real one with a real camscribe and its demo's camera:

    python -m docs.pictures.home_assistant

It needs the rig of the tests (`make home-assistant`), mosquitto, and Chromium (`apt-get install chromium
fonts-noto-color-emoji`), which is spoken to over its DevTools protocol; nothing else. It takes two minutes.
"""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import websockets
import yaml
from PIL import Image

from tests.fakes.broker import Broker
from tests.fakes.home_assistant import HomeAssistant, onboarding
from tests.fakes.service import ROOT, camscribe, write_config

HERE = Path(__file__).parent
BLUEPRINT = ROOT / "home-assistant/blueprints/automation/camscribe/tell_me_when.yaml"
DASHBOARD = yaml.safe_load((ROOT / "home-assistant/dashboard.yaml").read_text())
QUESTIONS = {
    "person": {"type": "boolean", "ask": "Is there a person?", "device_class": "occupancy"},
    **{thing: {"type": "boolean", "ask": f"Is there a {thing}?"} for thing in ("car", "dog", "package")},
}
QUESTION = "What is the person wearing?"
CAMERA = {
    "name": "Front door",
    "source": {"use": "demo", "seed": 7, "seconds_a_scene": 35, "width": 960, "height": 720},
    "every": "5s",
    "questions": QUESTIONS,
}
COLOURS = 256
LARGEST = 250_000
"""Bytes of a picture."""


class Browser:
    """One page of a Chromium without a window, by its DevTools protocol."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator[Self]:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        assert found, "Chromium is not installed: apt-get install chromium"
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        options += ["--hide-scrollbars", "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]
        with (folder / "chromium.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(found, *options, stdout=log, stderr=log)
        try:
            async with asyncio.timeout(60):
                while not (port := _port(folder)):
                    await asyncio.sleep(0.1)
            async with websockets.connect(f"ws://127.0.0.1:{port}", max_size=None, proxy=None) as socket:
                yield cls(socket)
        finally:
            process.terminate()
            await process.wait()

    async def open(self, width: int, height: int, script: str) -> str:
        """A new page, in which ``script`` runs before every document; its session."""
        target = await self.ask("Target.createTarget", url="about:blank")
        attached = await self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        session: str = attached["sessionId"]
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.ask("Emulation.setDeviceMetricsOverride", session, **size)
        await self.ask("Page.enable", session)
        await self.ask("Page.addScriptToEvaluateOnNewDocument", session, source=script)
        return session

    async def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        await self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        async with asyncio.timeout(60):
            async for text in self._socket:
                answer = json.loads(text)
                if answer.get("id") == number:
                    assert "error" not in answer, answer
                    return answer["result"]
        raise ConnectionError("Chromium has gone")


def _port(folder: Path) -> str | None:
    told = folder / "DevToolsActivePort"
    lines = told.read_text().splitlines() if told.exists() else []
    return f"{lines[0]}{lines[1]}" if len(lines) == 2 else None


async def take(browser: Browser, ha: HomeAssistant, path: str, size: tuple[int, int], name: str) -> None:
    """What a person who has signed in sees at that path."""
    tokens = {"hassUrl": ha.url, "clientId": f"{ha.url}/", "access_token": ha._token, "token_type": "Bearer"}
    tokens |= {"refresh_token": "", "expires": 4102444800000, "expires_in": 1800}
    kept = {"hassTokens": json.dumps(tokens), "selectedTheme": json.dumps({"dark": False}), "dockedSidebar": '"always_hidden"'}
    script = "".join(f"localStorage.setItem({json.dumps(key)}, {json.dumps(value)});" for key, value in kept.items())
    session = await browser.open(*size, script=f"if (location.protocol === 'http:') {{ {script} }}")
    await browser.ask("Page.navigate", session, url=f"{ha.url}{path}")
    await asyncio.sleep(12)  # for pictures, fonts and animations, which tell nobody when they are done
    shot = await browser.ask("Page.captureScreenshot", session, format="png")
    picture = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
    file = HERE / f"{name}.png"
    picture.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(file, optimize=True)
    assert file.stat().st_size <= LARGEST, f"{file.name} has {file.stat().st_size:,} bytes"


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "camscribe").mkdir()
        (folder / "browser").mkdir()
        ha = HomeAssistant(folder / "home-assistant", broker := Broker(folder / "broker"), "new")
        onboarding.write_config(ha.config, ha.port)
        with (ha.config / "configuration.yaml").open("a") as file:
            file.write("history:\nlogbook:\n")
        outputs = {"mqtt": broker.config}
        config = {"model": {"preset": "tiny"}, "outputs": outputs, "cameras": {"front_door": CAMERA}}
        command = ("run", "--config", str(write_config(folder / "camscribe", config)))
        await broker.start()
        try:
            await ha.start()
            async with camscribe(*command) as service, Browser.running(folder / "browser") as browser:
                await show(ha, browser)
                assert await service.stop() == 0
        finally:
            await ha.kill()
            await broker.kill()


async def show(ha: HomeAssistant, browser: Browser) -> None:
    place = {"url_path": "camscribe-home"}
    await ha.api.ask("lovelace/dashboards/create", **place, title="camscribe", icon="mdi:cctv")
    await ha.api.ask("lovelace/config/save", **place, config=DASHBOARD)
    await ha.until(lambda: _is(ha, "camscribe_front_door_answer_person", "on"), 120)  # somebody has just come
    inputs = {"seen": "event.camscribe_front_door_seen", "what": ["person"]}
    made = {"alias": "Somebody at the front door", "use_blueprint": {"path": await ha.blueprint(BLUEPRINT), "input": inputs}}
    await ha.automation(made, "somebody")
    await ha.call("notify", "send_message", "camscribe_front_door_ask", message=QUESTION)
    await take(browser, ha, "/camscribe-home/cameras", (1280, 500), "home_assistant_dashboard")
    device = next(device for device in await ha.devices() if device["name"] == CAMERA["name"])
    await take(browser, ha, f"/config/devices/device/{device['id']}", (1280, 1640), "home_assistant_device")
    await take(browser, ha, "/config/automation/edit/somebody", (1000, 890), "home_assistant_blueprint")


async def _is(ha: HomeAssistant, unique_id: str, state: str) -> bool:
    found = await ha.state(unique_id)
    return found is not None and found["state"] == state


if __name__ == "__main__":
    asyncio.run(main())
