"""Figures of a home that has been running for a while, without the while."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from agent.clock import Clock
from agent.errors import Failure
from agent.figures import Engine, Figures, Outlet, Sample
from agent.status import Counters
from agent.values import Latency, LookError, Observation
from tests.fakes.clock import FakeClock
from tests.fakes.observations import observation

PARTS = {"capture": 8, "queue": 3, "encode": 4, "image": 410, "generate": 320, "other": 25}


def look(camera: str = "door", **parts: int) -> Observation:
    """One that came to a caption, and took so many milliseconds."""
    spent = {**dict.fromkeys(PARTS, 0), **parts}
    return observation(camera).model_copy(update={"latency_ms": Latency(**spent, total=sum(spent.values()))})


def failure(camera: str = "door", **parts: int) -> Observation:
    error = LookError(kind=Failure.TIMEOUT, message="No picture within 20 s.")
    return look(camera, **(parts or {"capture": 20_000})).model_copy(update={"caption": None, "error": error})


def sample(
    queued: int = 0,
    memory: int = 86_000_000,
    engines: Mapping[str, Engine] | None = None,
    outputs: Mapping[str, Outlet] | None = None,
) -> Sample:
    return Sample(queued, memory, engines or {}, outputs or {})


def lived_in(
    cameras: tuple[str, ...] = ("front_door", "driveway", "garage", "yard"),
    minutes: int = 24 * 60,
    asleep: range = range(600, 690),
) -> Callable[[Clock, Counters], Figures]:
    """``minutes`` of looks every 30 s a camera, with trouble in the last hour; asleep for a while."""

    def made(_clock: Clock, counters: Counters) -> Figures:
        rng = random.Random(7)
        clock = FakeClock()
        figures = Figures(clock, counters)
        clock._now = clock.now().plus(0.5)
        for step in range(minutes * 6):
            clock._now = clock.now().plus(10)
            minute = step // 6
            if minute in asleep or (minute < minutes - 90 and step % 6):  # long ago, once a minute is enough
                continue
            busy = 1.0 + 1.6 * (minutes - 35 < minute < minutes - 20)
            for number, camera in enumerate(cameras):
                if (minute + step + number) % 3 == 0:
                    figures.looked(_look(rng, camera, busy, number))
            if busy > 2 and rng.random() < 0.25:
                counters.add("frames_dropped_total", rng.randrange(1, 4), reason="overtaken", camera=cameras[0])
                counters.add("frames_dropped_total", reason="stale", camera=cameras[-1])
            figures._take(_sample(rng, busy, minute))
        counters.add("dropped_total", 12, reason="expired", output="alerts")
        figures._take(_sample(rng, 1.0, minutes))
        return figures

    return made


def _look(rng: random.Random, camera: str, busy: float, number: int) -> Observation:
    if rng.random() < 0.01 * number:
        return failure(camera)
    spent = {part: round(ms * rng.uniform(0.7, 1.4)) for part, ms in PARTS.items()}
    spent["queue"] = round(rng.expovariate(1 / (40 * busy**4)))
    spent["capture"] += 60 * number
    return look(camera, **spent)


def _sample(rng: random.Random, busy: float, minute: int) -> Sample:
    engines = {
        "default": Engine("ready", "smolvlm-500m", (4711,), 1_120_000_000 + 20_000 * minute),
        "careful": Engine("starting: reading the model", "moondream2", (), None),
    }
    outputs = {
        "log": Outlet(0, None),
        "mqtt": Outlet(rng.randrange(2), None),
        "alerts": Outlet(17, "It can't be reached: connection refused"),
    }
    queued = rng.randrange(int(busy * 2))
    return sample(queued, 92_000_000 + rng.randrange(2_000_000), engines, outputs)
