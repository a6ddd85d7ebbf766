"""What the pages and the API use of the agent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from agent.clock import Clock
from agent.config import Config
from agent.figures import Figures
from agent.house import House
from agent.journal import Journal
from agent.status import Counters
from agent.visitor import Visitor


@dataclass(frozen=True, slots=True)
class Services:
    """Handed to every route as ``Given``."""

    config: Callable[[], Config]
    """The one that runs now: it may be exchanged under way."""
    house: House
    journal: Journal
    counters: Counters
    clock: Clock
    figures: Figures
    visitor: Visitor
    status: Callable[[], dict[str, Any]]
    """What ``camscribe doctor`` asks the running service for."""


def of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Given = Annotated[Services, Depends(of)]
