"""The captioner plugin: the managed engine, asked one picture at a time."""

from __future__ import annotations

import asyncio
import dataclasses

from agent.plugin import Caption, Captioner, CaptionRequest, CaptionUnavailable, Context, Detail, Failure, ModelView
from plugins.captioners.answering import caption_and_answers
from plugins.captioners.llama_server import binary, command, endpoint, hub
from plugins.captioners.llama_server.client import EngineLost
from plugins.captioners.llama_server.config import LlamaServerConfig
from plugins.captioners.llama_server.engine import Engine, Launch, Pace
from plugins.captioners.llama_server.presets import Files


class LlamaServer(Captioner[LlamaServerConfig]):
    """Captions with a llama-server that it finds, starts and looks after."""

    def __init__(self, config: LlamaServerConfig, context: Context, pace: Pace | None = None) -> None:
        super().__init__(config, context)
        self.slots = config.parallel
        pace = pace or dataclasses.replace(Pace(), start_timeout=config.start_timeout)
        self.engine = Engine(self._prepare, pace, context.log)

    def view(self, detail: Detail = Detail.MEDIUM) -> ModelView:
        return self.config.choice.view

    @property
    def model(self) -> str:
        return self.config.choice.name

    @property
    def state(self) -> str:
        """``ready``, ``starting``, ``failed: …`` and so on."""
        return str(self.engine)

    async def run(self) -> None:
        await self.engine.run()

    async def ready(self, timeout: float) -> None:
        await self.engine.ready(timeout)

    async def check(self) -> str:
        """What there is to work with, without starting it. Raises Misconfigured."""
        engine = await self._engine()
        files = await asyncio.to_thread(hub.on_disk, self.config.choice.origin, self.context.data_dir)
        where = "on disk" if files else "to be downloaded at the first start"
        return f"{self.model} ({where}), served by {engine}"

    async def caption(self, request: CaptionRequest) -> Caption:
        client = self.engine.client
        if client is None:
            raise self.engine.unavailable()

        async def ask(text: str, max_tokens: int) -> Caption:
            try:
                caption = await client.ask(
                    request.picture, text, max_tokens, self.config.temperature, self.model, request.timeout
                )
            except EngineLost:
                self.engine.lost()
                raise
            except CaptionUnavailable as error:
                if error.kind is Failure.ENGINE_TIMEOUT:
                    self.engine.overran()
                raise
            self.engine.answered()
            return caption

        return await caption_and_answers(request, ask)

    async def _prepare(self) -> Launch:
        config, folder = self.config, self.context.runtime_dir
        place = await asyncio.to_thread(self._place)
        engine = await self._engine()
        files = await self._files()
        await endpoint.make_way(place, folder)
        return Launch(
            name=str(engine),
            command=command.command(engine, config, files, place),
            env={**command.environment(config), **engine.libraries},
            endpoint=place,
            key=config.api_key.get_secret_value() if config.api_key else None,
        )

    async def _engine(self) -> binary.Found:
        return await binary.find(self.config.binary, self.log, self.context.runtime_dir / "lib")

    def _place(self) -> endpoint.Endpoint:
        if self.config.port:
            return endpoint.on_tcp(self.config.host, self.config.port)
        return endpoint.on_socket(self.context.runtime_dir)

    async def _files(self) -> Files:
        origin = self.config.choice.origin
        if isinstance(origin, Files):
            return origin
        return await hub.fetch(origin, self.context.data_dir, self.log, self.engine.progress)
