"""The captioner plugin: a model of Hugging Face's Transformers, in a process of its own."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import psutil

from agent.plugin import (
    Caption,
    Captioner,
    CaptionRequest,
    CaptionUnavailable,
    Context,
    Detail,
    Failure,
    Misconfigured,
    ModelView,
    Wire,
)
from plugins.captioners.answering import caption_and_answers
from plugins.captioners.chat import Asked, Said
from plugins.captioners.engine import endpoint
from plugins.captioners.engine.client import Client, EngineLost, encoded
from plugins.captioners.engine.errors import NotStarted
from plugins.captioners.engine.owner import Engine, Launch, Pace
from plugins.captioners.transformers import process
from plugins.captioners.transformers.config import TransformersConfig
from plugins.captioners.transformers.presets import Hosted

NEEDED = ("torch", "transformers", "huggingface_hub", "pillow", "numpy")
COMPUTING = "computing on "
"""How its line begins that tells the device and the type of numbers."""
GONE_WITHIN = 5.0
LEAK = 2.0
"""So many times the memory after its first caption is a leak, where ``memory_limit`` says nothing."""


class Transformers(Captioner[TransformersConfig]):
    """Captions with PyTorch, in a process that can crash or leak without touching the agent.

    That process speaks llama-server's HTTP API on a socket that only we can open, so its owner is the managed engine's:
    the same states, the same back-off, the same end.
    """

    PATIENCE: ClassVar[float | None] = None
    """Seconds a caption that was given up may take to end before its process counts as hanging. None: as the model."""

    def __init__(self, config: TransformersConfig, context: Context, pace: Pace | None = None) -> None:
        super().__init__(config, context)
        pace = pace or dataclasses.replace(
            Pace(), start_timeout=config.start_timeout, sleep_after=config.sleep_when_idle
        )
        self.engine = Engine(self._prepare, pace, context.log, self._watched)
        self.renewals = 0
        """How often it was started afresh because its memory had grown."""
        self._measured = (0, 0)
        """The process, and the memory after its first caption."""

    def view(self, detail: Detail = Detail.MEDIUM) -> ModelView:
        return self.config.choice.view(detail)

    @property
    def model(self) -> str:
        return self.config.choice.name

    @property
    def state(self) -> str:
        """``ready``, ``starting``, ``failed: …`` and so on."""
        return str(self.engine)

    @property
    def said(self) -> Sequence[str]:
        return self.engine.said

    @property
    def processes(self) -> Sequence[int]:
        return self.engine.processes

    async def run(self) -> None:
        await self.engine.run()

    async def ready(self, timeout: float) -> None:
        await self.engine.ready(timeout)

    async def check(self) -> str:
        """What there is to work with, without starting it. Raises Misconfigured."""
        versions = await self._versions()
        where = "on disk" if await self._folder(look_only=True) else "to be downloaded at the first start"
        return f"{self.model} ({where}), with torch {versions['torch']} and transformers {versions['transformers']}"

    def wire(self, request: CaptionRequest) -> Wire | None:
        client = self.engine.client
        if client is None:
            return None
        asked = Asked(request.prompt, request.max_tokens)
        return client.wire(client.body(encoded(request.picture), asked, self.config.temperature))

    async def caption(self, request: CaptionRequest) -> Caption:
        async with self.engine.asking(request.timeout) as client:
            caption = await self._caption(client, request)
        await self._guard_memory()
        return caption

    async def _caption(self, client: Client, request: CaptionRequest) -> Caption:
        picture = encoded(request.picture)

        async def ask(asked: Asked) -> Said:
            body = client.body(picture, asked, self.config.temperature)
            try:
                said = await client.complete(body, self.model, request.timeout)
            except EngineLost:
                self.engine.lost()
                raise
            except CaptionUnavailable as error:
                if error.kind is Failure.ENGINE_TIMEOUT:
                    self.engine.overran()
                    self.engine.lost()  # it gives the caption up, or hangs: its health tells
                raise
            self.engine.answered()
            return said

        return await caption_and_answers(request, ask)

    async def _guard_memory(self) -> None:
        """PyTorch and what lies under it may hold ever more: start it afresh while no caption is under way."""
        pid = self.engine.pid
        if pid is None:
            return
        held = await asyncio.to_thread(_memory, pid)
        if self._measured[0] != pid:
            self._measured = (pid, held)
            where = next((line for line in reversed(self.said) if line.startswith(COMPUTING)), "")
            self.log.info("%s holds %.1f GB after its first caption, %s", self.model, held / 1e9, where)
        limit = self.config.memory_limit or int(self._measured[1] * LEAK)
        if held <= limit:
            return
        self.renewals += 1
        self.log.warning(
            "the model's process holds %.1f GB, more than %.1f GB (memory_limit): it starts afresh (so far %d times)",
            held / 1e9,
            limit / 1e9,
            self.renewals,
        )
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)
        self.engine.retire()
        try:
            async with asyncio.timeout(GONE_WITHIN):
                while self.engine.pid == pid:  # noqa: ASYNC110  its end sets no event here
                    await asyncio.sleep(0.02)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def _prepare(self) -> Launch:
        config, folder = self.config, self.context.runtime_dir
        versions = await self._versions()
        model = await self._folder(look_only=False)
        place = await asyncio.to_thread(endpoint.on_socket, folder)
        await endpoint.make_way(place, folder)
        settings = {
            "folder": model,
            "socket": place.host,
            "device": config.device,
            "dtype": config.dtype,
            "threads": process.threads(config.threads),
            "remote_code": self._remote_code,
            "patience": self.PATIENCE,
        }
        return Launch(
            name=f"{self.model} with torch {versions['torch']} and transformers {versions['transformers']}",
            command=process.command(self._python, "serve", settings),
            # A model's own code may want further files of its repository, which are here after the first time.
            env=process.environment(self.context.data_dir, offline=not self._remote_code),
            endpoint=place,
            about=f"device: {config.device}, dtype: {config.dtype}, threads: {settings['threads']}",
        )

    def _watched(self) -> list[Path]:
        """What a start that failed may have failed for."""
        origin = self.config.choice.origin
        files = sorted(origin.iterdir()) if isinstance(origin, Path) and origin.is_dir() else []
        return [Path(self._python), *files]

    @property
    def _python(self) -> str:
        return process.python(self.config.python)

    @property
    def _remote_code(self) -> bool:
        origin = self.config.choice.origin
        return isinstance(origin, Hosted) and origin.remote_code

    async def _versions(self) -> dict[str, str]:
        """Of the packages it needs. Raises Misconfigured where one is missing."""
        words = process.command(self._python, "about", {})
        versions: dict[str, str | None] = {}
        env = process.environment(self.context.data_dir, offline=True)
        await process.ask(words, env, self.log, lambda said: versions.update(said["versions"]))
        missing = [name for name in NEEDED if not versions.get(name)]
        if missing:
            what = " ".join(missing) if self.config.python else "'camscribe[transformers]'"
            raise Misconfigured(
                f"The captioner transformers needs {', '.join(missing)}, which {self._python} has not. "
                f"Install: {self._python} -m pip install {what}"
            )
        return {name: version for name, version in versions.items() if version}

    async def _folder(self, *, look_only: bool) -> str | None:
        """The folder of the model's files, downloaded where they are not here yet."""
        origin = self.config.choice.origin
        if isinstance(origin, Path):
            return str(origin)
        settings = {
            "repo": origin.repo,
            "revision": origin.revision,
            "cache": str(self.context.data_dir / "transformers"),
            "remote_code": origin.remote_code,
            "look_only": look_only,
        }
        env = process.environment(self.context.data_dir, offline=look_only, token=True)
        found: list[str] = []
        words = process.command(self._python, "fetch", settings)
        await process.ask(words, env, self.log, lambda said: self._heard(said, found))
        folder = found[-1] if found else None
        if folder is None and not look_only:
            raise NotStarted(f"The download of {origin} ended before its time.")
        return folder

    def _heard(self, said: dict[str, Any], found: list[str]) -> None:
        """A word from the download: raises what it says went wrong, notes the folder once it is there."""
        if "fault" in said:
            raise Misconfigured(said["fault"]) if said["lasting"] else NotStarted(said["fault"])
        if "progress" in said:
            self.engine.progress(said["progress"])
        if said.get("folder"):
            found.append(said["folder"])


def _memory(pid: int) -> int:
    """Bytes it holds in main memory; 0 where it has ended."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
