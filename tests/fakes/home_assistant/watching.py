"""What Home Assistant's event bus tells while a test looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.fakes.home_assistant.api import Api, Refused

CHANGED = "state_changed"
REGISTERED = "entity_registry_updated"


class Seen:
    """Events in their order, with the entities by their unique ids."""

    def __init__(self, unique_ids: dict[str, str]) -> None:
        self.events: list[dict[str, Any]] = []
        self._unique_ids = unique_ids
        self._news = asyncio.Condition()

    def of(self, unique_id: str) -> list[dict[str, Any] | None]:
        """Each new state of this entity, attributes and all; None where it went."""
        return [
            event["data"]["new_state"]
            for event in self.fired(CHANGED)
            if self._unique_ids.get(event["data"]["entity_id"]) == unique_id
        ]

    def fired(self, event_type: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event_type"] == event_type]

    async def until(self, condition: Callable[[Seen], Any], seconds: float = 30) -> Any:
        """Wait for ``condition(seen)``; its value."""
        try:
            async with asyncio.timeout(seconds), self._news:
                return await self._news.wait_for(lambda: condition(self))
        except TimeoutError:
            events = "\n".join(str(event)[:500] for event in self.events[-20:])
            raise AssertionError(f"not within {seconds} s; seen:\n{events}") from None

    async def take(self, api: Api, events: asyncio.Queue[dict[str, Any]]) -> None:
        while event := await events.get():
            if event["event_type"] == REGISTERED and event["data"]["action"] != "remove":
                entity_id = event["data"]["entity_id"]
                with suppress(Refused):  # it may have gone since
                    entry = await api.ask("config/entity_registry/get", entity_id=entity_id)
                    self._unique_ids[entity_id] = entry["unique_id"]
            async with self._news:
                self.events.append(event)
                self._news.notify_all()


@asynccontextmanager
async def watching(api: Api, *more: str) -> AsyncIterator[Seen]:
    """Changes of states, and events of ``more`` types, from here to the end of the block or of Home Assistant."""
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    numbers = [await api.subscribe(event_type, events) for event_type in (REGISTERED, CHANGED, *more)]
    registry = await api.ask("config/entity_registry/list")
    seen = Seen({entry["entity_id"]: entry["unique_id"] for entry in registry})
    taking = asyncio.create_task(seen.take(api, events))
    try:
        yield seen
    finally:
        taking.cancel()
        await asyncio.wait({taking})
        if api.open:
            for number in numbers:
                await api.unsubscribe(number)
