"""The captioner plugin: the managed engine, asked one picture at a time."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from agent.plugin import (
    Caption,
    Captioner,
    CaptionRequest,
    CaptionUnavailable,
    Context,
    Detail,
    Failure,
    Models,
    ModelView,
    Progress,
    Wire,
)
from plugins.captioners.answering import caption_and_answers
from plugins.captioners.chat import Asked, Said
from plugins.captioners.engine import endpoint
from plugins.captioners.engine.client import Client, EngineLost, encoded
from plugins.captioners.engine.owner import Engine, Launch, Pace
from plugins.captioners.llama_server import binary, command, copies, describe, hub, once
from plugins.captioners.llama_server.config import LlamaServerConfig
from plugins.captioners.llama_server.fitted import Fitted, fitted
from plugins.captioners.llama_server.models import LlamaModels
from plugins.captioners.llama_server.presets import Files
from plugins.captioners.llama_server.slots import Slot, Slots


class LlamaServer(Captioner[LlamaServerConfig]):
    """Captions with a llama-server that it finds, starts and looks after."""

    def __init__(self, config: LlamaServerConfig, context: Context, pace: Pace | None = None) -> None:
        super().__init__(config, context)
        self.slots = config.parallel
        self._slots = Slots(config.parallel)
        self._minded: set[str] = set()
        self._tiles = False
        """Some camera wants pictures of several tiles (``detail: high``)."""
        self._once = False
        """The engine that runs, or is starting, encodes each picture as one tile, once."""
        self._copied = False
        """It was given a copy of one of its model's files."""
        self._copies = config.copies
        """The model's files may be served as copies."""
        self._plain: binary.Found | None = None
        """The engine that is to do without code for particular processors."""
        pace = pace or dataclasses.replace(
            Pace(), start_timeout=config.start_timeout, sleep_after=config.sleep_when_idle
        )
        self.engine = Engine(self._prepare, pace, context.log, self._watched)

    @classmethod
    def models(cls, data_dir: Path, log: logging.Logger) -> Models:
        return LlamaModels(data_dir, log)

    def view(self, detail: Detail = Detail.MEDIUM) -> ModelView:
        view = self.config.choice.seen_at(detail)
        self._tiles |= view.size > self.config.choice.view.size
        return view

    def expects(self, details: Collection[Detail]) -> None:
        for detail in details:
            self.view(detail)

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
        engine = await self._engine()
        if isinstance(engine, binary.Wheel):
            command.check(self.config)
        files = await asyncio.to_thread(hub.on_disk, self.config.choice.origin, self.context.data_dir)
        where = "on disk" if files else "to be downloaded at the first start"
        how = describe.device(engine, self.config)
        threads = command.threads(self.config)
        return f"{self.model} ({where}), served by {engine} {how}, threads: {threads}{await self._port()}"

    async def _port(self) -> str:
        if not self.config.port:
            return ""
        taken = await endpoint.on_tcp(self.config.host, self.config.port).answers()
        return f"; port {self.config.port} is {'in use (by camscribe itself, if it runs)' if taken else 'free'}"

    async def caption(self, request: CaptionRequest) -> Caption:
        async with self._slots.lent(request.picture, request.timeout) as slot:
            for _ in range(2):
                if self._outgrown and self.engine.renew():
                    self.log.info(
                        "a camera wants detail: high: the engine starts again, and encodes tiles and overview of every "
                        "picture from now on, which takes longer; a captioner of that camera's own spares the others"
                    )
                async with self.engine.asking(request.timeout) as client:
                    if not self._outgrown:  # it may have been starting when that camera came
                        return await self._caption(client, slot, request)
        raise self.engine.unavailable()

    @property
    def _outgrown(self) -> bool:
        """The engine encodes pictures of one tile, and some have more."""
        return self._tiles and self._once

    def wire(self, request: CaptionRequest) -> Wire | None:
        client = self.engine.client
        if client is None:
            return None
        picture = encoded(request.picture)
        asked = Asked(request.prompt, request.max_tokens)
        body = client.body(picture, asked, self.config.temperature, slot=0)
        return client.wire(body)

    async def _caption(self, client: Client, slot: Slot, request: CaptionRequest) -> Caption:
        picture = encoded(request.picture)

        async def ask(asked: Asked) -> Said:
            body = client.body(picture, asked, self.config.temperature, slot.id)
            slot.asked = True
            try:
                said = await client.complete(body, self.model, request.timeout)
            except EngineLost:
                self.engine.lost()
                raise
            except CaptionUnavailable as error:
                if error.kind is Failure.ENGINE_TIMEOUT:
                    self.engine.overran()
                raise
            slot.asked = False
            self.engine.answered()
            return said

        return await caption_and_answers(request, ask, grammar=True)

    async def _prepare(self) -> Launch:
        folder = self.context.runtime_dir
        place = await asyncio.to_thread(self._place)
        engine = await self._engine()
        files = await self._files()
        await endpoint.make_way(place, folder)
        self.engine.progress("getting the model's files ready")
        fit = await self._fit(engine, files)
        config, self._once, self._copied = fit.config, fit.once, fit.files != files
        self._mind(engine, config)
        return Launch(
            name=str(engine),
            command=command.command(engine, config, fit.files, place, plain=self._is_plain(engine)),
            env={**command.environment(config), **engine.libraries},
            endpoint=place,
            key=config.api_key.get_secret_value() if config.api_key else None,
            about=await asyncio.to_thread(describe.set_up, engine, fit),
            lead=once.LEAD if fit.once else "",
        )

    def _is_plain(self, engine: binary.Found) -> bool:
        """Once it was stopped by an illegal instruction: llama.cpp's code for some processors is at fault on them."""
        can = isinstance(engine, binary.Installed) and command.PLAIN in engine.flags
        if can and self.engine.lacks_instruction and engine != self._plain:
            self._plain = engine
            self.log.info(
                "trying %s with %s, without its code for particular processors (extra_args: [%s] would spare it the "
                "start that failed)",
                engine,
                command.PLAIN,
                command.PLAIN,
            )
        return engine == self._plain

    async def _fit(self, engine: binary.Found, files: Files) -> Fitted:
        """Without the copies for good where they may be why it does not start."""
        if self._copies and self._copied and self.engine.doubts_files:
            self._copies = False
            self.log.info("trying the files of %s as they are, without the copies made of them", self.model)
            with suppress(OSError):  # on a disk that is only read they stay, unused
                await asyncio.to_thread(copies.remove, (files.model, files.mmproj), self.context.data_dir)
        if not self._copies:
            return Fitted(self.config, files)
        return await fitted(self.config, engine, files, self.context, tiles=self._tiles)

    def _mind(self, engine: binary.Found, config: LlamaServerConfig) -> None:
        """Say once what this engine can't do for this model."""
        if describe.lacks_budget(engine, config) and str(engine) not in self._minded:
            self._minded.add(str(engine))
            self.log.info(
                "%s has no option %s: pictures are sent in the size the model wants, and a model that cuts them up "
                "takes longer. A newer llama-server knows it.",
                engine,
                describe.BUDGET,
            )

    def _watched(self) -> list[Path]:
        """What a start that failed may have failed for."""
        files = hub.on_disk(self.config.choice.origin, self.context.data_dir)
        engine = self.config.binary or binary.on_this_machine()
        return [path for path in (engine, *(dataclasses.astuple(files) if files else ())) if path]

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
        return await hub.fetch(origin, self.context.data_dir, self.log, self._downloading)

    def _downloading(self, progress: Progress) -> None:
        part = f"downloading {progress.file}, {100 * progress.done // progress.total} %" if progress.total else ""
        self.engine.progress(part or progress.file)
