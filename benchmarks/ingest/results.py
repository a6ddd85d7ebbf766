"""What a row says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks.ingest.plan import Case
from benchmarks.ingest.server import Cameras, Lateness
from benchmarks.ingest.usage import Spent

LATE_MS = 100.0
"""A server whose pictures go out later than that (99th percentile) is no measure."""
ALL_SENT = 0.98
BEHIND = 2.0
"""Seconds; no method here is so old by itself."""
BUSY_CORES = 0.25
"""As much of a core may somebody else use on a quiet machine."""


@dataclass(slots=True)
class Result:
    """A row's numbers, or why there are none."""

    case: Case
    missing: str | None = None
    reason: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """User and system time of the client and its children."""
    ages: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    missed: int = 0
    """Looks without a picture."""
    damaged: int = 0
    """Pictures whose number can't be read."""
    megabytes: float = 0.0
    """A camera, the median over the time."""
    megabytes_peak: float = 0.0
    start_seconds: float = 0.0
    """Until every camera had shown a picture."""
    server_late_p99_ms: float = 0.0
    server_late_max_ms: float = 0.0
    server_sent_share: float = 1.0
    others_cores: float = 0.0
    """What everybody else on the machine used."""

    @classmethod
    def of(
        cls,
        case: Case,
        cameras: Cameras,
        looks: Sequence[dict[str, Any]],
        window: tuple[float, float],
        started: float,
        spent: Spent,
        megabytes: Sequence[float],
        late: Lateness,
    ) -> Result:
        seconds = window[1] - window[0]
        good = [look for look in looks if look.get("number") is not None]
        always = case.way != "on-demand"  # where it is connected all the time, it gets every picture
        return cls(
            case,
            seconds=seconds,
            cpu_seconds=spent.client,
            ages=[_age(look, cameras) for look in good],
            waits=[look["at"] - look["began"] for look in good],
            missed=sum("missed" in look for look in looks),
            damaged=sum("missed" not in look and look["number"] is None for look in looks),
            megabytes=median(megabytes) / case.cameras,
            megabytes_peak=max(megabytes) / case.cameras,
            start_seconds=started,
            server_late_p99_ms=late.p99_ms,
            server_late_max_ms=late.max_ms,
            server_sent_share=min(1.0, late.sent / (case.stream.fps * case.cameras * (seconds - 1))) if always else 1.0,
            others_cores=max(0.0, spent.others / seconds),
        )

    @property
    def cpu_ms(self) -> float:
        """A camera-second."""
        return 1000 * self.cpu_seconds / (self.seconds * self.case.cameras)

    @property
    def cores(self) -> float:
        return self.cpu_seconds / self.seconds

    @property
    def server_late(self) -> bool:
        return self.server_late_p99_ms > LATE_MS or self.server_sent_share < ALL_SENT

    @property
    def behind(self) -> bool:
        """It gets more pictures than it can take."""
        return bool(self.ages) and median(self.ages) > BEHIND

    @property
    def disturbed(self) -> str | None:
        """Why a number that is too high proves nothing."""
        if self.server_sent_share < ALL_SENT:
            return f"the server sent only {self.server_sent_share:.0%} of the pictures"
        if self.server_late_p99_ms > LATE_MS:
            return f"the server's own pictures went out {self.server_late_p99_ms:.0f} ms late"
        if self.others_cores > BUSY_CORES:
            return f"something else on the machine used {self.others_cores:.1f} cores"
        return None

    def as_json(self) -> dict[str, Any]:
        case = asdict(self.case) | {"stream": self.case.stream.title}
        if self.missing:
            return {**case, "missing": self.missing, "reason": self.reason}
        apart = {"case", "missing", "reason"}
        numbers = {key: _short(value) for key, value in asdict(self).items() if key not in apart}
        return {**case, "cpu_ms_per_camera_second": _short(self.cpu_ms), **numbers}


def _age(look: dict[str, Any], cameras: Cameras) -> float:
    place, stream = cameras.places[look["camera"]], cameras.stream
    return float((look["at"] - place.epoch - look["number"] / stream.fps) % stream.loop_seconds)


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value


def joined(results: Sequence[Result]) -> Result:
    """Rounds of the same case as one."""
    first = results[0]
    if any(one.missing for one in results):
        return next(one for one in results if one.missing)
    return Result(
        first.case,
        seconds=sum(one.seconds for one in results),
        cpu_seconds=sum(one.cpu_seconds for one in results),
        ages=[age for one in results for age in one.ages],
        waits=[wait for one in results for wait in one.waits],
        missed=sum(one.missed for one in results),
        damaged=sum(one.damaged for one in results),
        megabytes=median(one.megabytes for one in results),
        megabytes_peak=max(one.megabytes_peak for one in results),
        start_seconds=max(one.start_seconds for one in results),
        server_late_p99_ms=max(one.server_late_p99_ms for one in results),
        server_late_max_ms=max(one.server_late_max_ms for one in results),
        server_sent_share=min(one.server_sent_share for one in results),
        others_cores=max(one.others_cores for one in results),
    )
