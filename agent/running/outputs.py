"""The outputs that run, each with its courier. One that changes says goodbye, and goes on where it was."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from agent.config import OutputSettings
from agent.delivery import Courier
from agent.house import House
from agent.journal import Journal
from agent.running.staff import Staff, end
from agent.view import View

GOODBYE = 4.0
"""Seconds the outputs have to say goodbye. With the engine's own stop beside it, SIGTERM ends within 10."""


@dataclass(frozen=True, slots=True)
class _Running:
    settings: OutputSettings
    courier: Courier
    task: asyncio.Task[None]


class Outputs:
    """``apply`` makes what runs equal to what is wanted."""

    def __init__(self, staff: Staff, house: House, journal: Journal) -> None:
        self._staff = staff
        self._house = house
        self._journal = journal
        self._running: dict[str, _Running] = {}

    @property
    def problems(self) -> dict[str, str | None]:
        """What is wrong with each just now."""
        return {name: running.courier.problem for name, running in self._running.items()}

    @property
    def waiting(self) -> dict[str, int]:
        """About how many observations each has not confirmed yet."""
        return {name: running.courier.waiting for name, running in self._running.items()}

    async def apply(self, wanted: Mapping[str, OutputSettings]) -> None:
        going = [name for name, running in self._running.items() if running.settings != wanted.get(name)]
        await asyncio.gather(*(self._end(name) for name in going))
        for name, settings in wanted.items():
            if name not in self._running:
                self._start(settings)

    def stop(self) -> list[asyncio.Task[None]]:
        """The outputs, asked to say goodbye."""
        for running in self._running.values():
            running.courier.stop()
        return [running.task for running in self._running.values()]

    def _start(self, settings: OutputSettings) -> None:
        name, plugin = settings.name, settings.plugin
        home = self._house if settings.cameras is None else View(self._house, settings.cameras)
        output = plugin.type(plugin.options, self._staff.context(name, f"output.{name}", home=home))
        courier = Courier(
            output,
            name,
            self._journal,
            backlog=settings.backlog,
            expire=settings.expire,
            timeout=settings.timeout,
            cameras=settings.cameras,
            clock=self._staff.clock,
            counters=self._staff.counters,
            log=logging.getLogger(f"camscribe.output.{name}"),
        )
        self._running[name] = _Running(settings, courier, self._staff.start(f"output {name}", courier.run))

    async def _end(self, name: str) -> None:
        running = self._running[name]
        running.courier.stop()
        await asyncio.wait({running.task}, timeout=GOODBYE)
        await end([running.task])
        running.courier.close()
        del self._running[name]
