"""What is looked at every ten seconds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import psutil

from agent.plugin import Captioner


@dataclass(frozen=True, slots=True)
class Engine:
    """A captioner that runs."""

    state: str
    """``ready``, ``starting``, ``failed: …``."""
    model: str
    processes: Sequence[int]
    memory: int | None
    """Bytes its processes hold; None where it has none, as when somebody else serves it."""


@dataclass(frozen=True, slots=True)
class Outlet:
    """An output that runs."""

    waiting: int
    """Observations it has not confirmed."""
    problem: str | None


@dataclass(frozen=True, slots=True)
class Sample:
    queued: int
    memory: int
    """Bytes that camscribe's own process holds."""
    engines: Mapping[str, Engine]
    outputs: Mapping[str, Outlet]


class Outlets(Protocol):
    """agent.running.outputs.Outputs, of which only this is used."""

    @property
    def problems(self) -> Mapping[str, str | None]: ...

    @property
    def waiting(self) -> Mapping[str, int]: ...


def make_sampler(
    queued: Callable[[], int], engines: Iterable[tuple[str, Captioner[Any]]], outputs: Outlets
) -> Callable[[], Awaitable[Sample]]:
    """``engines`` is gone through anew each time."""

    async def sample() -> Sample:
        running = {
            name: (_state(captioner), captioner.model, tuple(captioner.processes)) for name, captioner in engines
        }
        own = os.getpid()
        held = await asyncio.to_thread(_memory, [own, *(pid for _, _, pids in running.values() for pid in pids)])
        problems, waiting = outputs.problems, outputs.waiting
        return Sample(
            queued=queued(),
            memory=held.get(own, 0),
            engines={
                name: Engine(state, model, pids, sum(held.get(pid, 0) for pid in pids) if pids else None)
                for name, (state, model, pids) in running.items()
            },
            outputs={name: Outlet(waiting.get(name, 0), problem) for name, problem in problems.items()},
        )

    return sample


def _state(captioner: Captioner[Any]) -> str:
    try:
        return captioner.state
    except Exception as error:  # noqa: BLE001 (a captioner's bug in telling its state is no reason to stop)
        return f"unknown ({type(error).__name__})"


def _memory(pids: Iterable[int]) -> dict[int, int]:
    """Resident bytes of each that is still there. Blocks."""
    found = {}
    for pid in pids:
        try:
            found[pid] = int(psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            continue
    return found
