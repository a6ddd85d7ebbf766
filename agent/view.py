"""The home as an output sees it that is told of some cameras only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import replace

from agent.errors import CommandRefused
from agent.plugin import Home, HomeState
from agent.values import Observation


class View:
    """Implements agent.plugin.Home: the other cameras do not exist there. What commands camscribe itself is for all."""

    def __init__(self, home: Home, cameras: Collection[str]) -> None:
        self._home = home
        self._cameras = cameras

    @property
    def state(self) -> HomeState:
        return self._of(self._home.state)

    async def changes(self) -> AsyncIterator[HomeState]:
        async for state in self._home.changes():
            yield self._of(state)

    async def command(self, camera: str | None, name: str, value: str) -> None:
        if camera is not None:
            self._check(camera)
        await self._home.command(camera, name, value)

    async def look(self, camera: str, prompt: str | None = None) -> Observation:
        self._check(camera)
        return await self._home.look(camera, prompt)

    def _of(self, state: HomeState) -> HomeState:
        return replace(state, cameras={id_: one for id_, one in state.cameras.items() if id_ in self._cameras})

    def _check(self, camera: str) -> None:
        if camera not in self._cameras:
            raise CommandRefused(f"There is no camera '{camera[:60]}' here.")
