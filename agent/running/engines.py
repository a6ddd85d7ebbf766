"""The captioners that run: those that cameras want, each with its engine and its slots."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent.captioning import Captioning
from agent.config import CaptionerSettings
from agent.errors import Misconfigured
from agent.plugin import Captioner, Detail
from agent.running.staff import Staff, end

log = logging.getLogger("camscribe.captions")


@dataclass(frozen=True, slots=True)
class _Running:
    settings: CaptionerSettings
    captioner: Captioner[Any]
    captioning: Captioning
    engine: asyncio.Task[None]
    slots: list[asyncio.Task[None]]

    @property
    def gave_up(self) -> bool:
        """Its engine can't work as configured, and has said so."""
        return self.engine.done()


class Engines:
    """``apply`` makes what runs equal to what is wanted. Frames wait in the line for as long as it takes."""

    def __init__(
        self,
        staff: Staff,
        captioning: Callable[[str, Captioner[Any]], Captioning],
        details: Callable[[str], Collection[Detail]],
    ) -> None:
        """``details``: those that cameras want of the captioner of that name."""
        self._staff = staff
        self._captioning = captioning
        self._details = details
        self._running: dict[str, _Running] = {}
        self._started = asyncio.Event()
        self.in_service = False
        """From then on a captioner that can't work as configured is no reason to end: the others go on."""

    def __iter__(self) -> Iterator[tuple[str, Captioner[Any]]]:
        return iter([(name, running.captioner) for name, running in self._running.items()])

    async def one(self, name: str) -> Captioner[Any]:
        """The captioner of that name, once it runs."""
        while name not in self._running:
            await self._started.wait()
        return self._running[name].captioner

    def gave_up(self, name: str) -> bool:
        """It runs, and can't work as configured."""
        return name in self._running and self._running[name].gave_up

    async def apply(self, wanted: Mapping[str, CaptionerSettings]) -> None:
        """First ends those that go or change, then starts the new: two models at once may be more than fits."""
        going = [name for name, is_ in self._running.items() if is_.settings != wanted.get(name) or is_.gave_up]
        await asyncio.gather(*(self._end(name) for name in going))
        for name, settings in wanted.items():
            if name not in self._running:
                self._start(settings)

    def stop_asking(self) -> list[asyncio.Task[None]]:
        """The slots, cancelled in the middle of whatever they do."""
        slots = [slot for running in self._running.values() for slot in running.slots]
        for slot in slots:
            slot.cancel()
        return slots

    def stop(self) -> list[asyncio.Task[None]]:
        """The engines, told to end."""
        engines = [running.engine for running in self._running.values()]
        for engine in engines:
            engine.cancel()
        return engines

    def made(self, settings: CaptionerSettings) -> Captioner[Any]:
        """A captioner that does not run."""
        name, plugin = settings.name, settings.plugin
        captioner: Captioner[Any] = plugin.type(plugin.options, self._staff.context(name, f"captioner.{name}"))
        return captioner

    def _start(self, settings: CaptionerSettings) -> None:
        name = settings.name
        captioner = self.made(settings)
        captioning = self._captioning(name, captioner)
        engine = self._staff.start(f"captioner {name}", partial(self._keep, name, captioner))
        slots = [self._staff.start(f"captions of {name}", captioning.run) for _ in range(captioner.slots)]
        self._running[name] = _Running(settings, captioner, captioning, engine, slots)
        self._started.set()
        self._started = asyncio.Event()

    async def _keep(self, name: str, captioner: Captioner[Any]) -> None:
        try:
            captioner.expects(self._details(name))
            await captioner.run()
            await asyncio.Event().wait()  # one without an engine
        except Misconfigured as error:
            if not self.in_service:
                raise
            told = "Captioner %s can't work as the config has it; its looks fail until that is mended. %s"
            log.error(told, name, error)  # noqa: TRY400 (that is for a person to mend, and no bug)

    async def _end(self, name: str) -> None:
        """What is in flight ends first; each has its deadline."""
        running = self._running[name]
        running.captioning.leave(running.slots)
        await asyncio.wait(running.slots)
        await end([running.engine])
        del self._running[name]
